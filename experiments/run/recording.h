#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "files/netcdf_file.h"

namespace sharpseek {

/// A file that sharpseek.curvature.Recorder keeps along a training loop which is not the program's.
struct Recording {
  std::string state;   ///< running | stopped | finished
  std::string holder;  ///< the process that records, while it does
  std::int64_t records = 0;
  std::int64_t step = 0;   ///< of the last record
  std::int64_t steps = 0;  ///< of the whole training; 0 if nobody has said
};

/// Whether a file says of itself that a Recorder has written it.
bool is_recording(files::File& file);
/// The same of what a path names: false for a folder, and for what cannot be opened.
bool is_recording(const std::filesystem::path& path);

/// How far it is. It counts as running while its process is there, or if that is one of another host.
Recording read_recording(files::File& file);

/// The recordings in and below a folder, sorted: files *.h5 and *.nc that are such.
std::vector<std::filesystem::path> recordings(const std::filesystem::path& directory);

}  // namespace sharpseek
