#pragma once

#include <nlohmann/json_fwd.hpp>

namespace sharpseek {

/// JSON Schema (draft 2020-12) of a configuration as index.json and the attribute `config` of run files hold it: every
/// option with its type, default and help; a list where it can be swept.
nlohmann::json json_schema();

}  // namespace sharpseek
