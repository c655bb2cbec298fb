#include "models/initialisation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {
namespace {

double root_mean_square(std::span<const double> values) {
  double sum = 0;
  for (double v : values) sum += v * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

Program wide(const std::string& kind) {
  ModelOptions options;
  options.kind = kind;
  options.width = 96;
  options.inputs = 64;
  options.outputs = 48;
  options.sequence = kind == "transformer" || kind == "rnn" ? 40 : 1;
  return make_model(options);
}

TEST(InitialParameters, HaveTheirStandardDeviations) {
  for (const char* kind : {"mlp", "rnn", "transformer"}) {
    const Program program = wide(kind);
    const std::vector<double> weights = initial_parameters(program, {.scale = 2, .imbalance = 1}, 1, 5);
    for (const Parameter& block : program.parameters()) {
      const std::span values(weights.data() + block.offset, static_cast<std::size_t>(block.size()));
      double expected = 2 / std::sqrt(block.columns);
      if (block.name.find("W_h") != std::string::npos) expected *= 0.7;
      if (block.name == "position") expected = 0.3;
      // The relative standard error of a standard deviation is 1 / sqrt(2 n).
      EXPECT_NEAR(root_mean_square(values) / expected, 1, 5 / std::sqrt(2.0 * static_cast<double>(block.size())))
          << kind << " " << block.name;
    }
  }
}

TEST(InitialParameters, ImbalanceScalesLastUpAndFirstDown) {
  const Program program = wide("mlp");
  const std::vector<double> even = initial_parameters(program, {}, 1, 5);
  const std::vector<double> uneven = initial_parameters(program, {.scale = 1, .imbalance = 3}, 1, 5);
  const Parameter& first = program.parameters().front();
  const Parameter& last = program.parameters().back();
  EXPECT_DOUBLE_EQ(uneven[static_cast<std::size_t>(first.offset)] * 3, even[static_cast<std::size_t>(first.offset)]);
  EXPECT_DOUBLE_EQ(uneven[static_cast<std::size_t>(last.offset)], 3 * even[static_cast<std::size_t>(last.offset)]);
}

TEST(InitialParameters, BelongToTheReplicaKey) {
  const Program program = wide("mlp");
  EXPECT_EQ(initial_parameters(program, {}, 1, 5), initial_parameters(program, {}, 1, 5));
  EXPECT_NE(initial_parameters(program, {}, 1, 5), initial_parameters(program, {}, 1, 6));
  EXPECT_NE(initial_parameters(program, {}, 1, 5), initial_parameters(program, {}, 2, 5));
}

TEST(InitialParameters, RefuseImpossibleScales) {
  const Program program = wide("mlp");
  EXPECT_THROW(initial_parameters(program, {.scale = -1, .imbalance = 1}, 1, 5), UserError);
  EXPECT_THROW(initial_parameters(program, {.scale = 1, .imbalance = 0}, 1, 5), UserError);
}

}  // namespace
}  // namespace sharpseek
