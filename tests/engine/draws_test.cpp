// Mini-batches and normals as the lane kernels make them, for every instruction set, against their definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/normals.h"
#include "data/batch.h"
#include "data/task.h"
#include "engine/cpu/isa.h"

namespace sharpseek {
namespace {

using lanes::Kernels;
using lanes::NoiseKind;

/// An array on a 64-byte boundary, as kernels want it.
template <class T>
class Aligned {
 public:
  explicit Aligned(std::size_t count)
      : data_(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64)), std::free) {
    std::fill_n(data_.get(), count, T{});
  }
  T* data() const { return data_.get(); }
  T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  std::unique_ptr<T, void (*)(void*)> data_;
};

struct Setting {
  std::int64_t samples;
  bool replacement;
  bool coloured;
  std::vector<NoiseKind> kinds;  ///< of lanes 0, 1, ..., repeated
};

Noise noise_of(NoiseKind kind, double condition) {
  NoiseOptions options;
  options.condition = condition;
  options.rotation = "random";
  const bool gaussian = kind == NoiseKind::kGaussian || kind == NoiseKind::kFixedGaussian;
  options.distribution = gaussian ? "gaussian" : "rademacher";
  options.redraw = kind == NoiseKind::kGaussian || kind == NoiseKind::kSigns ? "fresh" : "fixed";
  return make_noise(options, 3, nullptr, 1);
}

template <class Real>
void expect_definition(const Kernels<Real>& kernels, const Setting& setting, const std::string& name) {
  constexpr int kBatch = 6;
  TaskOptions options;
  options.samples = setting.samples;
  options.replacement = setting.replacement;
  options.teacher.specification = "generic";
  if (setting.coloured) options.input_covariance = "diagonal:2,1,1,0.5";
  const Task task = make_task(options, 7);
  const auto lane_count = static_cast<std::size_t>(kernels.lanes);
  const auto n = static_cast<std::size_t>(kBatch * task.input_size());
  const std::size_t outputs = 3;
  const std::size_t m = kBatch * outputs;

  std::vector<Noise> noise;
  std::vector<NoiseKind> kinds;
  std::vector<std::uint64_t> keys;
  Aligned<Real> factors(outputs * outputs * lane_count);
  for (std::size_t l = 0; l < lane_count; ++l) {
    kinds.push_back(setting.kinds[l % setting.kinds.size()]);
    noise.push_back(noise_of(kinds.back(), 1 + static_cast<double>(l)));
    keys.push_back(0x123456789abcULL * (l + 1));
    for (std::size_t i = 0; i < outputs * outputs; ++i) {
      factors[i * lane_count + l] = static_cast<Real>(
          noise.back().factor(static_cast<Eigen::Index>(i / outputs), static_cast<Eigen::Index>(i % outputs)));
    }
  }
  std::vector<Real> input_factor;
  for (Eigen::Index i = 0; i < 4; ++i) {
    for (Eigen::Index j = 0; j < 4; ++j) input_factor.push_back(static_cast<Real>(task.input_factor(i, j)));
  }
  std::vector<Real> dataset;
  for (Eigen::Index row = 0; row < task.dataset.rows(); ++row) {
    for (Eigen::Index i = 0; i < task.dataset.cols(); ++i) dataset.push_back(static_cast<Real>(task.dataset(row, i)));
  }
  Aligned<Real> inputs(n * lane_count);
  Aligned<Real> label_noise(m * lane_count);
  lanes::BatchJob<Real> job{};
  job.draws = {.seed = 7,
               .keys = keys.data(),
               .batch = kBatch,
               .tokens = 1,
               .inputs = 4,
               .outputs = 3,
               .input_factor = setting.coloured ? input_factor.data() : nullptr,
               .dataset = dataset.empty() ? nullptr : dataset.data(),
               .samples = static_cast<std::uint32_t>(setting.samples),
               .replacement = setting.replacement,
               .noise_kinds = kinds.data(),
               .noise_factor = factors.data(),
               .diagonal_noise = false};
  job.inputs = inputs.data();
  job.noise = label_noise.data();
  for (std::uint32_t step : {0u, 1u, 5u, 1000000u, 4294967294u}) {
    job.step = step;
    kernels.batch(job);
    for (std::size_t l = 0; l < lane_count; ++l) {
      std::vector<Real> x(n);
      std::vector<Real> eps(m);
      draw_batch<Real>(task, noise[l], keys[l], step, kBatch, std::span(x), std::span(eps));
      const Real tolerance = sizeof(Real) == 4 ? Real(2e-6) : Real(1e-14);
      for (std::size_t i = 0; i < n; ++i) {
        if (task.online()) {
          ASSERT_NEAR(inputs[i * lane_count + l], x[i], tolerance) << name << " step " << step << " lane " << l;
        } else {
          ASSERT_EQ(inputs[i * lane_count + l], x[i]) << name << " step " << step << " lane " << l;
        }
      }
      for (std::size_t i = 0; i < m; ++i) {
        if (kinds[l] == NoiseKind::kSigns || kinds[l] == NoiseKind::kFixedSigns) {
          ASSERT_EQ(label_noise[i * lane_count + l], eps[i]) << name << " step " << step << " lane " << l;
        } else {
          ASSERT_NEAR(label_noise[i * lane_count + l], eps[i], 2 * tolerance) << name << " step " << step;
        }
      }
    }
  }
}

template <class Body>
void for_each_available_set(Body body) {
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) {
    if (set.available) body(set.name);
  }
}

TEST(Draws, AreTheDefinitionsOnEveryInstructionSet) {
  const std::vector<NoiseKind> all = {NoiseKind::kGaussian, NoiseKind::kSigns, NoiseKind::kFixedGaussian,
                                      NoiseKind::kFixedSigns};
  const std::vector<Setting> settings = {
      {0, true, false, {NoiseKind::kGaussian}},    {0, true, true, {NoiseKind::kGaussian}},
      {0, true, false, {NoiseKind::kSigns}},       {0, true, true, {NoiseKind::kSigns, NoiseKind::kGaussian}},
      {50, true, false, {NoiseKind::kGaussian}},   {50, false, false, {NoiseKind::kGaussian}},
      {1, false, false, {NoiseKind::kSigns}},      {5, false, true, {NoiseKind::kFixedGaussian}},
      {257, true, true, {NoiseKind::kFixedSigns}}, {64, false, false, all},
  };
  for_each_available_set([&](const std::string& set) {
    for (std::size_t i = 0; i < settings.size(); ++i) {
      const std::string name = set + " setting " + std::to_string(i);
      expect_definition(lanes::kernels<float>(set), settings[i], name + " float32");
      expect_definition(lanes::kernels<double>(set), settings[i], name + " float64");
    }
  });
}

/// Every radius of the float32 map, each on a ray of its own, and the largest error in units of rounding.
TEST(Draws, NormalsAreTheReferenceMapToRoundingForEveryRadius) {
  for_each_available_set([&](const std::string& set) {
    const Kernels<float>& kernels = lanes::kernels<float>(set);
    const auto lane_count = static_cast<std::uint32_t>(kernels.lanes);
    constexpr std::uint32_t kChunk = 1 << 12;
    std::vector<std::uint32_t> words(kChunk);
    Aligned<float> z(2 * kChunk);
    double worst = 0;
    double sum_of_squares = 0;
    // The slow reference of scalar kernels is the map itself: a part of it will do.
    const std::uint32_t stop = set == "scalar" ? 1u << 16 : 1u << 23;
    for (std::uint32_t first = 0; first < stop; first += kChunk) {
      for (std::uint32_t i = 0; i < kChunk; ++i) words[i] = ((first + i) << 9) | ((first + i) * 2654435761u >> 23);
      kernels.normals({static_cast<int>(kChunk / lane_count), words.data(), z.data()});
      for (std::uint32_t i = 0; i < kChunk; ++i) {
        const NormalPair exact = normal_pair32(words[i]);
        const float* own = z.data() + 2 * (i / lane_count * lane_count) + i % lane_count;
        const double rho = std::hypot(exact.z0, exact.z1);
        worst = std::max({worst, std::abs(own[0] - exact.z0) / rho, std::abs(own[lane_count] - exact.z1) / rho});
        sum_of_squares += double{own[0]} * own[0] + double{own[lane_count]} * own[lane_count];
      }
    }
    EXPECT_LT(worst, 3.0 * std::numeric_limits<float>::epsilon()) << set;
    if (stop == 1u << 23) {
      EXPECT_NEAR(sum_of_squares * 0x1p-24, 1, 1e-7) << set;
    }
  });
}

/// Every ray at one radius: what the lanes' arithmetic leaves of the exact angular moments.
TEST(Draws, RaysHaveGaussianMomentsToRounding) {
  for_each_available_set([&](const std::string& set) {
    const Kernels<float>& kernels = lanes::kernels<float>(set);
    const auto lane_count = static_cast<std::uint32_t>(kernels.lanes);
    std::vector<std::uint32_t> words(512);
    Aligned<float> z(1024);
    for (std::uint32_t ray = 0; ray < 512; ++ray) words[ray] = (0x26f1a4u << 9) | ray;
    kernels.normals({static_cast<int>(512 / lane_count), words.data(), z.data()});
    const double square = -2 * std::log((0x26f1a4 + 0.5) * 0x1p-23);
    double mean0 = 0, mean1 = 0, variance0 = 0, product = 0, fourth = 0;
    for (std::uint32_t i = 0; i < 512; ++i) {
      const float* own = z.data() + 2 * (i / lane_count * lane_count) + i % lane_count;
      const double a = own[0];
      const double b = own[lane_count];
      mean0 += a / 512;
      mean1 += b / 512;
      variance0 += a * a / 512;
      product += a * b / 512;
      fourth += a * a * a * a / 512;
    }
    EXPECT_NEAR(mean0, 0, 1e-8) << set;
    EXPECT_NEAR(mean1, 0, 1e-8) << set;
    EXPECT_NEAR(variance0, square / 2, 1e-7) << set;
    EXPECT_NEAR(product, 0, 1e-7) << set;
    EXPECT_NEAR(fourth, 3 * square * square / 8, 1e-6) << set;
  });
}

}  // namespace
}  // namespace sharpseek
