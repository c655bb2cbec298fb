#include "engine/torch/activations.h"

#include <ATen/ATen.h>

#include <numbers>

#include "core/error.h"
#include "engine/kernels/passes.h"
#include "engine/torch/tensor_number.h"

namespace sharpseek {
namespace {

using at::Tensor;

Tensor normal_density(const Tensor& x) {
  return at::exp(x.square() * -0.5) * (std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}
Tensor normal_distribution(const Tensor& x) { return lanes::normal_distribution(lanes::TensorNumber(x)).tensor; }

/// What a kernel computes, with a tensor in the place of its numbers.
template <OpKind kKind>
struct OfKernel {
  using Function = typename lanes::OpPasses<kKind>::Activation;
  using Number = lanes::TensorNumber;

  static Number value(const Number& x) { return Function::value(x); }
  /// What the derivative is a function of.
  static Number known(const Number& x) { return traits(kKind).reads_output ? value(x) : x; }
  static Number slope(const Number& x) { return Function::derivative(known(x)); }
  static Number bend(const Number& x) {
    // The derivative of f'(known(x)) along dx = 1.
    const Number one = lanes::constant<Number>(1);
    const lanes::Dual<Number> moving(known(x), traits(kKind).reads_output ? slope(x) : one);
    return Function::derivative(moving).tangent;
  }
};

template <OpKind kKind>
constexpr Elementwise kOfKernel{[](const Tensor& x) { return OfKernel<kKind>::value(lanes::TensorNumber(x)).tensor; },
                                [](const Tensor& x) { return OfKernel<kKind>::slope(lanes::TensorNumber(x)).tensor; },
                                [](const Tensor& x) { return OfKernel<kKind>::bend(lanes::TensorNumber(x)).tensor; }};

/// Those of the kernel, or torch's own where it has them in fewer passes over memory.
template <OpKind kKind>
constexpr Elementwise kFunctions = kOfKernel<kKind>;

template <>
constexpr Elementwise kFunctions<OpKind::kTanh>{[](const Tensor& x) { return at::tanh(x); },
                                                [](const Tensor& x) { return 1 - at::tanh(x).square(); },
                                                [](const Tensor& x) {
                                                  const Tensor y = at::tanh(x);
                                                  // tanh'' = -2 tanh (1 - tanh^2)
                                                  return -2 * y * (1 - y.square());
                                                }};

template <>
constexpr Elementwise kFunctions<OpKind::kRelu>{[](const Tensor& x) { return at::relu(x); },
                                                [](const Tensor& x) { return (x > 0).to(x.scalar_type()); },
                                                [](const Tensor&) { return Tensor(); }};

template <>
constexpr Elementwise kFunctions<OpKind::kGelu>{
    [](const Tensor& x) { return at::gelu(x); },
    [](const Tensor& x) { return normal_distribution(x) + x * normal_density(x); },
    [](const Tensor& x) { return (2 - x.square()) * normal_density(x); }};

/// Beyond 40 it is x to the last bit; torch's own limit of 20 is not.
template <>
constexpr Elementwise kFunctions<OpKind::kSoftplus>{[](const Tensor& x) { return at::softplus(x, 1, 40); },
                                                    [](const Tensor& x) { return at::sigmoid(x); },
                                                    [](const Tensor& x) { return at::sigmoid(x) * at::sigmoid(-x); }};

template <>
constexpr Elementwise kFunctions<OpKind::kSilu>{
    [](const Tensor& x) { return at::silu(x); },
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

const Elementwise& function_of(OpKind activation) {
#define SHARPSEEK_FUNCTION(kind, ...) \
  if (activation == OpKind::kind) return kFunctions<OpKind::kind>;
  SHARPSEEK_ACTIVATIONS(SHARPSEEK_FUNCTION)
#undef SHARPSEEK_FUNCTION
  throw InternalError(concat("op ", name_of(activation), " is no activation"));
}

const Elementwise& kernel_function_of(OpKind activation) {
#define SHARPSEEK_FUNCTION(kind, ...) \
  if (activation == OpKind::kind) return kOfKernel<OpKind::kind>;
  SHARPSEEK_ACTIVATIONS(SHARPSEEK_FUNCTION)
#undef SHARPSEEK_FUNCTION
  throw InternalError(concat("op ", name_of(activation), " is no activation"));
}

const Elementwise& reciprocal_root() { return kReciprocalRoot; }

}  // namespace sharpseek
