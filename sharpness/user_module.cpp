#include "sharpness/user_module.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace sharpseek {

using at::Tensor;

at::ScalarType saved_precision(const UserModule& module) {
  for (const NamedTensor& part : module.tensors()) {
    const at::ScalarType type = part.tensor.scalar_type();
    if (type == at::kDouble || type == at::kComplexDouble) return at::kDouble;
  }
  return at::kFloat;
}

void convert(const UserModule& module, at::ScalarType real) {
  const c10::AutoGradMode no_graph(false);
  for (const NamedTensor& part : module.tensors()) {
    Tensor tensor = part.tensor;
    const bool complex = tensor.is_complex();
    if (!complex && !tensor.is_floating_point()) continue;
    const at::ScalarType wanted = complex ? c10::toComplexType(real) : real;
    // In place, so that every name of the tensor has the new type.
    if (tensor.scalar_type() != wanted) tensor.set_data(tensor.detach().to(wanted));
  }
}

}  // namespace sharpseek
