#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "sharpness/user_module.h"

namespace sharpseek {

/// Whether a file is an archive that torch.export.save wrote, of any version.
bool is_exported_program(const std::string& file);

/// Reads an exported program (.pt2, torch 2.8 and newer) onto a device: its graph and weights. Every op of the graph
/// goes through LibTorch's dispatcher with autograd on, so that the program can be differentiated as often as one
/// likes; nothing of it is compiled or traced again.
///
/// Throws UserError for another version of the format, for inputs and results that are no tensors, for
/// ops that are not LibTorch's own (control flow, custom ops), and, as they stand in its graph, for batch norm and
/// dropout in training mode, random numbers, and buffers that the program changes.
std::unique_ptr<UserModule> read_exported_program(const std::string& file, at::Device device);

}  // namespace sharpseek
