#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiments/config/config.h"
#include "experiments/config/sweep.h"

namespace sharpseek {

/// Where a fork starts, as experiment.from says: NAME[@STEP] or DIR[@STEP]. Without a step: at the end.
struct ForkSource {
  std::string text;                  ///< as it was written
  std::string place;                 ///< NAME or DIR
  std::optional<std::int64_t> step;  ///< of the parent
  bool is_sibling() const;           ///< a NAME: the parent is in the folder that the fork's own folder is in
  std::string written() const;       ///< "experiment.from = TEXT", for messages
  /// The parent's folder, where forks of a NAME are in `home`.
  std::filesystem::path folder(const std::filesystem::path& home) const;
};

/// Where a configuration starts; nothing if it is no fork. Throws UserError naming experiment.from.
std::optional<ForkSource> fork_source(const Config& config);

/// A folder as experiment.from takes it: a path even where it is a bare name.
std::string fork_path(const std::string& directory);

/// A replica of the parent.
struct ParentReplica {
  std::string group;     ///< of the parent, as in its index
  std::int64_t row = 0;  ///< in that group's file
};

/// How the parent trained a replica.
struct ParentTraining {
  std::string optimizer;
  double momentum = 0;
  double learning_rate = 0;
  std::string schedule;
};

/// Which replica of a parent each replica of a fork takes up. Where the parent sweeps a key the values must agree: the
/// fork may take some of the parent's, but no others. Where only the fork does, it fans out. The seeds agree likewise:
/// a parent with one seed fans out, from a parent with several a fork takes the first ones.
class ParentMap {
 public:
  /// Throws UserError, with what does not agree, for a fork that does not map onto the parent.
  ParentMap(const ForkSource& source, const Config& parent, const Config& fork);

  ParentReplica of(const Replica& replica) const;
  /// How the parent trained the one of this replica.
  ParentTraining training(const Replica& replica) const;
  /// "training.optimizer = gd, was sgd" for every key that counts for training and is another at some replica of the
  /// fork.
  const std::vector<std::string>& changes() const { return changes_; }

 private:
  /// "noise.condition = 10, ..": the values of the parent's axes.
  std::string point_name(const Point::Values& values) const;
  /// The parent's value of a key at this replica.
  std::string value(const std::string& key, const Replica& replica) const;

  /// Places of the fork's values among the parent's, by key of an axis of the parent.
  using Places = std::map<std::string, std::map<std::string, std::size_t>>;

  Config parent_;
  std::vector<std::string> axes_;  ///< keys that the parent sweeps
  Places places_;
  std::map<std::string, ParentReplica> points_;  ///< of the parent, its first seed, by the values of its axes
  std::int64_t seeds_ = 1;                       ///< of the parent
  std::vector<std::string> changes_;
};

}  // namespace sharpseek
