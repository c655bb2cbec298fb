#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace sharpseek {

/// y' of E independent autonomous systems: [E, S] -> [E, S], float64.
using Slope = std::function<at::Tensor(const at::Tensor& y)>;

/// One step of the explicit pair of orders 5 and 4 of Dormand and Prince (J. Comput. Appl. Math. 6, 1980), for E
/// systems with a step size each.
struct DormandPrinceStep {
  at::Tensor y;      ///< [E, S] the solution of order 5
  at::Tensor slope;  ///< [E, S] at y: the next step's first slope (the pair's first and last slopes coincide)
  at::Tensor error;  ///< [E, S] difference of the two orders
};

/// From y [E, S] with its slope there and step sizes h [E]. Six evaluations.
DormandPrinceStep dormand_prince(const Slope& slope_of, const at::Tensor& y, const at::Tensor& slope,
                                 const at::Tensor& h);

/// The factor [E] for the next step size from error / tolerance [E]: 0.9 (error / tolerance)^(-1/5) within 0.2 .. 5; a
/// ratio that is not finite gives 0.2.
at::Tensor step_factor(const at::Tensor& error_ratio);

}  // namespace sharpseek
