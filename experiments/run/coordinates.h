#pragma once

#include <vector>

#include "experiments/config/sweep.h"
#include "files/column.h"

namespace sharpseek {

/// Swept keys and seed of each replica, as coordinates [replica].
std::vector<files::Column> replica_coordinates(const Group& group, const Config& config);

}  // namespace sharpseek
