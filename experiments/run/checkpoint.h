#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "files/netcdf_file.h"

namespace sharpseek {

/// Everything that a run needs to continue as if it had never stopped: the state of training, and how many records of
/// the run file next to it are part of it. The random numbers need no state, they are counted by step.
struct Checkpoint {
  TrainingState state;
  std::int64_t records = 0;                    ///< records made, all on disk
  std::vector<std::int64_t> record_checksums;  ///< [records] CRC-32 of each record's values
  std::string fingerprint;                     ///< of the problem (fingerprint.h)
  at::Tensor tracked = {};                     ///< eigenvectors [E, k, P] that the next record is tracked from
};

inline constexpr const char* kCheckpointFile = "checkpoint.h5";
/// The one before it, for the case that the disk damages the newest.
inline constexpr const char* kPreviousCheckpointFile = "checkpoint.previous.h5";

/// Replaces DIR/checkpoint.h5: writes a new file, waits until it is on disk, and renames it, so that at every instant
/// one complete checkpoint is there. Throws UserError naming file and cause; the old one is then untouched.
void write_checkpoint(const std::filesystem::path& directory, const Checkpoint& checkpoint);

/// Removes both files, if they are there.
void remove_checkpoints(const std::filesystem::path& directory);

/// Reads a checkpoint file. Throws UserError naming what is missing or damaged.
Checkpoint read_checkpoint(const std::filesystem::path& file, const at::TensorOptions& options);

/// Writes the state into the group `checkpoint` of a file that has dimensions replica and parameter.
void write_state(files::File& file, const TrainingState& state);
/// Adds eigenvectors to it, which the next record is tracked from (measure.warm_start); undefined: none. The file has
/// dimension eigen.
void write_tracked(files::File& file, const at::Tensor& tracked);
at::Tensor read_tracked(files::File& file, const at::TensorOptions& options);
/// Reads it. Throws UserError naming what is missing or damaged.
TrainingState read_state(files::File& file, const at::TensorOptions& options);

}  // namespace sharpseek
