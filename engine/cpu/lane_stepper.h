#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.h"
#include "engine/cpu/kernels.h"
#include "engine/engine.h"
#include "engine/kernels/lane_plan.h"
#include "engine/lane_layout.h"

namespace sharpseek::lanes {

/// SGD of many groups of lanes: cuts the steps into slices and lets threads take (group, slice) in turn, so that all
/// cores are busy also when there are fewer groups than cores would like.
template <class Real>
class LaneStepper : public Stepper {
 public:
  /// Everything referred to must outlive the stepper. Throws UserError when the problem's sizes do not fit each other.
  /// `parts` leaves parts of a step out (StepPart), for a benchmark to see what each costs.
  LaneStepper(const Program& program, PlanView plan, const Kernels<Real>& kernels, ThreadPool& pool,
              TrainingProblem problem, unsigned parts = kWholeStep);

  void advance(TrainingState& state, std::int64_t steps) override;

 private:
  /// What the mini-batches of a group are.
  DrawJob<Real> draw_job(std::int64_t group) const;
  /// What labels that are distributions are made of.
  void prepare_labels();
  /// A TrainingState as kernels take it, with what each replica has for its own: [G][..][L].
  struct Packed {
    at::Tensor weights;
    std::vector<at::Tensor> slots;
    at::Tensor learning_rates;
    at::Tensor momenta;  ///< empty where none has any, as the next two
    at::Tensor weight_decays;
    at::Tensor sam_radii;
    std::vector<double> loss_sum;  ///< [G L], as the next two
    std::vector<std::int64_t> loss_count;
    std::vector<std::int64_t> diverged_at;
  };
  Packed pack(const TrainingState& state) const;
  void unpack(const Packed& packed, TrainingState& state) const;
  /// Steps of one group, but for which ones.
  TrainJob<Real> train_job(Packed& packed, std::int64_t group, const UpdateRule<Real>& rule) const;
  /// The replica that lane `lane` of `group` holds; filled-up lanes repeat the last one.
  std::size_t replica(std::int64_t group, std::int64_t lane) const;

  PlanView plan_;
  const Kernels<Real>& kernels_;
  ThreadPool& pool_;
  TrainingProblem problem_;
  unsigned parts_;
  LaneLayout layout_;
  LanePlan teacher_;
  std::vector<Real> teacher_weights_;
  std::vector<Real> input_factor_;
  at::Tensor noise_factors_;         ///< [G, outputs^2, L]
  std::vector<std::uint64_t> keys_;  ///< [G L]
  std::vector<bool> diagonal_;       ///< [G]
  std::vector<Real> dataset_;        ///< [N, tokens x inputs] of finite sets
  std::vector<NoiseKind> kinds_;     ///< [G L]
  std::vector<Real> residuals_;      ///< [N, outputs] of a data set with measured outputs
  at::Tensor heteroscedastic_;       ///< [G L]
  bool depends_on_input_ = false;    ///< some noise does
  std::vector<Real> label_scale_;    ///< [outputs] of labels that are distributions
  std::vector<Real> label_offset_;   ///< [outputs]
  std::vector<Real> logits_;         ///< [N, outputs] of Task::logits
  at::Tensor whole_labels_;          ///< [G, N x outputs, L] of gradient descent on labels that are distributions
};

}  // namespace sharpseek::lanes
