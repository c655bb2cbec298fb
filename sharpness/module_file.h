#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "sharpness/user_module.h"

namespace sharpseek {

/// Reads a TorchScript file onto a device. Throws UserError for what is no TorchScript module with a method forward,
/// and for what cannot be measured by its structure: dropout or batch norm in training mode, the fused encoder layer,
/// and parameters that overlap without being one tensor, or overlap another tensor of the module: their number would
/// depend on how one counts.
std::unique_ptr<UserModule> read_torchscript(const std::string& file, at::Device device);

}  // namespace sharpseek
