#pragma once

#include <cstdint>
#include <string>

#include "engine/engine.h"
#include "engine/make_engine.h"
#include "experiments/config/config.h"
#include "experiments/config/sweep.h"
#include "models/program.h"

namespace sharpseek {

/// Bytes that training, measuring and recording a group need at their peak, in addition to the program's own. Measuring
/// goes chunk by chunk (sharpness/replica_chunk.h) and is bounded however many replicas there are, but for what
/// cross-entropy has of every sample: matrices [outputs, outputs], which no loss with one output Hessian for all
/// samples has. Fitted to what runs of 8 to 400,000 replicas and 35 to 7000 parameters took at most (docs/quality.md).
struct MemoryNeed {
  double prepared = 0;   ///< held from start to end of the experiment: initial weights, noise, coordinates
  double training = 0;   ///< while the group trains: weights and optimiser state of the engine, their copies
  double records = 0;    ///< while the group trains: records that are not yet written
  double measuring = 0;  ///< while the group trains: matrices of every sample of the evaluation set

  /// While the group trains.
  double running() const { return training + records + measuring; }
};

/// The need of `replicas` networks with these settings.
MemoryNeed memory_need(const Settings& settings, const Program& program, std::int64_t replicas,
                       const EngineOptions& engine);

/// Numbers that one record of one replica holds.
std::int64_t record_size(const Settings& settings, const Program& program);

/// Refuses an experiment that cannot fit, before anything of its size is allocated or written: throws UserError with
/// replicas, parameters, what they need and what this process may still take (core/machine.h, which knows limits of
/// control groups and of the shell). Does nothing where that is not known.
void require_memory(const Config& config, const EngineOptions& engine, const Shard& shard = {});

/// The same for what `sharpseek theory` keeps of every point of the sweep.
void require_memory_of_theory(const Config& config);

/// "1.5 GiB": three digits and the largest unit that leaves a number of at least 1.
std::string in_bytes(double count);

}  // namespace sharpseek
