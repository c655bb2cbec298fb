#pragma once

#include <string>

#include "core/progress.h"
#include "engine/make_engine.h"
#include "experiments/run/measure_record.h"

namespace sharpseek {

struct MeasureRunOptions {
  EngineOptions engine;
  int batch = 0;             ///< 0: the run's
  std::int64_t samples = 0;  ///< of the evaluation set; 0: the run's
  std::int64_t memory = std::int64_t{1} << 30;
  ProgressDisplay progress = no_progress;
};

/// Measures the weights stored in a run file: every time with keep_parameters, else its checkpoint. Data, noise and
/// evaluation set are rebuilt from the configuration in the file. Throws UserError naming the file.
MeasureRecord measure_run(const std::string& path, const ProbeOptions& options, const MeasureRunOptions& choices);

}  // namespace sharpseek
