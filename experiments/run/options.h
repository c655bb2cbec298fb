#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/interruption.h"
#include "core/progress.h"
#include "engine/make_engine.h"

namespace sharpseek {

/// What a finished experiment says about itself.
struct RunSummary {
  std::int64_t replicas = 0;
  std::int64_t diverged = 0;
  std::int64_t stationary = 0;
  bool interrupted = false;
  std::vector<std::string> remarks = {};  ///< what to be careful about in the result, a line each
  std::string report = {};                ///< file that a reproduction ended with; empty: none
};

/// The fields of EngineOptions that somebody has chosen; the others are as they are.
struct EngineChoice {
  std::optional<std::string> engine = {};
  std::optional<std::string> device = {};
  std::optional<std::string> dtype = {};
  std::optional<std::string> isa = {};
  std::optional<int> threads = {};
  std::optional<bool> tf32 = {};

  /// `options` with what was chosen.
  EngineOptions over(EngineOptions options) const;
};

/// How an experiment is run; nothing here changes what is computed, but for the engine's roundings.
struct RunOptions {
  EngineChoice engine = {};
  /// Between checkpoints; by default at least 2, and a hundred times what one takes.
  std::optional<double> checkpoint_seconds = {};
  bool any_engine = false;           ///< continue with an engine of other roundings
  bool previous_checkpoint = false;  ///< continue from the last checkpoint but one
  Interruption interrupted = never_interrupted;
  ProgressDisplay progress = no_progress;
  /// Hears what was done that the user may not expect, line by line.
  std::function<void(const std::string&)> remark = [](const std::string&) {};
};

}  // namespace sharpseek
