#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/cuda/device_drawing.h"
#include "engine/cuda/lane_device.h"
#include "engine/engine.h"
#include "engine/lane_layout.h"

namespace sharpseek {

/// SGD of groups of replicas, many steps a launch. A launch is kept near kLaunchSeconds by timing the one before, so
/// that a display or a scheduler gets its turn and an interrupt is seen; how steps are cut changes no bit.
class DeviceStepper : public Stepper {
 public:
  /// `program` and `plan` must outlive the stepper. Throws UserError when the problem's sizes do not fit each other.
  DeviceStepper(const Program& program, const LaneDevice& device, const DevicePlan& plan, TrainingProblem problem);

  void advance(TrainingState& state, std::int64_t steps) override;

  /// The kernel of fixed sizes that runs, or nothing: that of all programs.
  const std::optional<lanes::StepKernel>& fixed() const { return fixed_; }
  /// Which kernel runs the steps, and why, in one line.
  const std::string& description() const { return description_; }

 private:
  void choose_kernel();
  void place_arrays();
  std::int64_t groups_at_once() const;
  /// What a state is on the device, packed.
  struct Packed {
    at::Tensor weights;
    std::vector<at::Tensor> slots;
    at::Tensor loss_sum;
    at::Tensor loss_count;
    at::Tensor diverged_at;
    at::Tensor workspace;
  };
  Packed pack(const TrainingState& state) const;
  void unpack(const Packed& packed, TrainingState& state) const;
  /// Steps of `groups` groups from the first one on, but for which ones.
  lanes::DeviceTrainJob train_job(const Packed& packed, std::int64_t first, std::int64_t groups) const;
  /// Steps of a launch, after one of `steps` that took so long.
  std::int64_t next_launch_steps(std::int64_t steps, double seconds) const;
  /// What the steps first .. first + steps - 1 multiply by: StepScale [steps] as bytes of the device.
  at::Tensor scales(std::int64_t first, std::int64_t steps) const;

  LaneDevice device_;
  const DevicePlan& plan_;
  TrainingProblem problem_;
  lanes::LaneLayout layout_;
  DevicePlan teacher_;
  DeviceDrawing drawing_;
  at::Tensor teacher_weights_;  ///< [P of the teacher, 32]
  at::Tensor learning_rates_;   ///< [G, 1, 32]
  at::Tensor momenta_;          ///< [G, 1, 32], or undefined: 0
  at::Tensor weight_decays_;    ///< [G, 1, 32], or undefined: 0
  at::Tensor sam_radii_;        ///< [G, 1, 32] for SAM
  lanes::DeviceTrainJob job_{};
  std::optional<lanes::StepKernel> fixed_;
  std::string description_;
  std::int64_t launch_steps_ = 32;
};

}  // namespace sharpseek
