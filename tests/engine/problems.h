#pragma once

#include <memory>

#include "engine/engine.h"
#include "models/model.h"

namespace sharpseek::testing_support {

inline TaskOptions task_for(const ModelOptions& model) {
  TaskOptions options;
  options.inputs = model.inputs;
  options.outputs = model.outputs;
  options.sequence = model.sequence;
  options.teacher.specification = "mlp";
  return options;
}

/// A problem of E replicas with different noise, rates and keys.
inline TrainingProblem problem_of(const ModelOptions& model, std::size_t replicas, double rate, int batch = 2) {
  TrainingProblem problem;
  problem.task = std::make_shared<const Task>(make_task(task_for(model), 1));
  problem.batch = batch;
  for (std::size_t e = 0; e < replicas; ++e) {
    NoiseOptions noise;
    noise.condition = 1 + static_cast<double>(e);
    noise.rotation = e % 2 == 0 ? "axes" : "random";
    problem.noise.push_back(make_noise(noise, model.outputs, nullptr, 1));
    problem.replica_keys.push_back(1000 + e);
    problem.learning_rates.push_back(rate * (1 + 0.1 * static_cast<double>(e % 10)));
  }
  return problem;
}

/// The parts of a problem that belong to these replicas, in this order.
inline TrainingProblem chosen(const TrainingProblem& problem, const std::vector<std::int64_t>& replicas) {
  TrainingProblem part = problem;
  part.noise.clear();
  part.replica_keys.clear();
  part.learning_rates.clear();
  for (std::int64_t e : replicas) {
    const auto i = static_cast<std::size_t>(e);
    part.noise.push_back(problem.noise[i]);
    part.replica_keys.push_back(problem.replica_keys[i]);
    part.learning_rates.push_back(problem.learning_rates[i]);
  }
  return part;
}

}  // namespace sharpseek::testing_support
