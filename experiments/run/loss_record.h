#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "data/label_kind.h"
#include "engine/kernels/loss_traits.h"
#include "files/column.h"

namespace sharpseek {

/// What result files say of the loss and its labels, with definitions and units.
std::map<std::string, std::string> loss_attributes(LossKind loss, LabelKind labels);

/// label_mean_error [replica], of Probe::label_error().
files::Column label_error_column(const at::Tensor& error);

}  // namespace sharpseek
