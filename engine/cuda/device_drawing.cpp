#include "engine/cuda/device_drawing.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/random.h"
#include "data/batch.h"

namespace sharpseek {

using lanes::kDeviceLanes;

namespace {

template <class Values>
std::vector<float> rounded(const Values& matrix) {
  std::vector<float> values;
  for (Eigen::Index i = 0; i < matrix.size(); ++i) values.push_back(static_cast<float>(matrix.data()[i]));
  return values;
}

/// Gradient descent's labels [G][N x outputs][32] where they are no values.
std::vector<float> whole_labels(const TrainingProblem& problem, std::size_t places) {
  const Task& task = *problem.task;
  const auto size = static_cast<std::size_t>(task.dataset.rows() * task.outputs);
  std::vector<float> packed(places * size);
  std::vector<float> own;
  for (std::size_t at = 0; at < places; ++at) {
    // Places beyond the last replica repeat it.
    if (at < problem.noise.size()) own = full_batch_labels<float>(task, problem.noise[at], problem.replica_keys[at]);
    const std::size_t first = at / kDeviceLanes * size * kDeviceLanes + at % kDeviceLanes;
    for (std::size_t i = 0; i < size; ++i) packed[first + i * kDeviceLanes] = own[i];
  }
  return packed;
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
      // [G][outputs^2][32]
      factors[(group * outputs * outputs + i) * kDeviceLanes + at % kDeviceLanes] = factor[i];
    }
    kinds.push_back(lanes::noise_kind(noise));
    heteroscedastic.push_back(static_cast<float>(noise.heteroscedastic));
    keys.push_back(problem.replica_keys[e]);
    plain_ = plain_ && kinds.back() == lanes::NoiseKind::kGaussian;
    depends_on_input = depends_on_input || noise.heteroscedastic > 0;
  }
  plain_ = plain_ && task.online() && task.identity_inputs && !depends_on_input;

  // Tables to the device; a null pointer means that there is none.
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

  // One key for each stream of random numbers.
  draws_.training = stream_key(task.seed, Stream::kTraining);
  draws_.noise_signs = stream_key(task.seed, Stream::kNoiseSigns);
  draws_.sample_index = stream_key(task.seed, Stream::kSampleIndex);
  draws_.permutation = stream_key(task.seed, Stream::kPermutation);
  draws_.fixed_noise = stream_key(task.seed, Stream::kFixedNoise);
  draws_.fixed_signs = stream_key(task.seed, Stream::kFixedSigns);
  draws_.label_words = stream_key(task.seed, Stream::kLabels);
  draws_.fixed_labels = stream_key(task.seed, Stream::kFixedLabels);
  draws_.logits = task.logits.rows() > 0 ? place(rounded(task.logits)) : nullptr;

  // Classification: how labels are made, or, for gradient descent, the labels.
  if (!task.labels.distributions()) return;
  draws_.labels = {task.labels.kind, place(rounded(task.labels.scale)), place(rounded(task.labels.offset)),
                   task.labels.tokens};
  if (problem.full_batch()) draws_.whole_labels = place(whole_labels(problem, places));
}

lanes::DeviceDraws DeviceDrawing::from_group(std::int64_t first) const {
  lanes::DeviceDraws part = draws_;
  // Everything that is by replica moves on; streams and data are shared.
  const std::int64_t places = first * kDeviceLanes;
  part.noise_factor += places * draws_.outputs * draws_.outputs;
  part.noise_kind += places;
  if (part.heteroscedastic != nullptr) part.heteroscedastic += places;
  part.keys += places;
  if (part.whole_labels != nullptr) part.whole_labels += places * part.batch * part.outputs;
  return part;
}

std::function<void(std::int64_t, const at::Tensor&, const at::Tensor&)> batch_drawing(const TrainingProblem& problem,
                                                                                      LaneDevice device) {
  const auto drawing = std::make_shared<DeviceDrawing>(problem, device.device);
  return [drawing, device](std::int64_t first_step, const at::Tensor& inputs, const at::Tensor& noise) {
    const std::int64_t steps = inputs.size(0);
    const std::int64_t replicas = inputs.size(1);
    // One launch draws the mini-batches of all steps, each in a space of its own.
    const at::Tensor space = at::empty({steps * replicas, lanes::draw_elements(drawing->draws())}, inputs.options());
    device.kernels->draw({drawing->draws(), static_cast<int>(replicas), first_step, static_cast<int>(steps),
                          inputs.data_ptr<float>(), noise.data_ptr<float>(), space.data_ptr<float>()},
                         device.stream());
  };
}

}  // namespace sharpseek
