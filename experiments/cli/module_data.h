#pragma once

#include <vector>

#include "files/netcdf_file.h"
#include "sharpness/module_loss.h"
#include "sharpness/module_samples.h"
#include "sharpness/user_module.h"

namespace sharpseek {

/// Reads what a module is measured on from the file of --data: a module with one input takes the data set `inputs` (or,
/// where there is none, that of its own name), one with several the data sets of their names, and a loss that needs
/// targets `targets`. Integers stay integers for inputs that are such. Throws UserError for what is not there, for
/// another kind of numbers than an input takes, and for different numbers of samples.
ModuleSamples module_samples(files::File& data, const std::vector<ModuleInput>& inputs, ModuleLoss loss);

}  // namespace sharpseek
