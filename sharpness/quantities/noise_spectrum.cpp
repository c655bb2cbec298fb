#include <memory>

#include <ATen/ATen.h>

#include "sharpness/operators.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// The spectrum of SGD's noise and how its directions lie to the Hessian's.
Quantity noise_spectrum_quantity() {
  return {
      "noise_spectrum",
      false,
      {{"noise_eigenvalues", "eigen", "1",
        "largest eigenvalues of the covariance (centred) of one sample's gradient; fresh label noise integrated out, "
        "noise that was drawn once is each sample's own"},
       {"noise_eigenvalue_residuals", "eigen", "1", "|C v - lambda v| of each: an error bound"},
       {"noise_status", "", "1", "0 converged, 1 not converged within the step limit, 2 not finite", false},
       {"noise_alignment", "", "1",
        "|V_C' V_H|^2 / k, V_C and V_H the k leading eigenvectors of gradient covariance and Hessian: 1 the same "
        "space, k / P what chance gives"}},
      [](MeasuringContext& context, Measurement& result) {
        // C = E g g' - (E g)(E g)'
        const at::Tensor mean = context.objective.moments().mean.to(context.objective.parameters().options());
        SumOperator covariance({{1.0, context.objective.gradient_second_moment()},
                                {-1.0, std::make_shared<OuterProductOperator>(mean.unsqueeze(1))}});
        LanczosOptions options = context.lanczos_options();
        options.vectors = true;
        const Spectrum noise = lanczos(covariance, options);
        const Spectrum& hessian = context.curvature().spectrum;
        // |V_C' V_H|^2: squares of the overlaps of all pairs of vectors.
        const at::Tensor overlap = at::bmm(noise.vectors, hessian.vectors.transpose(1, 2)).to(at::kDouble);
        result["noise_eigenvalues"] = noise.values;
        result["noise_eigenvalue_residuals"] = noise.residuals;
        result["noise_status"] = status_tensor(noise);
        result["noise_alignment"] = (overlap.square().sum({1, 2}) / static_cast<double>(options.count)).to(at::kCPU);
      }};
}

}  // namespace sharpseek
