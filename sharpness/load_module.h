#pragma once

#include <memory>
#include <string>

#include "sharpness/module_objective.h"

namespace sharpseek {

/// Loads a module and checks it on its samples: float64 on the CPU or the options' device, or int64, which inputs stay.
///
/// Throws UserError, with the reason, for a file that is neither an exported program nor TorchScript; for what its
/// structure refuses (exported_program.h, module_file.h); data that do not fit; a loss, gradient or product that is not
/// finite, or not the same when computed twice; samples that mix; and products that are not those of a Hessian
/// (module_checks.h).
std::unique_ptr<Objective> load_module(const std::string& file, const Samples& samples, ModuleOptions options);

}  // namespace sharpseek
