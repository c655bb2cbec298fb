#include "bindings/python_operator.h"

#include <ATen/ATen.h>
#include <ATen/DLConvertor.h>

#include <utility>

#include "core/error.h"

namespace nb = nanobind;

namespace sharpseek {
namespace {

constexpr const char* kFresh = "dltensor";
constexpr const char* kUsed = "used_dltensor";

void release(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, kFresh) == 0) return;  // whoever took the tensor frees it
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, kFresh));
  managed->deleter(managed);
}

}  // namespace

nb::object to_capsule(const at::Tensor& tensor) {
  return nb::steal(PyCapsule_New(at::toDLPack(tensor), kFresh, release));
}

at::Tensor from_capsule(const nb::handle& capsule) {
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), kFresh));
  if (managed == nullptr) throw nb::python_error();
  at::Tensor tensor = at::fromDLPack(managed);
  PyCapsule_SetName(capsule.ptr(), kUsed);
  return tensor;
}

PythonOperator::PythonOperator(nb::callable product, nb::callable interrupted, std::int64_t dimension,
                               const at::Tensor& like, bool pure)
    : product_(std::move(product)),
      interrupted_(std::move(interrupted)),
      dimension_(dimension),
      options_(like.options().requires_grad(false)),
      pure_(pure) {
  require(dimension >= 1, "operator: dimension ", dimension, " must be at least 1");
  require(like.dtype() == at::kFloat || like.dtype() == at::kDouble, "operator: vectors must be float32 or float64");
}

at::Tensor PythonOperator::apply(const at::Tensor& vectors) {
  const bool single = vectors.size(1) == 1;
  at::Tensor result = pure_ && single ? at::Tensor() : at::empty(vectors.sizes(), options_);
  const nb::gil_scoped_acquire lock;
  for (std::int64_t k = 0; k < vectors.size(1); ++k) {
    const at::Tensor vector = vectors[0][k];
    const nb::object answer = product_(to_capsule(pure_ ? vector.contiguous() : vector.clone()));
    const at::Tensor product = from_capsule(answer);
    require(product.numel() == dimension_, "operator: a product has ", product.numel(), " elements, not the dimension ",
            dimension_);
    if (result.defined()) {
      result[0][k].copy_(product.reshape({dimension_}));
    } else {
      result = product.to(options_).reshape({1, 1, dimension_});
    }
    stop_ = stop_ || nb::cast<bool>(interrupted_());
  }
  return result;
}

}  // namespace sharpseek
