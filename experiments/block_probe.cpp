#include "experiments/block_probe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "sharpness/block.h"

namespace sharpseek {

BlockProbe::BlockProbe(Engine& engine, const EvaluationData& data, const std::vector<Noise>& noise, int batch,
                       const ProbeOptions& options) {
  block_ = replicas_of_block(engine.program().parameter_count());
  const auto replicas = static_cast<std::int64_t>(noise.size());
  for (std::int64_t first = 0; first < replicas; first += block_) {
    const std::int64_t last = std::min(replicas, first + block_);
    probes_.push_back(std::make_unique<Probe>(
        engine, data, std::vector<Noise>(noise.begin() + first, noise.begin() + last), batch, options));
  }
}

std::optional<Measurement> BlockProbe::measure(const at::Tensor& parameters, std::int64_t step,
                                               const std::atomic<bool>& stop) {
  std::map<std::string, std::vector<at::Tensor>> parts;
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    if (i > 0 && stop.load(std::memory_order_relaxed)) return std::nullopt;
    const std::int64_t first = static_cast<std::int64_t>(i) * block_;
    const at::Tensor own = parameters.slice(0, first, std::min(parameters.size(0), first + block_));
    for (auto& [name, values] : probes_[i]->measure(own, step)) parts[name].push_back(values);
  }
  Measurement result;
  for (const auto& [name, values] : parts) result[name] = values.size() == 1 ? values.front() : at::cat(values);
  return result;
}

}  // namespace sharpseek
