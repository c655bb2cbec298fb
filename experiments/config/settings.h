#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "data/task.h"
#include "engine/kernels/loss_traits.h"
#include "engine/optimizer.h"
#include "experiments/config/config.h"
#include "models/initialisation.h"
#include "models/model.h"
#include "sharpness/quantity.h"
#include "training/schedule.h"

namespace sharpseek {

/// Where training starts.
enum class Start {
  kRandom,
  kLimit,       ///< where theory says that small learning rates end
  kClosedForm,  ///< the minimal fluctuation in closed form
  kManifold,    ///< weights that fit the samples
  kParent,      ///< a fork: stored weights of another run
};

/// The [measure] section.
struct MeasureSettings {
  ProbeOptions probe;
  std::int64_t samples = 0;  ///< of the evaluation set
  std::int64_t rivals = 0;   ///< seeds of each point whose rival end points are computed
  bool keep_parameters = false;
};

/// What one point of a sweep asks for, typed: made of its text by SettingsReader, and by nothing else.
struct Settings {
  explicit Settings(Point point) : values(std::move(point)) {}

  Point values;  ///< the text by key, for whatever goes through all options: names, checksums, coordinates

  std::uint64_t seed = 0;
  std::int64_t seeds = 1;  ///< replicas of this point

  TaskOptions task;
  NoiseOptions noise;
  bool antithetic = false;  ///< two repetitions are a pair with opposite label noise
  ModelOptions model;
  InitialisationOptions initialisation;
  Start start = Start::kRandom;

  LossKind loss = LossKind::kSquared;
  OptimizerOptions optimizer;
  double learning_rate = 0;
  double momentum = 0;
  double weight_decay = 0;
  double sam_radius = 0;
  std::int64_t batch = 1;        ///< samples of a step; for gd all of the finite set
  std::int64_t given_batch = 1;  ///< as it was written
  double time = 0;               ///< rescaled time that was asked for; 0: steps were
  Schedule schedule;             ///< steps of the run and between records
  bool until_stationary = false;

  MeasureSettings measure;

  /// Makes these the settings of a fork that starts at `step`: its own steps come after those of its parent, and rates
  /// that depend on the length of the run count both. `step` is that of the parent's state, `began` where the state of
  /// the optimiser was zero. Throws UserError if that makes too many steps.
  void start_at(std::int64_t step, std::int64_t began);

  /// For messages: "key = value", the value as it was written.
  std::string written(std::string_view key) const { return std::string(key) + " = " + values.text(key); }
  /// Rescaled time of the run's own steps at a constant rate.
  double end_time() const { return time > 0 ? time : rescaled_time(learning_rate, batch, schedule.length()); }
};

/// Turns the text of sweep points into settings. Data sets that gd takes whole are counted once.
class SettingsReader {
 public:
  /// Throws UserError naming the key, its value and what is allowed. Ranges that a part of the program checks itself
  /// (a network's sizes, noise, rates) are checked there.
  Settings read(const Point& point);

 private:
  std::int64_t step_batch(const Point& point, const Settings& settings);

  std::map<std::string, std::int64_t> rows_;  ///< of a data set, by its name and data.samples
};

}  // namespace sharpseek
