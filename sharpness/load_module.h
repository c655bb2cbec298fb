#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sharpness/module_objective.h"
#include "sharpness/module_samples.h"
#include "sharpness/user_module.h"

namespace sharpseek {

/// Gives the samples of a module that takes these inputs: integers and truth values, which stay what they are, and
/// float64 numbers, on any device.
using ReadSamples = std::function<ModuleSamples(const std::vector<ModuleInput>& inputs)>;

/// Loads a module and checks it on its samples.
///
/// Throws UserError, with the reason, for a file that is neither an exported program nor TorchScript; for what its
/// structure refuses (exported_program.h, module_file.h); for other results than the loss takes; data that do not fit;
/// a loss, gradient or product that is not finite, or not the same when computed twice; samples that mix; and products
/// that are not those of a Hessian (module_checks.h).
std::unique_ptr<Objective> load_module(const std::string& file, const ReadSamples& read, ModuleOptions options);
/// The same on samples that are there.
std::unique_ptr<Objective> load_module(const std::string& file, const ModuleSamples& samples, ModuleOptions options);

}  // namespace sharpseek
