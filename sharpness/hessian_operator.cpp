#include "sharpness/hessian_operator.h"

#include <ATen/ATen.h>

#include <utility>

#include "core/error.h"

namespace sharpseek {

HessianOperator::HessianOperator(Engine& engine, const at::Tensor& parameters, const Samples& samples)
    : HessianOperator(engine.hessian(parameters, samples), parameters) {}

HessianOperator::HessianOperator(std::unique_ptr<HessianProduct> product, const at::Tensor& parameters)
    : product_(std::move(product)),
      replicas_(parameters.size(0)),
      dimension_(parameters.size(1)),
      options_(parameters.options().requires_grad(false)) {}

DenseOperator::DenseOperator(at::Tensor matrices) : matrices_(std::move(matrices)) {
  SHARPSEEK_ASSERT(matrices_.dim() == 3 && matrices_.size(1) == matrices_.size(2));
}

}  // namespace sharpseek
