#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "files/netcdf_file.h"

namespace sharpseek {

/// What is in a run file that passed.
struct Verified {
  bool finished = false;
  std::int64_t replicas = 0;
  std::int64_t records = 0;    ///< that are part of the run
  std::int64_t variables = 0;  ///< whose values were compared with a checksum
};

/// Reads every value of a run file, or of a recording (experiments/run/recording.h), and compares it with the
/// checksums: of a finished run those of its variables, of one that is still running those of its records in the
/// checkpoint next to it. Before that, what the schema asks for must be there. Throws UserError naming what is missing
/// or damaged. Changes nothing. Memory: 32 MiB or so.
Verified verify_file(const std::filesystem::path& path);

/// CRC-32 of the values of each of the first `records` records of a run file: its step and, in the order of the file,
/// every variable over (replica, time, ...).
std::vector<std::int64_t> record_checksums(files::File& file, std::int64_t records);

/// All run.h5 in and below a folder, sorted.
std::vector<std::filesystem::path> run_files(const std::filesystem::path& directory);

}  // namespace sharpseek
