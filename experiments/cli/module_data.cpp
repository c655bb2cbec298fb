#include "experiments/cli/module_data.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/run/tensors.h"
#include "files/samples.h"

namespace sharpseek {
namespace {

using at::Tensor;

/// Values as an input of a known type takes them: float64 for real numbers of any precision.
Tensor fitting(const Tensor& values, at::ScalarType type, const std::string& subject, const std::string& input) {
  if (c10::isFloatingType(type)) return values.to(at::kDouble);
  require(c10::isIntegralType(type, /*includeBool=*/true), subject, ": the module takes ", c10::toString(type), " as ",
          input, ", which is not read");
  require(!values.is_floating_point(), subject, ": holds real numbers, but the module takes ",
          type == at::kBool ? "truth values" : "integers", " as ", input);
  Tensor fits = values.to(type);
  require(fits.to(at::kLong).equal(values), subject, ": holds numbers from ", values.min().item<std::int64_t>(), " to ",
          values.max().item<std::int64_t>(), ": must be ", type == at::kBool ? "0 or 1" : c10::toString(type),
          " for the module's input ", input);
  return fits;
}

Tensor read_input(files::File& data, const std::string& name, const ModuleInput& input) {
  if (!input.type) return tensor_of(files::read_samples(data, name, files::Booleans::kReals));
  const Tensor values = tensor_of(files::read_samples(data, name, files::Booleans::kIntegers));
  return fitting(values, *input.type, concat(data.path(), ": ", name), input.name);
}

/// "a, b, c".
std::string listed(const std::vector<ModuleInput>& inputs) {
  std::string list;
  for (const ModuleInput& input : inputs) list += (list.empty() ? "" : ", ") + input.name;
  return list;
}

}  // namespace

ModuleSamples module_samples(files::File& data, const std::vector<ModuleInput>& inputs, ModuleLoss loss) {
  // Each input, with the name of its data set.
  std::vector<Tensor> values;
  std::vector<std::string> names;
  for (const ModuleInput& input : inputs) {
    const bool own = inputs.size() > 1 || (data.has(input.name) && !data.has("inputs"));
    names.push_back(own ? input.name : "inputs");
    require(inputs.size() == 1 || data.has(input.name), data.path(), ": has no data set ", input.name,
            "; the module takes ", listed(inputs), ", each as a data set of its name");
    values.push_back(read_input(data, names.back(), input));
  }
  Tensor targets;
  std::vector<Tensor> all = values;
  if (loss != ModuleLoss::kProgram) {
    targets = tensor_of(files::read_samples(data, "targets", files::Booleans::kIntegers));
    names.emplace_back("targets");
    all.push_back(targets);
  }

  // As many samples everywhere.
  for (std::size_t i = 0; i < all.size(); ++i) {
    require(all[i].dim() >= 1 && all[i].size(0) >= 1 && all[i].size(0) == all[0].size(0), data.path(), ": ", names[0],
            ' ', c10::str(all[0].sizes()), " and ", names[i], ' ', c10::str(all[i].sizes()),
            " must have the same number of samples, at least 1");
  }
  const bool classes = targets.defined() && targets.scalar_type() == at::kLong;
  require(loss != ModuleLoss::kCrossEntropy || classes || targets.dim() >= 2, data.path(),
          ": targets must be int64 classes [N, ...], or distributions [N, ..., classes], for --loss cross-entropy");
  return {values, targets};
}

}  // namespace sharpseek
