#include "sharpness/load_module.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <memory>
#include <string>
#include <utility>

#include "core/error.h"
#include "sharpness/module_checks.h"
#include "sharpness/module_network.h"
#include "sharpness/torch_errors.h"

namespace sharpseek {
namespace {

using at::Tensor;

/// Samples as the module takes them: numbers in its precision, integers as they are (but for squared errors).
Samples converted(const Samples& samples, const ModuleOptions& options, at::ScalarType precision) {
  const auto part = [&](const Tensor& values, bool integers, const char* name) {
    if (integers && values.scalar_type() == at::kLong) return values.to(options.options.device());
    const Tensor result = values.to(options.options.device(), precision);
    require(result.isfinite().all().item<bool>(), options.data, ": ", name,
            " holds a number that is not finite, or beyond float32 (--dtype float64 reaches further)");
    return result;
  };
  return {part(samples.inputs, true, "inputs"),
          part(samples.targets, options.loss == ModuleLoss::kCrossEntropy, "targets")};
}

}  // namespace

std::unique_ptr<Objective> load_module(const std::string& file, const Samples& samples, ModuleOptions options) {
  require(options.chunk >= 1, "--chunk ", options.chunk, ": must be at least 1");
  // Fused attention and cuDNN's recurrent networks have no second derivative.
  at::globalContext().setSDPUseFlash(false);
  at::globalContext().setSDPUseMemEfficient(false);
  at::globalContext().setUserEnabledCuDNN(false);
  const auto network = std::make_shared<ModuleNetwork>(file, options.options.device());
  if (options.options.has_dtype()) {
    network->set_precision(c10::typeMetaToScalarType(options.options.dtype()));
  }
  return with_torch_errors(network->subject(), [&] {
    auto objective = std::make_unique<ModuleObjective>(network, converted(samples, options, network->precision()),
                                                       std::move(options));
    check_module(*objective);
    objective->start_progress();
    return objective;
  });
}

}  // namespace sharpseek
