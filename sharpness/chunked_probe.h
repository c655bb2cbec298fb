#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/interruption.h"
#include "sharpness/probe.h"

namespace sharpseek {

/// Measures replicas chunk by chunk, so that memory stays bounded however many there are and a signal is seen between
/// chunks. Values are those of one Probe over all of them.
class ChunkedProbe {
 public:
  /// `engine` must outlive the probe.
  ChunkedProbe(Engine& engine, const EvaluationData& data, const TrainingProblem& problem, const ProbeOptions& options);

  const std::vector<const Quantity*>& quantities() const { return probes_.front()->quantities(); }
  const std::vector<Balance>& balances() const { return probes_.front()->balances(); }
  std::int64_t eigenvalues() const { return probes_.front()->eigenvalues(); }
  /// Of all replicas, as Probe has it.
  at::Tensor label_error() const;

  /// Probe::measure of all replicas; nothing if interrupted before the last chunk.
  std::optional<Measurement> measure(const at::Tensor& parameters, std::int64_t step, const Interruption& interrupted,
                                     const std::vector<at::Tensor>& optimizer = {});

  /// Probe::tracked of all replicas, and where it is taken up again.
  at::Tensor tracked() const;
  void track(const at::Tensor& vectors);
  void accept();

 private:
  std::int64_t chunk_;  ///< replicas of a chunk
  std::vector<std::unique_ptr<Probe>> probes_;
};

}  // namespace sharpseek
