#pragma once

#include <memory>
#include <string>

#include "core/parallel.h"
#include "engine/cpu/kernels.h"
#include "engine/engine.h"
#include "engine/kernels/lane_plan.h"
#include "engine/lane_layout.h"

namespace sharpseek {

/// Replicas as SIMD lanes on the CPU (docs/engine.md): for ensembles of small networks, exact to rounding and bit for
/// bit the same whatever the threads, the order of replicas or their company, for a given instruction set.
template <class Real>
class LaneEngine : public Engine {
 public:
  /// `isa` as chosen by choose_instruction_set; threads 0: all.
  LaneEngine(Program program, std::string isa, int threads);

  const Program& program() const override { return program_; }
  at::TensorOptions options() const override;
  std::string description() const override;
  int threads() const override { return pool_.threads(); }

  at::Tensor outputs(const at::Tensor& parameters, const at::Tensor& inputs) override;
  at::Tensor loss(const at::Tensor& parameters, const Samples& samples) override;
  LossGradient loss_gradient(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<LinearOperator> hessian(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<LinearOperator> residual_curvature(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<LinearOperator> gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                               const at::Tensor& metric) override;
  at::Tensor per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                 const at::Tensor& cotangents) override;
  PullbackSums pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                             const at::Tensor& cotangents) override;
  at::Tensor jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                              const at::Tensor& vectors) override;
  at::Tensor pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& cotangents,
                                 const at::Tensor& directions) override;
  std::unique_ptr<Stepper> stepper(const TrainingProblem& problem) override;

 private:
  lanes::LaneLayout layout(const at::Tensor& parameters) const;
  /// Calls body(group, first sample, samples) for pieces of kPiece samples of every group, on all threads.
  template <class Body>
  void each_piece(std::int64_t groups, std::int64_t samples, Body body);

  Program program_;
  lanes::LanePlan plan_;
  std::string isa_;
  const lanes::Kernels<Real>& kernels_;
  ThreadPool pool_;
};

}  // namespace sharpseek
