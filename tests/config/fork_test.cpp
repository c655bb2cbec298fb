#include "experiments/config/fork.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/config/sweep.h"

namespace sharpseek {
namespace {

Config config_of(const std::string& text) { return Config(text, "x.ini"); }

Config fork_of(const std::string& from) { return config_of("[experiment]\nfrom = " + from + "\n"); }

/// What a user reads of a fork that does not fit; empty if it does.
std::string refusal(const std::string& parent, const std::string& fork) {
  try {
    ParentMap(*fork_source(fork_of("p")), config_of(parent), config_of(fork));
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

/// "group:row" of each replica of a fork, group by group.
std::vector<std::string> rows(const std::string& parent, const std::string& fork) {
  const Config own = config_of(fork);
  const ParentMap map(*fork_source(fork_of("p")), config_of(parent), own);
  std::vector<std::string> found;
  for (const Group& group : expand(own)) {
    for (const Replica& replica : group.replicas) {
      const ParentReplica there = map.of(replica);
      found.push_back(there.group + ":" + std::to_string(there.row));
    }
  }
  return found;
}

TEST(ForkSource, IsANameOrAPathWithAStep) {
  EXPECT_FALSE(fork_source(config_of("")).has_value());
  const ForkSource name = *fork_source(fork_of("base@2e3"));
  EXPECT_TRUE(name.is_sibling());
  EXPECT_EQ(name.step, 2000);
  EXPECT_EQ(name.folder("/all"), "/all/base");
  const ForkSource path = *fork_source(fork_of("me@home/base"));
  EXPECT_FALSE(path.is_sibling());
  EXPECT_FALSE(path.step.has_value());
  EXPECT_EQ(path.folder("/all"), "me@home/base");
  EXPECT_EQ(fork_path("base@7"), "./base@7");
  EXPECT_EQ(fork_path("out/base"), "out/base");
}

TEST(ParentMap, FollowsValuesThatMoveTogether) {
  const std::string parent =
      "[experiment]\nreplicas = 2\nzip = noise.condition,noise.total\n[noise]\ncondition = 1 10 10\ntotal = 3 3 4\n";
  EXPECT_THAT(rows(parent, "[experiment]\nreplicas = 2\n[noise]\ncondition = 10\ntotal = 3 4\n"),
              testing::ElementsAre(":2", ":3", ":4", ":5"));
  EXPECT_THAT(refusal(parent, "[experiment]\nreplicas = 2\n[noise]\ncondition = 1\ntotal = 4\n"),
              testing::HasSubstr("its parent has no replica with noise.total = 4, noise.condition = 1"));
}

TEST(ForkSource, RefusesWhatIsNoStep) {
  for (const char* from : {"a@", "a@x", "a@-1", "a@1.5", "out/a@1e99", "@5", ".."}) {
    EXPECT_THROW(fork_source(fork_of(from)), UserError) << from;
  }
}

TEST(ParentMap, FindsReplicasByTheirCoordinates) {
  const std::string parent =
      "[experiment]\nreplicas = 2\n[noise]\ncondition = 1 10\n[training]\nlearning_rate = 0.1 0.2 0.3\n";
  // Parent: condition outermost, then the rate, seeds innermost: row = (c 3 + r) 2 + s.
  EXPECT_THAT(rows(parent, parent),
              testing::ElementsAre(":0", ":1", ":2", ":3", ":4", ":5", ":6", ":7", ":8", ":9", ":10", ":11"));
  const std::string some =
      "[experiment]\nreplicas = 1\n[noise]\ncondition = 1e1\n[training]\nlearning_rate = 0.3 0.1\n";
  EXPECT_THAT(rows(parent, some), testing::ElementsAre(":10", ":6"));
}

TEST(ParentMap, FansOutOverAxesAndSeedsThatTheParentDoesNotHave) {
  EXPECT_THAT(rows("[experiment]\nreplicas = 1\n", "[experiment]\nreplicas = 3\n[training]\nbatch = 1 2\n"),
              testing::ElementsAre(":0", ":0", ":0", ":0", ":0", ":0"));
  EXPECT_THAT(rows("[experiment]\nreplicas = 2\n", "[experiment]\nreplicas = 2\n[noise]\ntotal = 1 2\n"),
              testing::ElementsAre(":0", ":1", ":0", ":1"));
}

TEST(ParentMap, FindsGroups) {
  const std::string parent = "[experiment]\nreplicas = 1\n[model]\ndepth = 2 3\n[noise]\ncondition = 1 2\n";
  EXPECT_THAT(rows(parent, parent), testing::ElementsAre("depth=2:0", "depth=2:1", "depth=3:0", "depth=3:1"));
  EXPECT_THAT(rows(parent, "[experiment]\nreplicas = 1\n[model]\ndepth = 3\n[noise]\ncondition = 2\n"),
              testing::ElementsAre("depth=3:1"));
  // Rates make groups where the parent's length is a rescaled time, and replicas where it is steps.
  const std::string by_time = "[experiment]\nreplicas = 1\n[training]\nlearning_rate = 0.1 0.2\n";
  EXPECT_THAT(rows(by_time + "time = 1\n", by_time),
              testing::ElementsAre("learning_rate=0.1:0", "learning_rate=0.2:0"));
}

TEST(ParentMap, RefusesWhatTheParentDoesNotHave) {
  EXPECT_THAT(refusal("[noise]\ncondition = 1 10\n", ""), testing::IsEmpty());  // the default is one of them
  EXPECT_THAT(refusal("[noise]\ncondition = 5 10\n", ""),
              testing::HasSubstr("its parent sweeps noise.condition = 5 10, so that noise.condition = 1 of the fork"));
  EXPECT_THAT(refusal("[model]\nwidth = 4 8\n", "[model]\nwidth = 4 8 16\n"), testing::HasSubstr("model.width = 16"));
  EXPECT_THAT(refusal("[experiment]\nreplicas = 4\n", "[experiment]\nreplicas = 5\n"),
              testing::HasSubstr("has experiment.replicas = 4, fewer than the 5 of the fork"));
}

TEST(ParentMap, TellsWhatChangesForTraining) {
  const Config fork = config_of(
      "[experiment]\nname = f\nreplicas = 3\n[noise]\ntotal = 3.0 4\n[training]\noptimizer = sgd\nlearning_rate = "
      "2e-3\nsteps = 7\nbatch = 5\n[measure]\nevery = 2\n");
  EXPECT_THAT(ParentMap(*fork_source(fork_of("p")), config_of(""), fork).changes(),
              testing::ElementsAre("noise.total = 3.0 4, was 3", "training.batch = 5, was 1"));
}

}  // namespace
}  // namespace sharpseek
