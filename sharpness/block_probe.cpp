#include "sharpness/block_probe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "sharpness/block.h"

namespace sharpseek {

BlockProbe::BlockProbe(Engine& engine, const EvaluationData& data, const TrainingProblem& problem,
                       const ProbeOptions& options) {
  block_ = replicas_of_block(engine.program().parameter_count());
  const auto replicas = static_cast<std::int64_t>(problem.noise.size());
  for (std::int64_t first = 0; first < replicas; first += block_) {
    std::vector<std::size_t> rows(static_cast<std::size_t>(std::min(block_, replicas - first)));
    std::iota(rows.begin(), rows.end(), static_cast<std::size_t>(first));
    probes_.push_back(std::make_unique<Probe>(engine, data, problem.of(rows), options));
  }
}

at::Tensor BlockProbe::label_error() const {
  std::vector<at::Tensor> parts;
  for (const auto& probe : probes_) parts.push_back(probe->label_error());
  return parts.front().defined() ? at::cat(parts) : at::Tensor();
}

std::optional<Measurement> BlockProbe::measure(const at::Tensor& parameters, std::int64_t step,
                                               const Interruption& interrupted) {
  std::map<std::string, std::vector<at::Tensor>> parts;
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    if (i > 0 && interrupted()) return std::nullopt;
    const std::int64_t first = static_cast<std::int64_t>(i) * block_;
    const at::Tensor own = parameters.slice(0, first, std::min(parameters.size(0), first + block_));
    for (auto& [name, values] : probes_[i]->measure(own, step)) parts[name].push_back(values);
  }
  Measurement result;
  for (const auto& [name, values] : parts) result[name] = values.size() == 1 ? values.front() : at::cat(values);
  return result;
}

}  // namespace sharpseek
