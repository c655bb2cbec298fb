#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/cuda/lane_device.h"
#include "engine/engine.h"

namespace sharpseek {

/// What mini-batches of a problem are drawn from, in the memory of a device.
class DeviceDrawing {
 public:
  DeviceDrawing(const TrainingProblem& problem, at::Device device);
  const lanes::DeviceDraws& draws() const { return draws_; }
  /// The same for the replicas of groups `first` and up.
  lanes::DeviceDraws from_group(std::int64_t first) const;
  /// Every replica has online data with Sigma_x = I and fresh Gaussian noise that does not depend on the input.
  bool plain() const { return plain_; }

 private:
  lanes::DeviceDraws draws_{};
  bool plain_ = true;
  std::vector<at::Tensor> storage_;
};

/// Fills float32 tensors of the device, inputs [steps, E, batch, ..] and noise [steps, E, batch, outputs], with the
/// problem's mini-batches of the steps from first_step on: for engines that take tensors.
std::function<void(std::int64_t first_step, const at::Tensor& inputs, const at::Tensor& noise)> batch_drawing(
    const TrainingProblem& problem, LaneDevice device);

}  // namespace sharpseek
