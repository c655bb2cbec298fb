#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/run/options.h"

namespace sharpseek {

/// What `sharpseek reproduce` was asked for.
struct ReproductionPlan {
  std::string preset = "quick";
  std::vector<std::string> only = {};  ///< experiments by name or beginning of name; empty: all
  std::vector<std::string> sets = {};  ///< section.key=value
  bool report = true;
};

inline constexpr const char* kReproductionFile = "reproduce.json";

/// Runs the experiments of a plan into a new folder, and reports. DIR/reproduce.json holds the plan from the start and,
/// in the end, what was done. Throws UserError; everything is checked before the first step is trained.
RunSummary reproduce(const ReproductionPlan& plan, const std::filesystem::path& directory, const RunOptions& options);

/// Continues a folder that reproduce() made. Throws UserError.
RunSummary resume_reproduction(const std::filesystem::path& directory, const RunOptions& options);

}  // namespace sharpseek
