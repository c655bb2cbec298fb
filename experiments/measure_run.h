#pragma once

#include <string>

#include "experiments/hdf5_input.h"
#include "experiments/measure_record.h"

namespace sharpseek {

struct MeasureRunOptions {
  EngineOptions engine;
  int batch = 0;             ///< 0: the run's
  std::int64_t samples = 0;  ///< of the evaluation set; 0: the run's
  std::int64_t memory = std::int64_t{1} << 30;
  bool quiet = false;
};

/// Measures the weights stored in a run file: every time with keep_parameters, else its checkpoint. Data, noise and
/// evaluation set are rebuilt from the configuration in the file. Throws UserError naming the file.
MeasureRecord measure_run(const std::string& path, const ProbeOptions& options, const MeasureRunOptions& choices);

}  // namespace sharpseek
