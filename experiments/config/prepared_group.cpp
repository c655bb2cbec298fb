#include "experiments/config/prepared_group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace sharpseek {

TrainingProblem training_problem(const PreparedGroup& prepared) {
  const Settings& settings = prepared.settings();
  TrainingProblem problem;
  problem.task = prepared.task;
  problem.noise = prepared.noise;
  problem.optimizer = settings.optimizer;
  problem.loss = {settings.loss, prepared.task->labels.tokens};
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

TrainingState initial_state(const PreparedGroup& prepared, const at::TensorOptions& options, int slots) {
  TrainingState state = initial_state(initial_weights(prepared).to(options), slots);
  if (!prepared.fork) return state;
  const ForkStart& fork = *prepared.fork;
  state.step = fork.step;
  state.loss_sum = fork.loss_sum;
  state.loss_count = fork.loss_count;
  state.diverged_at = fork.diverged_at;
  for (std::size_t i = 0; i < fork.slots.size(); ++i) {
    state.slots[i] = at::tensor(fork.slots[i], at::kDouble).view(state.parameters.sizes()).to(options);
  }
  return state;
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
