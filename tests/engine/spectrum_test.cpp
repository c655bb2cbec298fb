// Eigenvalues of many small matrices at once, a matrix a lane: against LAPACK, and lanes that mind their own business.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "engine/cases.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/lane_spectrum.h"
#include "engine/engine.h"
#include "engine/lane_layout.h"
#include "engine/make_engine.h"
#include "models/model.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kManyOperations;
using testing_support::kReorderedSums;
using testing_support::random_tensor;

/// Spectra of explicit matrices [E, P, P] whose row i is A e_i.
template <class Real>
WholeSpectrum spectra(const at::Tensor& matrices, std::int64_t vectors, const std::string& isa, int threads = 1) {
  const std::int64_t p = matrices.size(1);
  const lanes::LaneLayout layout(matrices.size(0), lanes::kernels<Real>(isa).lanes);
  const at::Tensor rows =
      matrices.transpose(1, 2).to(std::is_same_v<Real, double> ? at::kDouble : at::kFloat).flatten(1);
  const at::Tensor packed = layout.pack(rows);
  ThreadPool pool(threads);
  const std::int64_t lanes = layout.lanes();
  const GroupProducts<Real> products = [&](std::int64_t group, std::int64_t count, const Real* v, Real* av) {
    const Real* a = packed.data_ptr<Real>() + group * packed.stride(0);
    for (std::int64_t k = 0; k < count; ++k) {
      for (std::int64_t i = 0; i < p * lanes; ++i) {
        Real sum = 0;
        for (std::int64_t j = 0; j < p; ++j) {
          const Real by = v[(k * p + j) * lanes + i % lanes];
          if (by != 0) sum += a[j * p * lanes + i] * by;  // NaN stays in its column
        }
        av[k * p * lanes + i] = sum;
      }
    }
  };
  return lane_spectrum<Real>(lanes::spectrum_kernels(isa), pool, layout, p, vectors, products);
}

std::vector<std::string> sets() {
  std::vector<std::string> names;
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) {
    if (set.available) names.push_back(set.name);
  }
  return names;
}

at::Tensor symmetric(const at::Tensor& a) { return a + a.transpose(-1, -2); }

/// Random eigenvectors with these eigenvalues.
at::Tensor with_spectrum(const at::Tensor& values, std::uint32_t seed) {
  const at::Tensor q = std::get<0>(at::linalg_qr(random_tensor({values.size(0), values.size(0)}, seed)));
  return symmetric((q * values).matmul(q.t())) / 2;
}

/// One matrix [P, P] of every kind that solvers stumble over.
std::vector<std::pair<std::string, at::Tensor>> kinds(std::int64_t p) {
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor index = at::arange(p, options);
  const at::Tensor random = symmetric(random_tensor({p, p}, 5));
  const at::Tensor decades = at::pow(10, -16 * index / static_cast<double>(p));
  const at::Tensor rank_one = random_tensor({p, 1}, 6);
  at::Tensor wilkinson = at::diag((index - (p / 2)).abs());
  if (p > 1) wilkinson = wilkinson + at::diag(at::ones({p - 1}, options), 1) + at::diag(at::ones({p - 1}, options), -1);
  return {{"random, indefinite", random},
          {"positive", random.matmul(random)},
          {"repeated values", with_spectrum(at::remainder(index, 4) - 1, 7)},
          {"nearly repeated values", with_spectrum(1 + 1e-13 * at::remainder(index, 3), 8)},
          {"rank one", rank_one.matmul(rank_one.t())},
          {"graded values", with_spectrum(decades, 9)},
          {"graded rows, large first", random * decades.sqrt() * decades.sqrt().unsqueeze(1)},
          {"graded rows, large last", random * decades.flip(0).sqrt() * decades.flip(0).sqrt().unsqueeze(1)},
          {"Wilkinson's", wilkinson},
          {"diagonal", at::diag(random_tensor({p}, 10))},
          {"identity", 3 * at::eye(p, options)},
          {"zero", at::zeros({p, p}, options)},
          {"huge", 1e305 * random},
          {"small", 1e-290 * random}};
}

void expect_lapack(const std::string& isa, const std::string& name, const at::Tensor& matrix,
                   const WholeSpectrum& found, std::int64_t e) {
  SCOPED_TRACE(isa + ", " + name + ", P " + std::to_string(matrix.size(0)));
  const std::int64_t p = matrix.size(0);
  const std::int64_t count = found.vectors.size(1);
  const double largest = matrix.abs().max().item<double>();
  const double unit = largest > 0 ? largest : 1;
  const at::Tensor a = matrix / unit;  // LAPACK's norms would overflow
  const at::Tensor exact = at::linalg_eigvalsh(a);
  const double norm = std::max(exact.abs().max().item<double>(), 1e-300);
  EXPECT_TRUE(found.converged[e].item<bool>());
  EXPECT_LT((found.all_values[e] / unit - exact).abs().max().item<double>() / norm, kReorderedSums);
  const at::Tensor v = found.vectors[e];
  EXPECT_LT((v.matmul(v.t()) - at::eye(count, at::kDouble)).abs().max().item<double>(), kFewOperations);
  const at::Tensor values = (found.all_values[e] / unit).flip(0).narrow(0, 0, count);
  const at::Tensor residuals = (v.matmul(a) - values.unsqueeze(1) * v).norm(2, 1);
  EXPECT_LT(residuals.max().item<double>() / norm, kReorderedSums);
  EXPECT_LT((found.residuals[e] / unit - residuals).abs().max().item<double>() / norm, kReorderedSums);
  EXPECT_NEAR(found.trace[e].item<double>() / unit / norm, a.trace().item<double>() / norm,
              static_cast<double>(p) * kFewOperations);
}

TEST(LaneSpectrum, AgreesWithLapackOnEveryKindOfMatrix) {
  for (const std::string& isa : sets()) {
    for (std::int64_t p : {1, 2, 3, 4, 7, 30, 56, 64}) {
      const auto matrices = kinds(p);
      std::vector<at::Tensor> all;
      for (const auto& [name, matrix] : matrices) all.push_back(matrix);
      const WholeSpectrum found = spectra<double>(at::stack(all), std::min<std::int64_t>(p, 9), isa);
      for (std::size_t e = 0; e < all.size(); ++e) {
        expect_lapack(isa, matrices[e].first, all[e], found, static_cast<std::int64_t>(e));
      }
    }
  }
}

TEST(LaneSpectrum, FindsAllVectors) {
  const at::Tensor matrices =
      at::stack({symmetric(random_tensor({20, 20}, 1)), with_spectrum(at::arange(20, at::kDouble).div(7).floor(), 2)});
  for (const std::string& isa : sets()) {
    const WholeSpectrum found = spectra<double>(matrices, 20, isa);
    for (std::int64_t e : {0, 1}) expect_lapack(isa, std::to_string(e), matrices[e], found, e);
  }
}

TEST(LaneSpectrum, OfFloat32ProductsIsThatOfTheseNumbersInFloat64) {
  const at::Tensor matrices = symmetric(random_tensor({21, 12, 12}, 3)).to(at::kFloat).to(at::kDouble);
  for (const std::string& isa : sets()) {
    const WholeSpectrum found = spectra<float>(matrices, 3, isa);
    for (std::int64_t e = 0; e < 21; ++e) expect_lapack(isa, std::to_string(e), matrices[e], found, e);
  }
}

/// Of a matrix that products do not give symmetrically: values of the mean with the transpose, residuals of A itself.
TEST(LaneSpectrum, ShowsAsymmetryInResiduals) {
  const at::Tensor a = symmetric(random_tensor({1, 15, 15}, 4)) + 0.01 * random_tensor({1, 15, 15}, 5);
  for (const std::string& isa : sets()) {
    const WholeSpectrum found = spectra<double>(a, 4, isa);
    const at::Tensor exact = at::linalg_eigvalsh((a + a.transpose(1, 2)) / 2);
    EXPECT_LT((found.all_values - exact).abs().max().item<double>(), kReorderedSums * exact.abs().max().item<double>());
    const at::Tensor v = found.vectors[0];
    const at::Tensor values = found.all_values[0].flip(0).narrow(0, 0, 4);
    const at::Tensor residuals = (v.matmul(a[0].t()) - values.unsqueeze(1) * v).norm(2, 1);
    EXPECT_LT((found.residuals[0] - residuals).abs().max().item<double>(), kReorderedSums);
    EXPECT_GT(residuals.min().item<double>(), 1e-3);
  }
}

bool same(const WholeSpectrum& a, std::int64_t i, const WholeSpectrum& b, std::int64_t j) {
  return at::equal(a.all_values[i], b.all_values[j]) && at::equal(a.vectors[i], b.vectors[j]) &&
         at::equal(a.residuals[i], b.residuals[j]) && at::equal(a.trace[i], b.trace[j]);
}

TEST(LaneSpectrum, BitsDoNotDependOnCompanyOrderOrThreads) {
  std::vector<at::Tensor> all;
  for (const auto& [name, matrix] : kinds(31)) all.push_back(matrix);
  for (std::uint32_t e = 0; e < 23; ++e) all.push_back(symmetric(random_tensor({31, 31}, 20 + e)));
  const at::Tensor matrices = at::stack(all);
  const std::int64_t replicas = matrices.size(0);
  for (const std::string& isa : sets()) {
    const WholeSpectrum together = spectra<double>(matrices, 4, isa);
    const WholeSpectrum reversed = spectra<double>(matrices.flip(0), 4, isa, 3);
    const WholeSpectrum narrow = spectra<double>(matrices, 1, isa, 50);  // more threads than groups
    for (std::int64_t e = 0; e < replicas; ++e) {
      EXPECT_TRUE(same(together, e, reversed, replicas - 1 - e)) << isa << " " << e;
      EXPECT_TRUE(at::equal(together.all_values[e], narrow.all_values[e])) << isa << " " << e;
      EXPECT_TRUE(at::equal(together.vectors[e][0], narrow.vectors[e][0])) << isa << " " << e;
    }
    for (std::int64_t e : {0, 5, 17}) {
      EXPECT_TRUE(same(together, e, spectra<double>(matrices.narrow(0, e, 1), 4, isa), 0)) << isa << " " << e;
    }
  }
}

TEST(LaneSpectrum, OfAMatrixThatIsNotFiniteIsNaNAndLeavesOthersAlone) {
  const at::Tensor clean = symmetric(random_tensor({9, 14, 14}, 11));
  at::Tensor spoiled = clean.clone();
  spoiled[2][3][7] = std::numeric_limits<double>::quiet_NaN();  // in one triangle
  spoiled[4][0][0] = std::numeric_limits<double>::infinity();
  spoiled[7].fill_(-std::numeric_limits<double>::infinity());
  for (const std::string& isa : sets()) {
    const WholeSpectrum expected = spectra<double>(clean, 3, isa);
    const WholeSpectrum found = spectra<double>(spoiled, 3, isa);
    for (std::int64_t e = 0; e < 9; ++e) {
      if (e == 2 || e == 4 || e == 7) {
        EXPECT_TRUE(found.all_values[e].isnan().all().item<bool>() && found.residuals[e].isnan().all().item<bool>() &&
                    found.vectors[e].isnan().all().item<bool>() && found.trace[e].isnan().item<bool>());
      } else {
        EXPECT_TRUE(same(expected, e, found, e)) << isa << " " << e;
      }
    }
  }
}

/// Whole Hessians of an engine's own against its products with unit vectors: put together from all eigenpairs.
void expect_products(Engine& engine, LinearOperator& op, const std::string& name) {
  auto* const whole = dynamic_cast<WholeSpectra*>(&op);
  ASSERT_NE(whole, nullptr) << name;
  const std::int64_t p = op.dimension();
  const WholeSpectrum found = whole->whole_spectrum(p);
  const at::Tensor expected = op.apply(at::eye(p, engine.options()).expand({op.replicas(), p, p})).to(at::kDouble);
  const at::Tensor values = found.all_values.flip(1);
  const at::Tensor matrices = found.vectors.transpose(1, 2).matmul(values.unsqueeze(2) * found.vectors);
  const double tolerance = engine.options().dtype() == at::kDouble ? kManyOperations : 1e-5;
  for (std::int64_t e = 0; e < op.replicas(); ++e) {
    // A linear layer's residual part is 0; else numbers are of order 1.
    const double scale = std::max(0.1, expected[e].abs().max().item<double>());
    const at::Tensor difference = matrices[e] - (expected[e] + expected[e].t()) / 2;
    EXPECT_LT(difference.abs().max().item<double>() / scale, tolerance) << name << " " << e;
    EXPECT_LT(found.residuals[e].max().item<double>() / scale, tolerance) << name << " " << e;
  }
}

/// Chains of layers, whose Hessians come at once, and other networks, by every loss, with shared and own inputs.
TEST(LaneSpectrum, OfAnEnginesHessianIsThatOfItsProducts) {
  int chains = 0;
  for (const testing_support::Case& network : testing_support::network_cases()) {
    const Program program = make_model(network.options);
    if (program.parameter_count() > 105) continue;
    const bool chain = network.options.kind == "linear" || network.options.kind == "mlp";
    chains += chain ? 1 : 0;
    const std::int64_t tokens = network.options.readout == "tokens" ? network.options.sequence : 1;
    const std::int64_t features = network.options.inputs;
    const at::Tensor weights = testing_support::random_weights(program, 3);
    const at::Tensor inputs = random_tensor({3, 19, network.options.sequence, features}, 1);
    const at::Tensor values = random_tensor({3, 19, program.outputs()}, 2);
    const at::Tensor shares = values.view({3, 19, tokens, -1}).softmax(3).flatten(2);
    for (const std::string& isa : chain ? sets() : std::vector<std::string>{"auto"}) {
      for (const char* dtype : {"float64", "float32"}) {
        const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .dtype = dtype, .isa = isa});
        const Samples samples{inputs[0].to(engine->options()), values[0].to(engine->options())};
        const std::unique_ptr<LinearOperator> op = engine->hessian(weights.to(engine->options()), samples);
        expect_products(*engine, *op, network.name + ", " + dtype + ", " + isa);
      }
    }
    const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .dtype = "float64"});
    const auto check = [&](const std::unique_ptr<LinearOperator>& op, const char* what) {
      expect_products(*engine, *op, network.name + ", " + what);
    };
    const Loss cross_entropy(LossKind::kCrossEntropy, static_cast<int>(tokens));
    check(engine->hessian(weights, {inputs, values}), "own samples");
    check(engine->hessian(weights, {inputs[0], shares, cross_entropy}), "cross-entropy");
    check(engine->residual_curvature(weights, {inputs[0], values[0]}), "residual part");
  }
  EXPECT_GE(chains, 9);
}

/// A chain's Hessian comes without products: those are of the vectors, for the residuals.
TEST(LaneSpectrum, OfAChainTakesAProductForEachVector) {
  for (const auto& [name, products] : std::vector<std::pair<std::string, std::int64_t>>{
           {"linear4", 3}, {"mlp_gelu", 3}, {"mlp_bias", 3}, {"residual_mlp", 135}, {"gated_mlp_silu", 55}}) {
    for (const testing_support::Case& network : testing_support::network_cases()) {
      if (network.name != name) continue;
      const Program program = make_model(network.options);
      const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .dtype = "float64"});
      const std::unique_ptr<LinearOperator> op =
          engine->hessian(testing_support::random_weights(program, 2),
                          {random_tensor({9, 1, 4}, 1), random_tensor({9, program.outputs()}, 2)});
      EXPECT_EQ(dynamic_cast<WholeSpectra&>(*op).whole_spectrum(3).products, products) << name;
    }
  }
}

TEST(LaneSpectrum, OfAChainHasBitsThatDoNotDependOnCompanyOrThreads) {
  ModelOptions model;
  model.kind = "mlp";
  model.bias = true;
  const Program program = make_model(model);
  const at::Tensor weights = testing_support::random_weights(program, 21).to(at::kFloat);
  const Samples samples{random_tensor({21, 1, 4}, 1).to(at::kFloat), random_tensor({21, 3}, 2).to(at::kFloat)};
  for (const std::string& isa : sets()) {
    const auto find = [&](const at::Tensor& of, int threads) {
      const auto engine = make_engine(program, {.engine = "lanes", .isa = isa, .threads = threads});
      return dynamic_cast<WholeSpectra&>(*engine->hessian(of, samples)).whole_spectrum(4);
    };
    const WholeSpectrum together = find(weights, 1);
    const WholeSpectrum reversed = find(weights.flip(0), 5);
    for (std::int64_t e = 0; e < 21; ++e) EXPECT_TRUE(same(together, e, reversed, 20 - e)) << isa << " " << e;
    EXPECT_TRUE(same(together, 13, find(weights.narrow(0, 13, 1), 2), 0)) << isa;
  }
}

}  // namespace
}  // namespace sharpseek
