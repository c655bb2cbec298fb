#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/config/config.h"
#include "experiments/config/prepared_group.h"

namespace sharpseek {

/// What to be careful about in a group that has come to its end, a line each: sweep points whose replicas diverged, and
/// those where too few are stationary to be used, with what theory says of the length and the rate of the run there.
/// `status` and `stationary` are those of the replicas.
std::vector<std::string> end_remarks(const PreparedGroup& prepared, const Config& config,
                                     const std::vector<std::int64_t>& status,
                                     const std::vector<std::int64_t>& stationary);

}  // namespace sharpseek
