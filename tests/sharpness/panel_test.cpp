// The work of a Lanczos step on vectors: how orthogonal the basis stays.
#include "sharpness/panel.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/cases.h"
#include "sharpness/orthogonality.h"
#include "sharpness/spectra.h"

namespace sharpseek {
namespace {

using testing_support::random_tensor;
using testing_support::with_spectrum;

TEST(PanelProducts, OnePassLeavesABasisAsOrthonormalAsTwo) {
  std::vector<double> graded;
  for (int i = 0; i < 300; ++i) graded.push_back(std::pow(0.7, i) * (i % 3 == 1 ? -1 : 1));  // betas shrink as fast
  constexpr std::int64_t kSteps = 50;
  for (at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor matrix = with_spectrum(graded)[0].to(type);
    PanelProducts panels(1, matrix.options());
    at::Tensor panel = at::empty({1, kSteps + 1, 300}, matrix.options());
    const at::Tensor start = random_tensor({300}, 5).to(type);
    panel[0][0].copy_(start / start.norm());
    const double epsilon = type == at::kDouble ? 2.3e-16 : 1.2e-7;
    const double sums = 40 * epsilon;  // of 300 products below 1, in another order
    for (std::int64_t m = 0; m < kSteps; ++m) {
      at::Tensor w = matrix.mv(panel[0][m]).unsqueeze(0);
      const double exact = panel[0][m].dot(w[0]).item<double>();
      const auto [alpha, beta] = panels.advance_once(panel, m, w);
      EXPECT_NEAR(alpha.item<double>(), exact, sums) << m;
      EXPECT_NEAR(beta.item<double>(), w.norm().item<double>(), sums) << m;
    }
    const at::Tensor q = panel[0].to(at::kDouble);
    EXPECT_LT((q.matmul(q.t()) - at::eye(kSteps + 1, at::kDouble)).abs().max().item<double>(), 20 * epsilon);
  }
}

TEST(PanelProducts, TheEstimateAsksForReorthogonalisationBeforeTheProjectedMatrixSuffers) {
  // The ends converge within the steps, so that a bare recurrence loses all orthogonality.
  std::vector<double> spread;
  for (int i = 0; i < 300; ++i) spread.push_back(i < 6 ? 4.0 + i : i % 2 == 0 ? -1.0 / (1 + i) : 1.0 / (1 + i));
  constexpr std::int64_t kSteps = 40;
  for (at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor matrix = with_spectrum(spread)[0].to(type);
    const double epsilon = type == at::kDouble ? 2.3e-16 : 1.2e-7;
    PanelProducts panels(1, matrix.options());
    OrthogonalityEstimate estimate(epsilon);
    at::Tensor panel = at::empty({1, kSteps + 1, 300}, matrix.options());
    const at::Tensor start = random_tensor({300}, 6).to(type);
    panel[0][0].copy_(start / start.norm());
    at::Tensor projected = at::zeros({kSteps, kSteps}, at::kDouble);
    for (std::int64_t m = 0; m < kSteps; ++m) {
      at::Tensor w = matrix.mv(panel[0][m]).unsqueeze(0);
      const auto [alpha, beta] = panels.advance_partly(panel, 0, m, w, estimate);
      projected[m][m] = alpha.item<double>();
      if (m + 1 < kSteps) projected[m][m + 1] = projected[m + 1][m] = beta.item<double>();
    }
    const at::Tensor q = panel[0].narrow(0, 0, kSteps).to(at::kDouble);
    const at::Tensor exact = at::linalg_eigvalsh(matrix.to(at::kDouble));
    EXPECT_LT((q.matmul(q.t()) - at::eye(kSteps, at::kDouble)).abs().max().item<double>(), std::sqrt(epsilon));
    const at::Tensor found = at::linalg_eigvalsh(projected);
    EXPECT_LT((found.narrow(0, kSteps - 6, 6) - exact.narrow(0, 294, 6)).abs().max().item<double>(), 1000 * epsilon);
    EXPECT_LT(found[kSteps - 7].item<double>(), 1);  // no copy of a converged value
  }
}

}  // namespace
}  // namespace sharpseek
