// Eigenvalues tracked from those of a nearby matrix: what they cost, and that nothing is missed.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "engine/cases.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "sharpness/dense_operator.h"
#include "sharpness/lanczos.h"
#include "sharpness/spectra.h"

namespace sharpseek {
namespace {

using testing_support::random_basis;
using testing_support::random_tensor;
using testing_support::random_weights;
using testing_support::with_spectrum;

/// 1 / i for i = 1 .. 120, with the first ones replaced.
std::vector<double> falling(const std::vector<double>& first) {
  std::vector<double> values(first);
  for (std::size_t i = first.size(); i < 120; ++i) values.push_back(1.0 / static_cast<double>(i + 1));
  return values;
}

LanczosOptions tracking(const at::Tensor& previous, std::int64_t count = 3) {
  LanczosOptions options;
  options.count = count;
  options.vectors = true;
  options.previous = previous;
  return options;
}

/// Gradient descent on a network: at each of ten records the Hessian's largest eigenvalues anew and tracked.
TEST(Tracking, CostsAThirdOfFindingThemAnewOnASlowlyMovingNetwork) {
  ModelOptions model;
  model.kind = "mlp";
  model.width = 96;
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .dtype = "float64"});
  const Samples samples{random_tensor({64, 1, 4}, 1), random_tensor({64, 3}, 2)};
  at::Tensor weights = random_weights(program, 4);
  at::Tensor previous;
  std::int64_t anew = 0, tracked = 0;
  for (int record = 0; record <= 10; ++record) {
    const std::unique_ptr<LinearOperator> hessian = engine->hessian(weights, samples);
    const Spectrum cold = lanczos(*hessian, tracking({}, 5));
    if (record > 0) {
      LanczosOptions options = tracking(previous, 5);
      options.multiplicities = record == 4;  // one record in eight, as runs do
      const Spectrum warm = lanczos(*hessian, options);
      anew += cold.matvecs;
      tracked += warm.matvecs;
      for (std::int64_t e = 0; e < 4; ++e) {
        const double largest = cold.values[e][0].item<double>();
        EXPECT_EQ(warm.status[static_cast<std::size_t>(e)], SpectrumStatus::kConverged);
        EXPECT_LT((warm.values[e] - cold.values[e]).abs().max().item<double>(), 1e-6 * largest);
        // The residual that is stored is that of the vector, although it cost no product.
        const at::Tensor v = warm.vectors;
        const at::Tensor r = hessian->apply(v) - warm.values.unsqueeze(2) * v;
        EXPECT_LT((r[e].square().sum(1).sqrt() - warm.residuals[e]).abs().max().item<double>(), 1e-10 * largest);
      }
      previous = warm.vectors;
    } else {
      previous = cold.vectors;
    }
    for (int step = 0; step < 5; ++step) weights = weights - 1e-5 * engine->loss_gradient(weights, samples).gradient;
  }
  RecordProperty("anew", static_cast<int>(anew));
  RecordProperty("tracked", static_cast<int>(tracked));
  EXPECT_LE(3 * tracked, anew) << tracked << " products tracked, " << anew << " anew";
}

TEST(Tracking, FindsAValueThatHasPassedThoseItCameFrom) {
  const at::Tensor q = random_basis(120);
  const at::Tensor before = q.narrow(1, 0, 3).t().unsqueeze(0).contiguous();
  for (const double risen : {0.4, 3.5, 9.0}) {  // behind the three, among them, above them
    std::vector<double> values = falling({5, 4, 3});
    values[60] = risen;
    DenseOperator op(with_spectrum(values, q));
    std::sort(values.begin(), values.end(), std::greater<>());
    const Spectrum found = lanczos(op, tracking(before));
    for (int i = 0; i < 3; ++i)
      EXPECT_NEAR(found.values[0][i].item<double>(), values[static_cast<std::size_t>(i)], 1e-8);
    EXPECT_EQ(found.status[0], SpectrumStatus::kConverged);
  }
}

TEST(Tracking, FindsEveryCopyAndBothEnds) {
  const at::Tensor q = random_basis(120);
  DenseOperator op(with_spectrum(falling({5, 5, 5, -7, -7}), q));
  const at::Tensor near = q.narrow(1, 0, 2).t().unsqueeze(0) + 0.01 * random_tensor({1, 2, 120}, 4);
  const Spectrum largest = lanczos(op, tracking(near, 4));
  EXPECT_LT((largest.values[0].narrow(0, 0, 3) - 5).abs().max().item<double>(), 1e-8);
  EXPECT_NEAR(largest.values[0][3].item<double>(), 1.0 / 6, 1e-6);
  LanczosOptions options = tracking(q.narrow(1, 3, 1).t().unsqueeze(0).contiguous(), 2);
  options.end = SpectrumEnd::kSmallest;
  const Spectrum smallest = lanczos(op, options);
  EXPECT_LT((smallest.values[0] + 7).abs().max().item<double>(), 1e-8);
  EXPECT_LT(smallest.residuals.max().item<double>(), 1e-4);
}

TEST(Tracking, TakesVectorsThatAreMissingZeroDependentOrNotFinite) {
  const at::Tensor q = random_basis(120);
  DenseOperator op(with_spectrum(falling({5, 4, 3}), q));
  at::Tensor poor = at::zeros({1, 3, 120}, at::kDouble);
  poor[0][0].copy_(q.select(1, 7));
  poor[0][1].copy_(q.select(1, 7) * 2);
  poor[0][2].fill_(std::numeric_limits<double>::quiet_NaN());
  for (const at::Tensor& given : {poor, poor.narrow(1, 1, 1).contiguous(), at::zeros({1, 3, 120}, at::kDouble)}) {
    const Spectrum found = lanczos(op, tracking(given));
    EXPECT_LT((found.values[0] - at::tensor({5.0, 4.0, 3.0}, at::kDouble)).abs().max().item<double>(), 1e-8);
    EXPECT_EQ(found.status[0], SpectrumStatus::kConverged);
  }
}

TEST(Tracking, OfAReplicaDependsOnNoOtherAndRestartsChangeNothing) {
  const at::Tensor q = random_basis(120), far = random_basis(120, 2);
  const at::Tensor one = with_spectrum(falling({5, 4, 3}), q), other = with_spectrum(falling({2, 1.99, 1.98}), far);
  at::Tensor bad = at::full({1, 120, 120}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  const at::Tensor near = q.narrow(1, 0, 3).t().unsqueeze(0) + 0.05 * random_tensor({1, 3, 120}, 5);
  DenseOperator both(at::cat({one, one}).contiguous()), mixed(at::cat({one, other, bad}).contiguous());
  const Spectrum pair = lanczos(both, tracking(near.repeat({2, 1, 1})));
  const Spectrum three = lanczos(mixed, tracking(near.repeat({3, 1, 1})));
  EXPECT_TRUE(at::equal(pair.values[0], three.values[0]));
  EXPECT_TRUE(at::equal(pair.vectors[0], three.vectors[0]));
  EXPECT_LT((three.values[1] - at::tensor({2.0, 1.99, 1.98}, at::kDouble)).abs().max().item<double>(), 1e-8);
  EXPECT_EQ(three.status[2], SpectrumStatus::kNotFinite);
  LanczosOptions tight = tracking(near.repeat({2, 1, 1}));
  tight.basis = 10;
  EXPECT_LT((lanczos(both, tight).values - pair.values).abs().max().item<double>(), 1e-8);
}

}  // namespace
}  // namespace sharpseek
