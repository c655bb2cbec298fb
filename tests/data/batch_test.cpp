#include "data/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/random.h"
#include "data/permutation.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kManyOperations;

struct Batch {
  std::vector<double> inputs;
  std::vector<double> noise;
};

Batch draw(const Task& task, const Noise& noise, std::uint32_t step, int batch, std::uint64_t key = 9) {
  Batch drawn{std::vector<double>(static_cast<std::size_t>(batch * task.input_size())),
              std::vector<double>(static_cast<std::size_t>(batch * task.outputs))};
  draw_batch<double>(task, noise, key, step, batch, drawn.inputs, drawn.noise);
  return drawn;
}

Noise noise_of(const std::string& distribution, double condition, const std::string& redraw = "fresh") {
  NoiseOptions options;
  options.distribution = distribution;
  options.condition = condition;
  options.redraw = redraw;
  return make_noise(options, 3, nullptr, 0);
}

Matrix moment_of_noise(const Noise& noise) {
  const Task task = make_task({}, 1);
  Matrix sum = Matrix::Zero(3, 3);
  constexpr int kSteps = 5000;
  constexpr int kBatch = 8;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    const Batch batch = draw(task, noise, step, kBatch);
    const Eigen::Map<const Matrix> eps(batch.noise.data(), kBatch, 3);
    sum += eps.transpose() * eps;
  }
  return sum / (kSteps * kBatch);
}

TEST(DrawBatch, NoiseHasItsCovariance) {
  for (const char* distribution : {"gaussian", "rademacher"}) {
    const Noise noise = noise_of(distribution, 10);
    const Matrix moment = moment_of_noise(noise);
    // Standard error of an element: at most sqrt(2 / 40000) of the largest variance.
    EXPECT_LT((moment - noise.covariance).cwiseAbs().maxCoeff(), 5 * std::sqrt(2.0 / 40000) * 2.3) << distribution;
  }
}

TEST(VarianceFactor, EqualsEnumerationOverAllOrdersOfTwoEpochs) {
  const std::vector<double> values{3, -1, 0.5, 2.5, -5};  // of mean zero
  double variance = 0;
  for (double v : values) variance += v * v / 5;
  TaskOptions options;
  options.samples = 5;
  options.replacement = false;
  const Task task = make_task(options, 1);
  std::vector<std::vector<int>> orders;
  std::vector<int> order{0, 1, 2, 3, 4};
  do {
    orders.push_back(order);
  } while (std::next_permutation(order.begin(), order.end()));
  for (int batch : {1, 2, 4, 5}) {
    // Batches at every start that a run comes to: all positions of an epoch, or only its first.
    const int starts = batch == 5 ? 1 : 5;
    double sum = 0;
    for (const auto& first : orders) {
      for (const auto& second : orders) {
        for (int start = 0; start < starts; ++start) {
          double mean = 0;
          for (int p = start; p < start + batch; ++p) {
            const int row = p < 5 ? first[static_cast<std::size_t>(p)] : second[static_cast<std::size_t>(p - 5)];
            mean += values[static_cast<std::size_t>(row)] / batch;
          }
          sum += mean * mean / (120.0 * 120.0 * starts);
        }
      }
    }
    EXPECT_NEAR(variance_factor(task, batch), sum / (variance / batch), kManyOperations) << batch;
  }
  // 12 of 5 are parts of 5 5 2 | 4 5 3 | 3 5 4 | 2 5 5 | 1 5 5 1 by the start; a part c adds c (5 - c) / 4 to b^2 x
  // variance.
  EXPECT_NEAR(variance_factor(task, 12), (1.5 + 2.5 + 2.5 + 1.5 + 2) / 5 / 12, kManyOperations);
  options.replacement = true;
  EXPECT_EQ(variance_factor(make_task(options, 1), 4), 1);
  EXPECT_EQ(variance_factor(make_task({}, 1), 4), 1);
}

TEST(DrawProbeBatch, IsAnotherOneAtEachRecordReplicaAndIndexButKeepsNoiseThatWasDrawnOnce) {
  TaskOptions options;
  options.samples = 6;
  const Task task = make_task(options, 1);
  const Noise noise = noise_of("gaussian", 10, "fixed");
  const auto probe = [&](std::uint64_t key, std::int64_t record, std::uint32_t index) {
    Batch drawn{std::vector<double>(8 * 4), std::vector<double>(8 * 3)};
    draw_probe_batch<double>(task, noise, key, record, index, 8, drawn.inputs, drawn.noise);
    return drawn;
  };
  std::set<std::vector<double>> all;
  for (std::uint64_t key : {9U, 10U}) {
    std::vector<double> inputs(6 * 4), own(6 * 3);
    draw_full_batch<double>(task, noise, key, inputs, own);
    for (std::int64_t record : {0, 1, 500}) {
      for (std::uint32_t index : {0U, 1U}) {
        const Batch drawn = probe(key, record, index);
        EXPECT_TRUE(all.insert(drawn.inputs).second);
        for (std::size_t k = 0; k < 8; ++k) {
          std::size_t row = 0;
          while (row < 6 && inputs[4 * row] != drawn.inputs[4 * k]) ++row;
          ASSERT_LT(row, 6U);
          for (std::size_t o = 0; o < 3; ++o) EXPECT_EQ(drawn.noise[3 * k + o], own[3 * row + o]);
        }
      }
    }
    EXPECT_TRUE(all.insert(draw(task, noise, 0, 8, key).inputs).second);  // training's own
  }
}

TEST(DrawBatch, HeteroscedasticNoiseKeepsItsAverageAndAlternatesWithTheInput) {
  Noise noise = noise_of("gaussian", 10);
  noise.heteroscedastic = 0.8;
  EXPECT_LT((moment_of_noise(noise) - noise.covariance).cwiseAbs().maxCoeff(), 0.06);
  const Task task = make_task({}, 1);
  Vector positive = Vector::Zero(3);
  double count = 0;
  for (std::uint32_t step = 0; step < 5000; ++step) {
    const Batch b = draw(task, noise, step, 8);
    for (std::size_t k = 0; k < 8; ++k) {
      if (b.inputs[k * 4] < 0) continue;
      ++count;
      for (std::size_t o = 0; o < 3; ++o) positive(static_cast<Eigen::Index>(o)) += std::pow(b.noise[k * 3 + o], 2);
    }
  }
  // Standard error of a variance from 20,000 draws: 1 %.
  for (int o = 0; o < 3; ++o) {
    EXPECT_NEAR(positive(o) / count / noise.covariance(o, o), o == 1 ? 0.2 : 1.8, 0.08);
  }
}

TEST(DrawBatch, RademacherNoiseHasOneMagnitude) {
  const Noise noise = noise_of("rademacher", 10);
  const Batch batch = draw(make_task({}, 1), noise, 3, 8);
  for (std::size_t k = 0; k < batch.noise.size(); ++k) {
    const double variance = noise.covariance(static_cast<int>(k % 3), static_cast<int>(k % 3));
    EXPECT_NEAR(std::abs(batch.noise[k]), std::sqrt(variance), kFewOperations);
  }
}

TEST(DrawBatch, FollowsTheStatedNumberingOfDraws) {
  const Task task = make_task({}, 1);
  const Noise noise = noise_of("gaussian", 10);
  const Batch batch = draw(task, noise, 17, 2);
  std::vector<double> z(2 * 4 + 2 * 3);
  standard_normals(1, Stream::kTraining, 9, 17, z);
  for (std::size_t j = 0; j < 8; ++j) EXPECT_EQ(batch.inputs[j], z[j]);
  for (int k = 0; k < 2; ++k) {
    for (int o = 0; o < 3; ++o) {
      EXPECT_NEAR(batch.noise[static_cast<std::size_t>(3 * k + o)],
                  std::sqrt(noise.covariance(o, o)) * z[static_cast<std::size_t>(8 + 3 * k + o)], kFewOperations);
    }
  }
}

TEST(DrawBatch, InputsHaveTheirCovariance) {
  TaskOptions options;
  options.input_covariance = "diagonal:4,1,1,0.25";
  const Task task = make_task(options, 1);
  const Noise noise = noise_of("gaussian", 1);
  double first = 0;
  double last = 0;
  constexpr int kSteps = 20000;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    const Batch batch = draw(task, noise, step, 1);
    first += batch.inputs[0] * batch.inputs[0] / kSteps;
    last += batch.inputs[3] * batch.inputs[3] / kSteps;
  }
  EXPECT_NEAR(first / 4, 1, 0.05);
  EXPECT_NEAR(last / 0.25, 1, 0.05);
}

TaskOptions finite(bool replacement) {
  TaskOptions options;
  options.samples = 10;
  options.replacement = replacement;
  return options;
}

/// The index within the data set of each sample of a batch.
std::vector<int> members(const Task& task, const Batch& batch) {
  std::vector<int> found;
  for (std::size_t k = 0; k < batch.inputs.size() / 4; ++k) {
    for (int n = 0; n < task.dataset.rows(); ++n) {
      if (task.dataset(n, 0) == batch.inputs[4 * k]) found.push_back(n);
    }
  }
  return found;
}

TEST(DrawBatch, VisitsEverySampleOnceAnEpochWithoutReplacement) {
  const Task task = make_task(finite(false), 1);
  const Noise noise = noise_of("gaussian", 1);
  std::vector<std::vector<int>> epochs;
  std::vector<int> order;
  for (std::uint32_t step = 0; step < 25; ++step) {  // batches of 4 straddle the epochs of 10
    for (int n : members(task, draw(task, noise, step, 4))) order.push_back(n);
  }
  ASSERT_EQ(order.size(), 100u);
  for (std::size_t epoch = 0; epoch < 10; ++epoch) {
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(10 * epoch);
    EXPECT_EQ(std::set<int>(first, first + 10).size(), 10u);
    epochs.emplace_back(first, first + 10);
  }
  EXPECT_NE(epochs[0], epochs[1]);
}

TEST(DrawBatch, VisitsEverySampleEquallyOftenWithReplacement) {
  const Task task = make_task(finite(true), 1);
  const Noise noise = noise_of("gaussian", 1);
  std::vector<int> counts(10);
  for (std::uint32_t step = 0; step < 2500; ++step) {
    for (int n : members(task, draw(task, noise, step, 4))) ++counts[static_cast<std::size_t>(n)];
  }
  for (int count : counts) EXPECT_NEAR(count, 1000, 5 * std::sqrt(1000.0));
}

TEST(DrawBatch, FixedNoiseBelongsToTheSample) {
  const Task task = make_task(finite(true), 1);
  for (const char* distribution : {"gaussian", "rademacher"}) {
    const Noise noise = noise_of(distribution, 10, "fixed");
    std::vector<double> seen(10, std::nan(""));
    for (std::uint32_t step = 0; step < 100; ++step) {
      const Batch batch = draw(task, noise, step, 1);
      double& first = seen[static_cast<std::size_t>(members(task, batch).front())];
      if (std::isnan(first)) first = batch.noise[0];
      EXPECT_EQ(first, batch.noise[0]);
    }
  }
}

TEST(PermutedIndex, IsABijectionForEverySize) {
  for (std::uint32_t size : {1u, 2u, 3u, 10u, 64u, 1000u}) {
    std::set<std::uint32_t> seen;
    for (std::uint32_t i = 0; i < size; ++i) {
      const std::uint32_t image = permuted_index(1, 2, 3, i, size);
      EXPECT_LT(image, size);
      seen.insert(image);
    }
    EXPECT_EQ(seen.size(), size);
  }
}

}  // namespace
}  // namespace sharpseek
