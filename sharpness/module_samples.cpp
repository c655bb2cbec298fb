#include "sharpness/module_samples.h"

#include <ATen/ATen.h>

#include <functional>
#include <vector>

namespace sharpseek {

using at::Tensor;

ModuleSamples ModuleSamples::with(const std::function<Tensor(const Tensor&)>& change) const {
  std::vector<Tensor> changed;
  for (const Tensor& values : inputs) changed.push_back(change(values));
  return {changed, targets.defined() ? change(targets) : Tensor()};
}

ModuleSamples ModuleSamples::rows(std::int64_t first, std::int64_t count) const {
  return with([&](const Tensor& values) { return values.narrow(0, first, count); });
}

ModuleSamples ModuleSamples::chosen(const Tensor& indices) const {
  return with([&](const Tensor& values) { return values.index_select(0, indices.to(values.device())); });
}

}  // namespace sharpseek
