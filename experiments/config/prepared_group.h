#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "experiments/config/sweep.h"
#include "models/program.h"
#include "training/schedule.h"

namespace sharpseek {

/// The state in which a fork takes up its parent. Its weights are those of the group.
struct ForkStart {
  std::string parent;                      ///< the parent's run file, absolute
  std::string engine;                      ///< that made it
  std::string fingerprint;                 ///< of the parent
  std::int64_t checksum = 0;               ///< of what was read of it
  std::int64_t step = 0;                   ///< of the parent
  std::int64_t every = 0;                  ///< steps between the parent's records; 0: it does not stand at its end
  std::vector<std::int64_t> rows;          ///< [E] replicas of the parent's file
  std::vector<std::vector<double>> slots;  ///< state of the optimiser, each [E x P]; may be fewer than are needed
  std::int64_t optimizer_began = 0;        ///< step at which that state was zero
  std::vector<double> loss_sum;            ///< [E] of the parent's last interval
  std::vector<std::int64_t> loss_count;    ///< [E]
  std::vector<std::int64_t> diverged_at;   ///< [E]
  std::vector<TimeOrigin> time_origins;    ///< [E]
  std::vector<std::string> changes;        ///< keys that are others than the parent's

  /// Whether the fork is the run that continued, so that the parent's last interval between records may continue, too.
  bool joins(std::int64_t own_every) const { return changes.empty() && every == own_every; }
};

/// A group with everything that training needs, built and checked before anything is written
/// (experiments/run/prepare.h).
struct PreparedGroup {
  Group group;
  Program program;
  std::shared_ptr<const Task> task;
  std::vector<Noise> noise;                   ///< [E]
  std::vector<std::vector<double>> weights;   ///< [E][P] initial
  std::map<std::string, std::int64_t> files;  ///< checksums of the files it was made of (experiments/run/fingerprint.h)
  std::optional<ForkStart> fork;              ///< where it takes up another run
  std::vector<std::string> remarks;           ///< what was done that the user may not expect, one line each

  const Settings& settings() const { return group.settings(); }
};

/// The stochastic problem of a group.
TrainingProblem training_problem(const PreparedGroup& prepared);

/// The initial weights of a group, [E, P] in float64.
at::Tensor initial_weights(const PreparedGroup& prepared);

/// The state that training starts from: at step 0, or, of a fork, that of its parent.
TrainingState initial_state(const PreparedGroup& prepared, const at::TensorOptions& options, int slots);

/// The remarks of all groups, each once.
std::vector<std::string> remarks_of(const std::vector<PreparedGroup>& groups);

}  // namespace sharpseek
