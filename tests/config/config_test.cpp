#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "experiments/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "experiments/config/option_table.h"
#include "experiments/config/sweep.h"

namespace sharpseek {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal(const std::string& text) {
  try {
    expand(Config(text, "sweep.ini"));
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("\n")));
    return error.what();
  }
  return "(no error)";
}

TEST(Config, ReadsSectionsCommentsAndSweeps) {
  const Config config(
      "; a comment\n[noise]\ncondition = 1 10 100   ; swept\n[experiment]\ntitle = Noise; and more\n[training]\nsteps "
      "= "
      "2e6\n",
      "x.ini");
  EXPECT_THAT(config.values("noise.condition"), testing::ElementsAre("1", "10", "100"));
  EXPECT_EQ(config.json()["training"]["steps"], 2000000);
  EXPECT_EQ(config.json()["noise"]["condition"][1], 10.0);
  EXPECT_EQ(config.values("experiment.title").front(), "Noise; and more");
}

TEST(Config, NumbersAtTheEndsOfTheirRangeAreRefused) {
  EXPECT_THAT(refusal("[model]\nwidth = -9223372036854775808\n"), HasSubstr("model.width"));
  EXPECT_THAT(refusal("[experiment]\nreplicas = 9223372036854775807\n[noise]\ncondition = 1 2\n"),
              HasSubstr("experiment.replicas"));
  EXPECT_EQ(expand(Config("[measure]\nrecords = 9223372036854775807\n", "x.ini")).front().settings().schedule.every, 1);
}

TEST(Config, ALossTakesItsLabelsOnly) {
  const auto with = [](const std::string& loss, const std::string& data, const std::string& noise = "") {
    return refusal(concat("[training]\nloss = ", loss, "\n[data]\n", data, "\n[noise]\n", noise, "\n"));
  };
  EXPECT_EQ(with("hinge", ""), "training.loss = hinge: must be squared | cross-entropy");
  EXPECT_EQ(with("cross-entropy", ""), "training.loss = cross-entropy: needs data.labels = sampled | soft, not values");
  EXPECT_EQ(with("squared", "labels = soft"), "training.loss = squared: needs data.labels = values, not soft");
  EXPECT_EQ(with("squared cross-entropy", "labels = sampled"),
            "training.loss = squared: needs data.labels = values, not sampled");
  EXPECT_EQ(with("cross-entropy", "labels = sampled", "condition = 1 10"),
            "noise.condition = 10: has no effect with data.labels = sampled, whose noise is the draw of the class");
  EXPECT_EQ(with("cross-entropy", "labels = sampled", "rotation = random"),
            "noise.rotation = random: has no effect with data.labels = sampled, whose noise is the draw of the class");
  EXPECT_EQ(with("cross-entropy", "labels = sampled\nsamples = 9", "redraw = fixed\ntotal = 3.0"), "(no error)");
  EXPECT_EQ(with("cross-entropy", "labels = soft\nsmoothing = 0.1\nclass_weights = 1,2,3", "condition = 1 10"),
            "(no error)");
}

TEST(Config, EqualIntervalsComeAsNearToTheRecordsAskedForAsTheyCan) {
  const auto records = [](std::int64_t steps, std::int64_t asked) {
    const Config config(concat("[training]\nsteps = ", steps, "\n[measure]\nrecords = ", asked, "\n"), "x.ini");
    const std::int64_t every = expand(config).front().settings().schedule.every;
    return (steps + every - 1) / every;
  };
  EXPECT_EQ(records(101, 100), 101);  // every 2 steps would make 51
  EXPECT_EQ(records(1000, 100), 100);
  EXPECT_EQ(records(1001, 100), 101);  // every 11 would make 91
  EXPECT_EQ(records(60, 100), 60);
  for (std::int64_t steps = 1; steps < 300; ++steps) {
    for (const std::int64_t asked : {1, 7, 64, 100}) {
      std::int64_t nearest = steps;  // by trying every interval
      for (std::int64_t every = 1; every <= steps; ++every) {
        const std::int64_t made = (steps + every - 1) / every;
        if (std::abs(made - asked) < std::abs(nearest - asked)) nearest = made;
      }
      EXPECT_EQ(std::abs(records(steps, asked) - asked), std::abs(nearest - asked)) << steps << " " << asked;
    }
  }
}

TEST(Config, TheSameNumberTwiceOnAnAxisIsRefused) {
  // Its run could be neither resumed nor measured: in the file both would read 2.
  EXPECT_THAT(refusal("[noise]\ncondition = 2 2.0\n"), HasSubstr("a value is given twice"));
}

TEST(Config, TextThatIsNotUtf8IsRefused) {
  EXPECT_EQ(refusal("[experiment]\ntitle = caf\xe9\n"),
            "sweep.ini: line 2: byte 25 of the file, \\xE9, is not UTF-8 text");
  Config config("", "x.ini");
  try {
    config.set("experiment.title=caf\xe9");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "--set: experiment.title = caf\\xE9: is not UTF-8 text");
  }
  EXPECT_EQ(refusal("[experiment]\ntitle = caf\xc3\xa9\n[training]\nsteps = 1\n"), "(no error)");
}

TEST(Config, WhatAnEditorAddsChangesNothing) {
  const std::string plain = "[experiment]\nname = small\n[noise]\ncondition = 1 10\n";
  const nlohmann::json expected = Config(plain, "x.ini").json();
  std::string windows, old_mac;
  for (const char c : plain) {
    windows += c == '\n' ? "\r\n" : std::string(1, c);
    old_mac += c == '\n' ? '\r' : c;
  }
  for (const std::string& text : {"\xEF\xBB\xBF" + plain, windows, "\xEF\xBB\xBF" + windows, old_mac}) {
    EXPECT_EQ(Config(text, "x.ini").json(), expected);
  }
}

TEST(Config, QuotesKeepBlanksInValues) {
  const Config config(
      "[experiment]\nname = \"my run\"\ntitle = The \"best\" run\n[data]\nteacher = \"file:my data/V.csv\" aligned\n"
      "input_covariance = file:\"a \"\"b\"\" #c\"/S.csv ; comment\n[training]\nsteps = \"10\"\n",
      "x.ini");
  EXPECT_EQ(config.values("experiment.name").front(), "my run");
  EXPECT_EQ(config.values("experiment.title").front(), "The \"best\" run");
  EXPECT_THAT(config.values("data.teacher"), testing::ElementsAre("file:my data/V.csv", "aligned"));
  EXPECT_EQ(config.values("data.input_covariance").front(), "file:a \"b\" #c/S.csv");
  EXPECT_EQ(config.json()["training"]["steps"], 10);
  // Through index.json and back, where nothing is in quotes.
  const Config again = Config::from_json(nlohmann::json::parse(config.json().dump()), "index.json");
  for (const ConfigOption& option : option_table()) EXPECT_EQ(again.values(option.key), config.values(option.key));
  EXPECT_EQ(expand(again)[0].name, "teacher=file:my data%2FV.csv");

  Config set("", "x.ini");
  set.set("noise.covariance=\"file:a b.csv\" file:c.csv");
  EXPECT_THAT(set.values("noise.covariance"), testing::ElementsAre("file:a b.csv", "file:c.csv"));
  set.fix("noise.covariance", "file:a b.csv");
  EXPECT_THAT(set.values("noise.covariance"), testing::ElementsAre("file:a b.csv"));
  EXPECT_THAT(refusal("[data]\nteacher = \"file:V.csv\n"),
              AllOf(HasSubstr("sweep.ini: data.teacher"), HasSubstr("a quote is not closed")));
}

TEST(Config, APathInPiecesIsSaidToNeedQuotes) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / concat("my data ", ::getpid());
  std::filesystem::create_directory(folder);
  const std::string file = (folder / "V.csv").string();
  std::ofstream(file) << "1\n";
  EXPECT_EQ(refusal("[data]\nteacher = aligned file:" + file + "\n"),
            "sweep.ini: data.teacher = file:" + file +
                ": white space separates the values of a sweep; write \"file:" + file + "\"");
  std::filesystem::remove_all(folder);
}

TEST(Config, WhatCannotBeSeenNamesNothing) {
  using std::string_literals::operator""s;
  EXPECT_EQ(refusal("[experiment]\nname = a\0b\n"s), "sweep.ini: is not a text file: byte 22 is NUL");
  EXPECT_EQ(refusal("[experiment]\nname = a\tb\n"),
            "sweep.ini: experiment.name = a\\u0009b: must not hold control characters");
  EXPECT_THAT(refusal("[experiment]\nname = a\xC2\xA0"
                      "b\n"),
              AllOf(HasSubstr("experiment.name = a\\u00a0b"), HasSubstr("cannot be seen")));
  EXPECT_THAT(refusal("[experiment]\ntitle = a\x1B[31m\n"), HasSubstr("must not hold control characters"));
  nlohmann::json json = Config("", "x.ini").json();
  json["experiment"]["name"] = "a\0b"s;
  EXPECT_THROW(Config::from_json(json, "index.json"), UserError);
  json["experiment"]["name"] = nlohmann::json::array();
  EXPECT_THROW(Config::from_json(json, "index.json"), UserError);
}

TEST(Config, AFileMustSetAKey) {
  const std::string file = concat(testing::TempDir(), "empty-", ::getpid(), ".ini");
  for (const char* text : {"", "\n\n", "; name = x\n", "[experiment]\n", "\xEF\xBB\xBF"}) {
    std::ofstream(file) << text;
    try {
      Config::from_file(file);
      FAIL() << text;
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file + ": sets no key"));
    }
  }
  std::ofstream(file) << "[ experiment ]\nname = x\n";
  EXPECT_EQ(Config::from_file(file).values("experiment.name").front(), "x");
  std::filesystem::remove(file);
}

TEST(Config, IncludesFilesWhoseKeysItMayReplace) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / concat("include-", ::getpid());
  std::filesystem::create_directories(folder / "base");
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return (folder / name).string();
  };
  const auto refusal_of = [](const std::string& file) {
    try {
      Config::from_file(file);
      return std::string();
    } catch (const UserError& error) {
      return std::string(error.what());
    }
  };
  // Of its own folder, which is not the one of the file that includes it.
  write("base/net.ini", "[model]\nwidth = 5\ndepth = 4\n");
  write("base/all.ini", "include = net.ini\n[training]\nbatch = 2\n");
  const std::string own = write("own.ini", "include = base/all.ini\n[model]\nwidth = 6 7\n");
  const Config config = Config::from_file(own);
  EXPECT_THAT(config.values("model.width"), testing::ElementsAre("6", "7"));
  EXPECT_EQ(config.values("model.depth").front(), "4");
  EXPECT_EQ(config.values("training.batch").front(), "2");

  EXPECT_THAT(refusal_of(write("none.ini", "include = gone.ini\n")), HasSubstr("gone.ini: cannot be read"));
  write("a.ini", "include = b.ini\n");
  EXPECT_EQ(refusal_of(write("b.ini", "include = a.ini\n")),
            (folder / "a.ini").string() + ": include = b.ini: a file cannot include itself");
  write("wrong.ini", "[model]\nwidht = 5\n");
  EXPECT_THAT(refusal_of(write("of.ini", "include = wrong.ini\n")), HasSubstr("wrong.ini: unknown key model.widht"));
  EXPECT_THAT(refusal_of(write("late.ini", "[model]\ninclude = base/net.ini\n")),
              HasSubstr("unknown key model.include"));
  std::filesystem::remove_all(folder);
  EXPECT_THAT(refusal("include = x.ini\n"), HasSubstr("unknown key include"));
}

TEST(Config, SetReplacesAValue) {
  Config config("", "x.ini");
  config.set("noise.condition=1 10");
  EXPECT_THAT(config.values("noise.condition"), testing::ElementsAre("1", "10"));
  EXPECT_THROW(config.set("noise.condition"), UserError);
  EXPECT_THROW(config.set("noise.conditions=1"), UserError);
}

TEST(Config, RescaledTimeSetsTheSteps) {
  const Config config("[training]\ntime = 2\nlearning_rate = 0.01\nbatch = 4\n", "x.ini");
  EXPECT_EQ(expand(config).front().settings().schedule.steps, 80000);  // tau = eta^2 steps / batch
}

TEST(OptionTable, HelpsEveryKeyAndDefaultsAreValid) {
  for (const ConfigOption& option : option_table()) {
    EXPECT_FALSE(option.help.empty()) << option.key;
    EXPECT_NE(option.key.find('.'), std::string_view::npos);
  }
  EXPECT_EQ(refusal(""), "(no error)");
}

}  // namespace
}  // namespace sharpseek
