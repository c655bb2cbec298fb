#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "experiments/config/prepared_group.h"

namespace sharpseek {

/// CRC-32 of the numbers in each file that configurations name, by "key = file:NAME". A file is read once.
class FileChecksums {
 public:
  /// The files that this sweep point's task is made of. Throws UserError naming a file that cannot be read.
  std::map<std::string, std::int64_t> of(const Point& point);

 private:
  std::map<std::string, std::int64_t> known_;  ///< by name
};

/// All that determines the numbers of a prepared group besides engine and length, as a text: a checksum of each file
/// that its configuration names, and one of everything else (teacher, samples, noise, initial weights, training and
/// measuring options, the keys of its random numbers). It says whether a run continues the task that it began with.
std::string problem_fingerprint(const PreparedGroup& prepared);

/// What has changed between a run's stored fingerprint and the group that its configuration gives now, such as
/// "data.teacher = file:V.csv has changed since the run began"; empty if nothing has.
std::string fingerprint_change(const std::string& stored, const PreparedGroup& prepared);

/// The same for the files alone: whoever measures a stored run takes its weights as they are, and what is drawn follows
/// from the configuration.
std::string file_change(const std::string& stored, const PreparedGroup& prepared);

}  // namespace sharpseek
