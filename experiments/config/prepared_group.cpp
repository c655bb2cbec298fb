#include "experiments/config/prepared_group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <vector>

namespace sharpseek {

TrainingProblem training_problem(const PreparedGroup& prepared) {
  const Settings& settings = prepared.settings();
  TrainingProblem problem;
  problem.task = prepared.task;
  problem.noise = prepared.noise;
  problem.optimizer = settings.optimizer;
  problem.loss = settings.loss;
  problem.batch = static_cast<int>(settings.batch);
  for (const Replica& replica : prepared.group.replicas) {
    problem.replica_keys.push_back(replica.key);
    problem.learning_rates.push_back(replica.settings->learning_rate);
    problem.momenta.push_back(replica.settings->momentum);
    problem.weight_decays.push_back(replica.settings->weight_decay);
    problem.sam_radii.push_back(replica.settings->sam_radius);
  }
  return problem;
}

at::Tensor initial_weights(const PreparedGroup& prepared) {
  std::vector<at::Tensor> rows;
  for (const std::vector<double>& own : prepared.weights) rows.push_back(at::tensor(own, at::kDouble));
  return at::stack(rows);
}

std::vector<std::string> remarks_of(const std::vector<PreparedGroup>& groups) {
  std::vector<std::string> remarks;
  for (const PreparedGroup& group : groups) {
    for (const std::string& remark : group.remarks) {
      if (std::find(remarks.begin(), remarks.end(), remark) == remarks.end()) remarks.push_back(remark);
    }
  }
  return remarks;
}

}  // namespace sharpseek
