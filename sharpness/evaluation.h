#pragma once

#include "engine/engine.h"

namespace sharpseek {

/// The evaluation set of a task: `count` inputs (data/task.h, evaluation_inputs) with clean labels f*(x), computed in
/// float64 and rounded to the engine's dtype, on its device. A finite task is evaluated on its own samples instead, and
/// `count` is not used: its population is the data set.
Samples evaluation_samples(const Task& task, std::int64_t count, at::TensorOptions options);

}  // namespace sharpseek
