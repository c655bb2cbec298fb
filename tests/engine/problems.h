#pragma once

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "models/model.h"

namespace sharpseek::testing_support {

inline TaskOptions task_for(const ModelOptions& model) {
  TaskOptions options;
  options.inputs = model.inputs;
  options.outputs = model.outputs * output_tokens(model);
  options.output_tokens = output_tokens(model);
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
    noise.tokens = output_tokens(model);
    problem.noise.push_back(make_noise(noise, problem.task->outputs, nullptr, 1));
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

/// The rules with everything on, different in every replica.
inline std::vector<TrainingProblem> optimizer_problems(const ModelOptions& model, std::size_t replicas) {
  std::vector<TrainingProblem> all;
  for (const char* kind : {"sgd", "sam", "adam", "gd", "rmsprop", "lion"}) {
    for (const char* schedule : {"constant", "cosine:0.1"}) {
      TrainingProblem problem = problem_of(model, replicas, 0.004);
      problem.optimizer = {
          .kind = optimizer_kind(kind), .beta1 = 0.8, .beta2 = 0.95, .schedule = RateSchedule(schedule, 20)};
      for (std::size_t e = 0; e < replicas; ++e) {
        problem.momenta.push_back(traits(problem.optimizer.kind).momentum ? 0.5 + 0.1 * static_cast<double>(e) : 0);
        problem.weight_decays.push_back(0.1 * static_cast<double>(e));
        problem.sam_radii.push_back(0.05 + 0.05 * static_cast<double>(e));
      }
      // Noise of every kind on the way: dependent on the input, residuals of a data set, fresh and fixed.
      if (traits(problem.optimizer.kind).betas) problem.noise[1].heteroscedastic = 0.6;
      if (problem.optimizer.kind == OptimizerKind::kGd || problem.optimizer.kind == OptimizerKind::kSam) {
        TaskOptions options = task_for(model);
        options.samples = 7;
        Task task = make_task(options, 1);
        task.residuals = Matrix::NullaryExpr(7, task.outputs, [](Eigen::Index i, Eigen::Index o) {
          return std::sin(1.0 + 3.0 * static_cast<double>(i) + 0.7 * static_cast<double>(o));
        });
        problem.task = std::make_shared<const Task>(std::move(task));
        problem.noise[1].fixed = true;
        problem.noise[2].distribution = NoiseDistribution::kMeasured;
        problem.noise[2].fixed = problem.optimizer.kind == OptimizerKind::kGd;
      }
      if (problem.optimizer.kind == OptimizerKind::kGd) problem.batch = 7;
      all.push_back(std::move(problem));
    }
  }
  return all;
}

}  // namespace sharpseek::testing_support
