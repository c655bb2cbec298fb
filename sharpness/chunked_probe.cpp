#include "sharpness/chunked_probe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "sharpness/replica_chunk.h"

namespace sharpseek {

ChunkedProbe::ChunkedProbe(Engine& engine, const EvaluationData& data, const TrainingProblem& problem,
                           const ProbeOptions& options) {
  chunk_ = replicas_of_chunk(engine.program().parameter_count());
  const auto replicas = static_cast<std::int64_t>(problem.noise.size());
  for (std::int64_t first = 0; first < replicas; first += chunk_) {
    // Neighbouring replicas, each chunk with its own part of the problem.
    std::vector<std::size_t> rows(static_cast<std::size_t>(std::min(chunk_, replicas - first)));
    std::iota(rows.begin(), rows.end(), static_cast<std::size_t>(first));
    probes_.push_back(std::make_unique<Probe>(engine, data, problem.of(rows), options));
  }
}

at::Tensor ChunkedProbe::label_error() const {
  std::vector<at::Tensor> parts;
  for (const auto& probe : probes_) parts.push_back(probe->label_error());
  return parts.front().defined() ? at::cat(parts) : at::Tensor();
}

std::optional<Measurement> ChunkedProbe::measure(const at::Tensor& parameters, std::int64_t step,
                                                 const Interruption& interrupted,
                                                 const std::vector<at::Tensor>& optimizer) {
  std::map<std::string, std::vector<at::Tensor>> parts;
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    // A record is whole or not there: what other chunks have measured is dropped.
    if (i > 0 && interrupted()) return std::nullopt;
    const std::int64_t first = static_cast<std::int64_t>(i) * chunk_;
    const auto own = [&](const at::Tensor& x) { return x.slice(0, first, std::min(x.size(0), first + chunk_)); };
    std::vector<at::Tensor> slots;
    for (const at::Tensor& slot : optimizer) slots.push_back(own(slot));
    for (auto& [name, values] : probes_[i]->measure(own(parameters), step, slots)) {
      parts[name].push_back(values);
    }
  }
  // All chunks have measured the same variables: joined along the replicas.
  Measurement result;
  for (const auto& [name, values] : parts) result[name] = values.size() == 1 ? values.front() : at::cat(values);
  return result;
}

at::Tensor ChunkedProbe::tracked() const {
  std::vector<at::Tensor> parts;
  for (const auto& probe : probes_) parts.push_back(probe->tracked());
  return parts.front().defined() ? at::cat(parts) : at::Tensor();
}

void ChunkedProbe::track(const at::Tensor& vectors) {
  if (!vectors.defined()) return;
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    const std::int64_t first = static_cast<std::int64_t>(i) * chunk_;
    probes_[i]->track(vectors.slice(0, first, std::min(vectors.size(0), first + chunk_)));
  }
}

void ChunkedProbe::accept() {
  for (const auto& probe : probes_) probe->accept();
}

}  // namespace sharpseek
