#include "engine/torch/activations.h"

#include <ATen/ATen.h>

#include <numbers>

#include "core/error.h"

namespace sharpseek {
namespace {

using at::Tensor;

Tensor normal_density(const Tensor& x) {
  return at::exp(x.square() * -0.5) * (std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}
Tensor normal_distribution(const Tensor& x) { return 0.5 * at::erfc(x * -std::numbers::sqrt2 / 2); }

constexpr Elementwise kTanh{[](const Tensor& x) { return at::tanh(x); },
                            [](const Tensor& x) { return 1 - at::tanh(x).square(); },
                            [](const Tensor& x) {
                              const Tensor y = at::tanh(x);
                              // tanh'' = -2 tanh (1 - tanh^2)
                              return -2 * y * (1 - y.square());
                            }};

constexpr Elementwise kRelu{[](const Tensor& x) { return at::relu(x); },
                            [](const Tensor& x) { return (x > 0).to(x.scalar_type()); },
                            [](const Tensor&) { return Tensor(); }};

constexpr Elementwise kGelu{[](const Tensor& x) { return at::gelu(x); },
                            [](const Tensor& x) { return normal_distribution(x) + x * normal_density(x); },
                            [](const Tensor& x) { return (2 - x.square()) * normal_density(x); }};

/// Beyond 40 it is x to the last bit; torch's own limit of 20 is not.
constexpr Elementwise kSoftplus{[](const Tensor& x) { return at::softplus(x, 1, 40); },
                                [](const Tensor& x) { return at::sigmoid(x); },
                                [](const Tensor& x) { return at::sigmoid(x) * at::sigmoid(-x); }};

constexpr Elementwise kSilu{[](const Tensor& x) { return at::silu(x); },
                            [](const Tensor& x) { return at::sigmoid(x) * (1 + x * at::sigmoid(-x)); },
                            [](const Tensor& x) {
                              const Tensor s = at::sigmoid(x);
                              // s (1 - s) (2 + x (1 - 2 s))
                              return s * at::sigmoid(-x) * (2 + x * (1 - 2 * s));
                            }};

constexpr Elementwise kReciprocalRoot{[](const Tensor& x) { return at::rsqrt(x); },
                                      [](const Tensor& x) { return -0.5 * x.pow(-1.5); },
                                      [](const Tensor& x) { return 0.75 * x.pow(-2.5); }};

}  // namespace

/// An activation without its functions above does not compile.
const Elementwise& function_of(OpKind activation) {
#define SHARPSEEK_FUNCTION(kind, ...) \
  if (activation == OpKind::kind) return kind;
  SHARPSEEK_ACTIVATIONS(SHARPSEEK_FUNCTION)
#undef SHARPSEEK_FUNCTION
  throw InternalError(concat("op ", name_of(activation), " is no activation"));
}

const Elementwise& reciprocal_root() { return kReciprocalRoot; }

}  // namespace sharpseek
