#pragma once

#include <filesystem>
#include <optional>

#include "experiments/config/config.h"
#include "experiments/config/fork.h"
#include "experiments/config/prepared_group.h"
#include "experiments/run/index.h"

namespace sharpseek {

/// The finished run that a fork starts from.
class Parent {
 public:
  /// Opens the parent of a fork whose own folder is in `home`. Throws UserError naming experiment.from.
  Parent(const ForkSource& source, const Config& fork, const std::filesystem::path& home);

  /// Makes a group, whose network is built, one that starts from the parent: its weights, their checksum, its state,
  /// its first step, and a remark where the optimiser begins with a new state. Throws UserError with what does not fit:
  /// an unfinished parent, other shapes, a step whose weights or state are not stored, a damaged file.
  void start(PreparedGroup& prepared) const;

 private:
  ForkSource source_;
  ExperimentIndex index_;
  std::filesystem::path folder_;
  ParentMap map_;
};

/// The configuration of the run that a fork starts from, of a fork whose folder is in `home`. Throws UserError.
ExperimentIndex parent_index(const ForkSource& source, const std::filesystem::path& home);

}  // namespace sharpseek
