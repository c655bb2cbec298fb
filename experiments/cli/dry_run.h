#pragma once

#include <filesystem>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

#include "engine/engine.h"
#include "engine/make_engine.h"
#include "experiments/config/config.h"
#include "experiments/config/sweep.h"

namespace sharpseek {

/// What an experiment would do without writing anything: the groups of its grid, their replicas, parameters,
/// steps and records; an estimate of the time, from a fraction of a second of training and one measurement on this
/// machine; memory and disk from the size of what is recorded (disk before compression: an upper bound); and, for
/// linear networks, the closed form at each sweep point. Throws UserError as prepare() does.
nlohmann::json dry_run(const Config& config, const EngineOptions& engine, const Shard& shard,
                       const std::filesystem::path& home);
/// The same as text.
void print_dry_run(const nlohmann::json& run, std::ostream& out);

}  // namespace sharpseek
