// Spectra of networks: by Lanczos, by the dense solver of each engine, and by LAPACK.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "engine/cases.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "sharpness/dense.h"
#include "sharpness/dense_operator.h"
#include "sharpness/lanczos.h"
#include "sharpness/spectra.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kManyOperations;
using testing_support::kReorderedSums;
using testing_support::random_tensor;
using testing_support::relative_difference;
using testing_support::with_spectrum;

TEST(DenseSpectrum, ResidualsAreThoseOfTheProductsBeforeSymmetrising) {
  const at::Tensor symmetric = with_spectrum({5, 3, 1, 0.5, -2});
  const at::Tensor skew = random_tensor({5, 5}, 3);
  for (double size : {0.0, 0.2}) {
    DenseOperator op(symmetric + size * (skew - skew.t()));
    const DenseSpectrum found = dense_spectrum(op, 3);
    const at::Tensor v = found.spectrum.vectors;
    const at::Tensor residuals = (op.apply(v) - found.spectrum.values.unsqueeze(2) * v).norm(2, 2);
    EXPECT_LT((residuals - found.spectrum.residuals).abs().max().item<double>(), kReorderedSums);
    EXPECT_NEAR(found.spectrum.values[0][0].item<double>(), 5,
                kManyOperations);  // a skew part is gone when symmetrised
    EXPECT_EQ(found.spectrum.status.front(), size == 0 ? SpectrumStatus::kConverged : SpectrumStatus::kNotConverged);
    EXPECT_EQ(found.spectrum.residuals.min().item<double>() > 0.05, size > 0);
  }
}

/// Twenty random networks, all architectures, both number types, both ends: values to 1e-10 and 1e-5 of the largest.
TEST(Spectrum, OfEveryArchitectureEqualsDenseFloat64) {
  std::uint64_t seed = 0;
  int networks = 0;
  for (const testing_support::Case& network : testing_support::network_cases()) {
    const Program program = make_model(network.options);
    const at::Tensor weights = testing_support::random_weights(program, 2, ++seed);
    networks += 2;
    const Samples samples{random_tensor({20, network.options.sequence, network.options.inputs}, 1),
                          random_tensor({20, program.outputs()}, 2)};
    const std::unique_ptr<Engine> exact = make_engine(program, {.engine = "lanes", .dtype = "float64"});
    const std::unique_ptr<LinearOperator> reference = exact->hessian(weights, samples);
    const at::Tensor values = dense_spectrum(*reference, 1).all_values;  // ascending
    const at::Tensor dense = dense_matrix(*reference).matrix;
    const at::Tensor scale = values.abs().amax(1, true);
    for (const char* engine_name : {"torch", "lanes"}) {
      for (const char* dtype : {"float64", "float32"}) {
        const bool single = std::string(dtype) == "float32";
        const std::unique_ptr<Engine> engine = make_engine(program, {.engine = engine_name, .dtype = dtype});
        const Samples cast{samples.inputs.to(engine->options()), samples.targets.to(engine->options())};
        const std::unique_ptr<LinearOperator> op = engine->hessian(weights.to(engine->options()), cast);
        for (const SpectrumEnd end : {SpectrumEnd::kLargest, SpectrumEnd::kSmallest}) {
          LanczosOptions options;
          options.count = std::min<std::int64_t>(5, op->dimension());
          options.end = end;
          options.tolerance = single ? 1e-6 : 1e-12;
          options.vectors = true;
          const Spectrum found = lanczos(*op, options);
          const at::Tensor expected =
              (end == SpectrumEnd::kLargest ? values.flip(1) : values).narrow(1, 0, options.count);
          EXPECT_LT(((found.values - expected).abs() / scale).max().item<double>(), single ? 1e-5 : 1e-10)
              << network.name << ' ' << engine_name << ' ' << dtype << '\n'
              << found.values << expected;
          // The stored residual against the exact matrix's: never below it by more than rounding.
          const at::Tensor y = found.vectors.to(at::kDouble);
          const at::Tensor residual = (at::bmm(y, dense) - found.values.unsqueeze(2) * y).norm(2, 2);
          EXPECT_LT(((residual - found.residuals) / scale).max().item<double>(), single ? 3e-6 : kReorderedSums)
              << network.name;
        }
      }
    }
  }
  EXPECT_GE(networks, 20);
}

/// One network's Hessian both ways.
TEST(Spectrum, OfANetworkIsTheSameByLanczosAndDense) {
  ModelOptions options;
  options.kind = "mlp";
  const Program program = make_model(options);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .dtype = "float64"});
  const at::Tensor weights = testing_support::random_weights(program, 3);
  const Samples samples{random_tensor({40, 1, 4}, 1), random_tensor({40, 3}, 2)};
  const std::unique_ptr<LinearOperator> op = engine->hessian(weights, samples);
  LanczosOptions lanczos_options;
  lanczos_options.count = 5;
  lanczos_options.tolerance = 1e-10;
  const Spectrum iterative = lanczos(*op, lanczos_options);
  const DenseSpectrum dense = dense_spectrum(*op, 5);
  EXPECT_LT((iterative.values - dense.spectrum.values).abs().max().item<double>(), 1e-8);
  EXPECT_LT((dense.all_values.sum(1) - dense.trace).abs().max().item<double>(), 1e-9);
  EXPECT_LT(dense_matrix(*op).asymmetry.max().item<double>(), kReorderedSums);
}

/// By the lanes' own solver and by Eigen, in both number types; a replica that is not finite is alone in that.
TEST(Spectrum, OfEnsemblesIsTheSameInLanesAndByReplica) {
  ModelOptions options;
  options.kind = "mlp";
  options.bias = true;
  const Program program = make_model(options);
  at::Tensor weights = testing_support::random_weights(program, 21);
  weights[20].zero_();  // repeated eigenvalues, many of them 0
  weights[4].fill_(std::numeric_limits<double>::quiet_NaN());
  const Samples samples{random_tensor({40, 1, 4}, 1), random_tensor({40, 3}, 2)};
  const auto by = [&](const EngineOptions& how) {
    const std::unique_ptr<Engine> engine = make_engine(program, how);
    return dense_spectrum(*engine->hessian(weights.to(engine->options()), {samples.inputs.to(engine->options()),
                                                                           samples.targets.to(engine->options())}),
                          6);
  };
  const DenseSpectrum expected = by({.engine = "torch", .dtype = "float64"});
  for (const char* dtype : {"float64", "float32"}) {
    const DenseSpectrum found = by({.engine = "lanes", .dtype = dtype});
    const double tolerance = std::string(dtype) == "float64" ? kManyOperations : 1e-5;
    EXPECT_EQ(found.spectrum.matvecs, 6);  // for the residuals: an MLP's Hessian comes at once
    for (std::int64_t e = 0; e < weights.size(0); ++e) {
      EXPECT_EQ(found.spectrum.status[static_cast<std::size_t>(e)],
                expected.spectrum.status[static_cast<std::size_t>(e)]);
      EXPECT_EQ(found.spectrum.status[static_cast<std::size_t>(e)],
                e == 4 ? SpectrumStatus::kNotFinite : SpectrumStatus::kConverged);
      if (e == 4) continue;
      EXPECT_LT(relative_difference(found.all_values[e], expected.all_values[e]), tolerance) << dtype << " " << e;
      EXPECT_LT(relative_difference(found.trace[e], expected.trace[e]), tolerance) << dtype << " " << e;
      EXPECT_TRUE(at::equal(found.spectrum.values[e], found.all_values[e].flip(0).narrow(0, 0, 6)));
      EXPECT_LT((found.spectrum.residuals[e] / found.spectrum.values[e][0]).max().item<double>(), tolerance);
    }
  }
}

}  // namespace
}  // namespace sharpseek
