#include "sharpness/load_module.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "sharpness/module_checks.h"
#include "sharpness/module_network.h"
#include "sharpness/torch_errors.h"

namespace sharpseek {
namespace {

using at::Tensor;

/// Samples as the module takes them: numbers in its precision, integers as they are (but for squared errors).
ModuleSamples converted(const ModuleSamples& samples, const ModuleOptions& options, const ModuleNetwork& network) {
  const at::ScalarType precision = network.precision();
  const auto part = [&](const Tensor& values, bool integers, const std::string& name) {
    if (integers && !values.is_floating_point()) return values.to(options.options.device());
    Tensor result = values.to(options.options.device(), precision);
    require(result.isfinite().all().item<bool>(), options.data, ": ", name,
            " holds a number that is not finite, or beyond float32 (--dtype float64 reaches further)");
    return result;
  };
  std::vector<Tensor> inputs;
  for (const Tensor& values : samples.inputs) {
    inputs.push_back(part(values, true, samples.inputs.size() == 1 ? "inputs" : network.inputs()[inputs.size()].name));
  }
  // Targets of cross-entropy may be classes, which stay integers.
  const bool classes = options.loss == ModuleLoss::kCrossEntropy;
  return {inputs, samples.targets.defined() ? part(samples.targets, classes, "targets") : Tensor()};
}

void check_results(const ModuleNetwork& network, ModuleLoss loss) {
  const std::optional<std::int64_t> count = network.results();
  if (loss != ModuleLoss::kProgram) {
    require(count.value_or(1) == 1, network.subject(), ": forward(inputs) must return one tensor, not ",
            count.value_or(1), ", unless --loss program says that the first one is losses");
    return;
  }
  require(count.has_value(), network.subject(), ": is TorchScript; --loss program needs an exported program (.pt2)");
  require(
      *count <= 2, network.subject(), ": returns ", *count,
      " tensors; a program of --loss program returns losses, or losses and the outputs that they are computed from");
}

}  // namespace

std::unique_ptr<Objective> load_module(const std::string& file, const ModuleSamples& samples, ModuleOptions options) {
  return load_module(
      file, [&](const std::vector<ModuleInput>&) { return samples; }, std::move(options));
}

std::unique_ptr<Objective> load_module(const std::string& file, const ReadSamples& read, ModuleOptions options) {
  require(options.chunk >= 1, "--chunk ", options.chunk, ": must be at least 1");
  // Fused attention and cuDNN's recurrent networks have no second derivative.
  at::globalContext().setSDPUseFlash(false);
  at::globalContext().setSDPUseMemEfficient(false);
  at::globalContext().setUserEnabledCuDNN(false);
  const auto network = std::make_shared<ModuleNetwork>(file, options.options.device());
  if (options.options.has_dtype()) {
    network->set_precision(c10::typeMetaToScalarType(options.options.dtype()));
  }
  // Before samples are read: what the file returns must fit the loss.
  check_results(*network, options.loss);
  const ModuleSamples samples = read(network->inputs());
  return with_torch_errors(network->subject(), [&] {
    auto objective =
        std::make_unique<ModuleObjective>(network, converted(samples, options, *network), std::move(options));
    check_module(*objective);
    objective->start_progress();
    return objective;
  });
}

}  // namespace sharpseek
