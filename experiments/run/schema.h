#pragma once

#include <cstdint>

namespace sharpseek {

/// The version of what run files, measurements, index.json and reproduce.json hold (docs/files.md), which each of them
/// names. It rises when a program of the version before would misread them.
inline constexpr std::int64_t kSchemaVersion = 1;
inline constexpr const char* kSchemaKey = "schema_version";

/// The same of checkpoints, which only this program reads.
inline constexpr std::int64_t kCheckpointSchemaVersion = 1;
inline constexpr const char* kCheckpointSchemaKey = "checkpoint_schema";

}  // namespace sharpseek
