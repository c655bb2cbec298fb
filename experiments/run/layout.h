#pragma once

#include "experiments/config/prepared_group.h"
#include "experiments/run/record_layout.h"
#include "sharpness/chunked_probe.h"
#include "training/schedule.h"

namespace sharpseek {

/// What the file of this group's run holds, its coordinates and its attributes.
RecordLayout run_layout(const PreparedGroup& prepared, const Config& config, const Engine& engine,
                        const ChunkedProbe& probe, const Schedule& schedule);

/// Values of the variable `status`.
enum class ReplicaStatus : std::int64_t { kFinished = 0, kDiverged = 1, kRunning = 2 };

}  // namespace sharpseek
