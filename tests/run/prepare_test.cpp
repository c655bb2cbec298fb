#include "experiments/run/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/config/presets.h"

namespace sharpseek {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal(const std::string& text) {
  try {
    prepare(Config(text, "sweep.ini"));
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("\n")));
    return error.what();
  }
  return "(no error)";
}

TEST(Prepare, EveryMistakeIsOneLineThatNamesKeyAndValue) {
  EXPECT_THAT(refusal("[training]\nlearning_rat = 1\n"),
              AllOf(HasSubstr("sweep.ini"), HasSubstr("learning_rat"), HasSubstr("training.learning_rate")));
  EXPECT_THAT(refusal("[training]\nlearning_rate = -0.1\n"), HasSubstr("training.learning_rate = -0.1"));
  EXPECT_THAT(refusal("[training]\nlearning_rate = fast\n"), HasSubstr("training.learning_rate = fast"));
  EXPECT_THAT(refusal("[training]\nlearning_rate =\n"), HasSubstr("training.learning_rate"));
  EXPECT_THAT(refusal("[noise]\ncondition = 0.5\n"), HasSubstr("noise.condition = 0.5"));
  EXPECT_THAT(refusal("[model]\nwidth = 0\n"), HasSubstr("model.width = 0"));
  EXPECT_THAT(refusal("[model]\nwidth = 1.5\n"), HasSubstr("model.width = 1.5"));
  EXPECT_THAT(refusal("[model]\nbias = yes\n"), HasSubstr("model.bias = yes"));
  EXPECT_THAT(refusal("[data]\ninputs = -4\n"), HasSubstr("data.inputs = -4"));
  EXPECT_THAT(refusal("[data]\nteacher = file:missing.csv\n"), HasSubstr("missing.csv"));
  EXPECT_THAT(refusal("[experiment]\nseed = 1\nseed = 2\n"), HasSubstr("experiment.seed is given twice"));
  EXPECT_THAT(refusal("[experiment]\nseed = 1 2\n"), HasSubstr("cannot be swept"));
  EXPECT_THAT(refusal("[experiment]\nreplicas = 0\n"), HasSubstr("experiment.replicas = 0"));
  EXPECT_THAT(refusal("[training]\nbatch = 0\n"), HasSubstr("training.batch = 0"));
  EXPECT_THAT(refusal("[training]\nsteps = 1e12\n"), HasSubstr("training.steps"));
  EXPECT_THAT(refusal("[measure]\nquantities = trce\n"), AllOf(HasSubstr("measure.quantities"), HasSubstr("trce")));
  EXPECT_THAT(refusal("[measure]\nsamples = 3\n"), HasSubstr("measure.samples = 3"));
  EXPECT_THAT(refusal("[noise]\nredraw = fixed\n"), HasSubstr("noise.redraw = fixed"));
  EXPECT_THAT(refusal("[experiment]\nreplicas = 3\n[noise]\nantithetic = true\n"),
              AllOf(HasSubstr("experiment.replicas = 3"), HasSubstr("must be even")));
  EXPECT_THAT(refusal("[noise]\nantithetic = true\ndistribution = measured\n"), HasSubstr("distribution = measured"));
  EXPECT_THAT(refusal("not an ini file\n"), HasSubstr("sweep.ini"));
}

TEST(Prepare, TheSecondOfAPairHasTheNoiseOfTheFirstWithTheOppositeSign) {
  const std::string text = "[experiment]\nreplicas = 4\n[noise]\nantithetic = true\ncondition = 9\nrotation = random\n";
  const PreparedGroup group = prepare(Config(text, "x.ini")).front();
  ASSERT_EQ(group.noise.size(), 4u);
  for (std::size_t first : {0, 2}) {
    EXPECT_EQ(group.noise[first + 1].factor, -group.noise[first].factor);
    EXPECT_EQ(group.noise[first + 1].covariance, group.noise[first].covariance);
    EXPECT_EQ(group.weights[first + 1], group.weights[first]);
  }
  EXPECT_NE(group.weights[2], group.weights[0]);
}

TEST(Presets, ArePreparedWithoutComplaint) {
  EXPECT_GE(preset_files().size(), 6u);
  for (const PresetFile& file : preset_files()) {
    const std::vector<PreparedGroup> groups = prepare(without_parent(Config(file.text, file.path)));
    EXPECT_GE(groups.front().noise.size(), 2u) << file.path;
  }
  EXPECT_THROW(preset("quik"), UserError);
}

}  // namespace
}  // namespace sharpseek
