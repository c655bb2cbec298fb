#pragma once

#include "experiments/block_probe.h"
#include "experiments/prepare.h"
#include "experiments/record.h"
#include "training/trainer.h"

namespace sharpseek {

/// What the file of this group's run holds, its coordinates and its attributes.
RecordLayout run_layout(const PreparedGroup& prepared, const Config& config, const Engine& engine,
                        const BlockProbe& probe, const Schedule& schedule);

/// Values of the variable `status`.
enum class ReplicaStatus : std::int64_t { kFinished = 0, kDiverged = 1, kRunning = 2 };

}  // namespace sharpseek
