#pragma once

#include <functional>

#include "engine/engine.h"

namespace sharpseek {

/// The evaluation set of a task: `count` inputs (data/task.h, evaluation_inputs) with f*(x) as targets, computed in
/// float64 and rounded to the engine's dtype, on its device. A finite task is evaluated on its own samples instead, or
/// on those that it holds out for that (Task::test), and `count` is not used: its population is the data set.
Samples evaluation_samples(const Task& task, std::int64_t count, at::TensorOptions options);

/// `count` new samples with clean labels that belong to `step` (Stream::kFreshInputs), as training draws inputs: their
/// means are unbiased, where those over one fixed set err by the same amount at every record. A finite task gives its
/// data set.
Samples fresh_samples(const Task& task, std::int64_t count, std::int64_t step, at::TensorOptions options);

/// What a probe measures on.
struct EvaluationData {
  Samples fixed;                                    ///< at every record: curvature, risk, fluctuation
  std::function<Samples(std::int64_t step)> fresh;  ///< new ones at each record: balances; empty: the fixed ones
};

/// evaluation_samples(count), and of an online task four times as many fresh ones at each record. The fresh inputs are
/// shared by replicas: at a record their error is common to all of them, but over the records of a window it averages
/// out below a seed's own. `task` must outlive the result.
EvaluationData evaluation_data(const Task& task, std::int64_t count, at::TensorOptions options);

}  // namespace sharpseek
