#include "experiments/config/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

Config config_of(const std::string& text) { return Config(text, "x.ini"); }

TEST(Sweep, AxesThatKeepShapesAreReplicasOfOneGroup) {
  const std::vector<Group> groups =
      expand(config_of("[experiment]\nreplicas = 3\n[noise]\ncondition = 1 10\n[training]\nlearning_rate = 0.1 0.2\n"));
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].name, "");
  EXPECT_EQ(groups[0].replicas.size(), 3u * 2 * 2);
  EXPECT_EQ(groups[0].replicas[2].seed(), 2);  // seeds innermost
}

TEST(Sweep, TwoReplicasOfAnAntitheticPairShareSeedAndKey) {
  const std::string text = "[experiment]\nreplicas = 6\n[noise]\ncondition = 1 10\n";
  const std::vector<Replica> plain = expand(config_of(text)).front().replicas;
  const std::vector<Replica> pairs = expand(config_of(text + "antithetic = true\n")).front().replicas;
  ASSERT_EQ(pairs.size(), 12u);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::size_t first = i / 6 * 6;
    EXPECT_EQ(pairs[i].seed(), static_cast<std::int64_t>(i % 6 / 2));
    EXPECT_EQ(pairs[i].mirrored(), i % 2 == 1);
    // The pair of seed s draws what the replica of seed s draws without pairs.
    EXPECT_EQ(pairs[i].key, plain[first + i % 6 / 2].key);
  }
}

TEST(Sweep, PairsNeedAnEvenNumberOfReplicas) {
  EXPECT_THAT([] { (void)expand(config_of("[experiment]\nreplicas = 5\n[noise]\nantithetic = true\n")); },
              testing::ThrowsMessage<UserError>("experiment.replicas = 5: noise.antithetic = true trains pairs; "
                                                "must be even"));
}

TEST(Sweep, AxesThatChangeShapesMakeGroups) {
  const std::vector<Group> groups = expand(config_of("[model]\nwidth = 4 8\ndepth = 2 3\n[noise]\ncondition = 1 10\n"));
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0].name, "width=4,depth=2");
  for (const Group& group : groups) EXPECT_EQ(group.replicas.size() % 2, 0u);
}

TEST(Sweep, LearningRatesAtEqualTimeMakeGroups) {
  const std::string rates = "[training]\nlearning_rate = 0.01 0.02\n";
  EXPECT_EQ(expand(config_of(rates)).size(), 1u);
  const std::vector<Group> groups = expand(config_of(rates + "time = 1\n"));
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].settings().schedule.steps, 4 * groups[1].settings().schedule.steps);
}

TEST(Sweep, NamesOfGroupsDoNotDependOnHowANumberIsWritten) {
  const auto names = [](const Config& config) {
    std::vector<std::string> found;
    for (const Group& group : expand(config)) found.push_back(group.name);
    return found;
  };
  const Config config = config_of("[training]\ntime = 0.1\nlearning_rate = 5e-4 0.0010 0.002\n");
  EXPECT_THAT(names(config),
              testing::ElementsAre("learning_rate=0.0005", "learning_rate=0.001", "learning_rate=0.002"));
  // As it stands in index.json and in run files.
  EXPECT_EQ(names(Config::from_json(config.json(), "index.json")), names(config));
}

TEST(Sweep, TooManyPointsAreCountedBeforeTheyAreMade) {
  const auto axis = [](const std::string& key, int count) {
    std::string line = key + " =";
    for (int i = 1; i <= count; ++i) line += " " + std::to_string(i);
    return line + "\n";
  };
  // 10^8 points would take 800 GB.
  const Config config = config_of("[noise]\n" + axis("total", 5000) + "[model]\n" + axis("width", 20000));
  EXPECT_EQ(point_count(config), 1e8);
  try {
    expand(config);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "the sweep has 1e+08 points, 5000 of noise.total x 20000 of model.width: must be at most 1e+06");
  }
  EXPECT_EQ(expand(config_of("[experiment]\nreplicas = 2\n[noise]\n" + axis("total", 50))).at(0).replicas.size(), 100u);
}

/// "group: key=value ..; .." of each group's points, by the named keys.
std::string points(const Config& config, const std::vector<std::string>& keys) {
  std::string text;
  for_each_point(config, [&](const std::string& group, const Point::Values& values, std::int64_t place) {
    text += (place == 0 ? group + ":" : "");
    for (const std::string& key : keys) text += " " + values.at(key);
    text += ";";
  });
  return text;
}

TEST(Zip, TakesTheValuesOfItsKeysTogether) {
  const Config config = config_of(
      "[experiment]\nreplicas = 2\nzip = training.learning_rate,training.momentum\n[noise]\ncondition = 1 10\n"
      "[training]\nlearning_rate = 0.1 0.01\nmomentum = 0 0.9\n");
  EXPECT_EQ(point_count(config), 4);
  EXPECT_EQ(points(config, {"noise.condition", "training.learning_rate", "training.momentum"}),
            ": 1 0.1 0; 1 0.01 0.9; 10 0.1 0; 10 0.01 0.9;");
  const std::vector<Group> groups = expand(config);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].replicas.size(), 8u);
  // A replica's random numbers are those that it has without the other points.
  EXPECT_EQ(groups[0].replicas[2].key,
            expand(config_of("[training]\nlearning_rate = 0.01\nmomentum = 0.9\n"))[0].replicas[0].key);
}

TEST(Zip, MayRepeatAValueOfOneKeyAndPutSeveralPointsIntoAGroup) {
  const Config config = config_of(
      "[experiment]\nzip = model.depth,noise.condition\n[model]\ndepth = 2 2 3\n[noise]\ncondition = 1 10 10\n");
  EXPECT_EQ(points(config, {"model.depth", "noise.condition"}), "depth=2: 2 1; 2 10;depth=3: 3 10;");
  EXPECT_EQ(few_points(config).largest_group, 3);
  EXPECT_EQ(Config::from_json(config.json(), "index.json").json(), config.json());
}

TEST(Zip, SeveralListsMakeAProduct) {
  const Config config = config_of(
      "[experiment]\nzip = noise.condition,noise.total training.learning_rate,training.momentum\n"
      "[noise]\ncondition = 1 10\ntotal = 3 4\n[training]\nlearning_rate = 0.1 0.2\nmomentum = 0 0.5\n");
  EXPECT_EQ(point_count(config), 4);
  Config few = few_points(config).config;
  EXPECT_EQ(point_count(few), 1);
  few = config;
  few.fix("noise.total", "3");  // condition moves on its own then
  few.set("noise.condition=1 2 3");
  EXPECT_EQ(point_count(few), 6);
}

TEST(Zip, SaysWhatDoesNotFit) {
  const auto refusal = [](const std::string& zip, const std::string& more) {
    try {
      expand(config_of("[experiment]\nzip = " + zip + "\n" + more));
      return std::string();
    } catch (const UserError& error) {
      return std::string(error.what());
    }
  };
  const std::string axes = "[noise]\ncondition = 1 10 100\ntotal = 3 4\n";
  EXPECT_EQ(
      refusal("noise.condition,noise.total", axes),
      "experiment.zip = noise.condition,noise.total: noise.condition has 3 values, noise.total 2; must be equally "
      "many");
  EXPECT_EQ(refusal("noise.condition", axes),
            "experiment.zip = noise.condition: must name two keys or more, separated by commas");
  EXPECT_THAT(refusal("noise.conditio,noise.total", axes), testing::HasSubstr("did you mean noise.condition?"));
  EXPECT_THAT(refusal("measure.records,noise.total", axes), testing::HasSubstr("measure.records takes one value"));
  EXPECT_THAT(refusal("noise.total,noise.total", axes), testing::HasSubstr("noise.total is named twice"));
  EXPECT_EQ(refusal("noise.condition,noise.total", "[noise]\ncondition = 1 10 1\ntotal = 3 4 3.0\n"),
            "noise.total = 3.0, noise.condition = 1: these values are given twice");
}

TEST(ReplicaKey, ComesFromCoordinatesNotPosition) {
  const auto keys = [](const std::string& text) {
    std::vector<std::uint64_t> found;
    for (const Group& group : expand(config_of(text))) {
      for (const Replica& replica : group.replicas) found.push_back(replica.key);
    }
    return found;
  };
  const std::string head = "[experiment]\nreplicas = 2\n[noise]\n";
  const auto both = keys(head + "condition = 1 10\n");
  const auto reversed = keys(head + "condition = 10 1\n");
  EXPECT_EQ(both[0], reversed[2]);
  EXPECT_EQ(both[3], reversed[1]);
  EXPECT_EQ(both[2], keys(head + "condition = 10.0\n")[0]);  // the same number, written otherwise
  EXPECT_EQ(std::set(both.begin(), both.end()).size(), 4u);
  // What is measured and for how long changes no random number.
  EXPECT_EQ(both[0], keys(head + "condition = 1\n[training]\nsteps = 7\n[measure]\nsamples = 99\n")[0]);
  // Shapes, rates and batches do.
  EXPECT_NE(both[0], keys(head + "condition = 1\n[model]\nwidth = 9\n")[0]);
  EXPECT_NE(both[0], keys(head + "condition = 1\n[training]\nbatch = 7\n")[0]);
}

TEST(ReplicaAxes, AreTheSweptKeysOfAGroup) {
  EXPECT_THAT(replica_axes(config_of("[model]\nwidth = 4 8\ninit_scale = 1 2\n[noise]\ncondition = 1 10\n")),
              testing::UnorderedElementsAre("model.init_scale", "noise.condition"));
}

}  // namespace
}  // namespace sharpseek
