#include "engine/cuda/device_drawing.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/random.h"

namespace sharpseek {

using lanes::kDeviceLanes;

namespace {

std::vector<float> rounded(const Matrix& matrix) {
  std::vector<float> values;
  for (Eigen::Index i = 0; i < matrix.size(); ++i) values.push_back(static_cast<float>(matrix.data()[i]));
  return values;
}

}  // namespace

DeviceDrawing::DeviceDrawing(const TrainingProblem& problem, at::Device device) {
  const Task& task = *problem.task;
  const std::size_t replicas = problem.noise.size();
  const std::size_t places = (replicas + kDeviceLanes - 1) / kDeviceLanes * kDeviceLanes;
  const auto outputs = static_cast<std::size_t>(task.outputs);
  std::vector<float> factors(places * outputs * outputs);
  std::vector<lanes::NoiseKind> kinds;
  std::vector<float> heteroscedastic;
  std::vector<std::uint64_t> keys;
  bool depends_on_input = false;
  for (std::size_t at = 0; at < places; ++at) {
    const std::size_t e = std::min(at, replicas - 1);
    const Noise& noise = problem.noise[e];
    const std::size_t group = at / kDeviceLanes;
    const std::vector<float> factor = rounded(noise.factor);
    for (std::size_t i = 0; i < factor.size(); ++i) {
      factors[(group * outputs * outputs + i) * kDeviceLanes + at % kDeviceLanes] = factor[i];
    }
    kinds.push_back(lanes::noise_kind(noise));
    heteroscedastic.push_back(static_cast<float>(noise.heteroscedastic));
    keys.push_back(problem.replica_keys[e]);
    plain_ = plain_ && kinds.back() == lanes::NoiseKind::kGaussian;
    depends_on_input = depends_on_input || noise.heteroscedastic > 0;
  }
  plain_ = plain_ && task.online() && task.identity_inputs && !depends_on_input;

  const auto place = [&]<class T>(const std::vector<T>& values) {
    storage_.push_back(upload(values.data(), values.size() * sizeof(T), device));
    return static_cast<const T*>(storage_.back().data_ptr());
  };
  draws_.batch = problem.batch;
  draws_.inputs = task.inputs;
  draws_.input_size = task.input_size();
  draws_.outputs = task.outputs;
  draws_.input_factor = task.identity_inputs ? nullptr : place(rounded(task.input_factor));
  draws_.noise_factor = place(factors);
  draws_.noise_kind = place(kinds);
  draws_.heteroscedastic = depends_on_input ? place(heteroscedastic) : nullptr;
  draws_.keys = place(keys);
  draws_.dataset = task.online() ? nullptr : place(rounded(task.dataset));
  draws_.residuals = task.residuals.rows() > 0 ? place(rounded(task.residuals)) : nullptr;
  draws_.dataset_size = static_cast<std::uint32_t>(task.dataset.rows());
  draws_.replacement = task.replacement;
  draws_.full_batch = problem.full_batch();
  draws_.training = stream_key(task.seed, Stream::kTraining);
  draws_.noise_signs = stream_key(task.seed, Stream::kNoiseSigns);
  draws_.sample_index = stream_key(task.seed, Stream::kSampleIndex);
  draws_.permutation = stream_key(task.seed, Stream::kPermutation);
  draws_.fixed_noise = stream_key(task.seed, Stream::kFixedNoise);
  draws_.fixed_signs = stream_key(task.seed, Stream::kFixedSigns);
}

lanes::DeviceDraws DeviceDrawing::from_group(std::int64_t first) const {
  lanes::DeviceDraws part = draws_;
  const std::int64_t places = first * kDeviceLanes;
  part.noise_factor += places * draws_.outputs * draws_.outputs;
  part.noise_kind += places;
  if (part.heteroscedastic != nullptr) part.heteroscedastic += places;
  part.keys += places;
  return part;
}

std::function<void(std::int64_t, const at::Tensor&, const at::Tensor&)> batch_drawing(const TrainingProblem& problem,
                                                                                      LaneDevice device) {
  const auto drawing = std::make_shared<DeviceDrawing>(problem, device.device);
  return [drawing, device](std::int64_t first_step, const at::Tensor& inputs, const at::Tensor& noise) {
    const std::int64_t steps = inputs.size(0);
    const std::int64_t replicas = inputs.size(1);
    const at::Tensor space = at::empty({steps * replicas, lanes::draw_elements(drawing->draws())}, inputs.options());
    device.kernels->draw({drawing->draws(), static_cast<int>(replicas), first_step, static_cast<int>(steps),
                          inputs.data_ptr<float>(), noise.data_ptr<float>(), space.data_ptr<float>()},
                         device.stream());
  };
}

}  // namespace sharpseek
