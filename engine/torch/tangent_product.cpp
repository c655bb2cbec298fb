#include "engine/torch/tangent_product.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/torch/tensor_op.h"

namespace sharpseek {
namespace {

/// Tensors of one value's size that a pass holds per op: value, slope, gradient, bend, and as many tangents.
constexpr std::int64_t kTensorsPerValue = 8;

std::int64_t values_of(const Program& program) {
  std::int64_t sum = 0;
  for (const ValueShape& shape : program.values()) sum += std::int64_t{shape.tokens} * shape.features;
  return sum + 2 * score_elements(program);
}

}  // namespace

TangentProduct::TangentProduct(const Program& program, const at::Tensor& parameters, Samples samples,
                               std::int64_t memory)
    : CurvatureMatrix(parameters),
      pass_(program),
      parameters_(parameters.detach()),
      inputs_(samples.inputs.dim() == 4 ? samples.inputs : samples.inputs.unsqueeze(0)),
      targets_(std::move(samples.targets)),
      loss_(samples.loss),
      values_per_sample_(values_of(program)) {
  plan(memory);
}

TangentProduct::TangentProduct(const Program& program, const at::Tensor& parameters, const at::Tensor& inputs,
                               at::Tensor metric, std::int64_t memory)
    : CurvatureMatrix(parameters),
      pass_(program),
      parameters_(parameters.detach()),
      inputs_(inputs.unsqueeze(0)),
      metric_(std::move(metric)),
      values_per_sample_(values_of(program)) {
  plan(memory);
}

void TangentProduct::plan(std::int64_t memory) {
  const std::int64_t samples = inputs_.size(1);
  const std::int64_t sample_bytes =
      std::max<std::int64_t>(1, parameters_.size(0) * values_per_sample_ * kTensorsPerValue *
                                    static_cast<std::int64_t>(inputs_.element_size()));
  // Half of the memory is for one pass, the other half for what is kept.
  const std::int64_t fitting = std::max<std::int64_t>(1, memory / 2 / sample_bytes);
  chunk_ = std::min(samples, fitting);
  const std::int64_t chunks = (samples + chunk_ - 1) / chunk_;
  kept_chunks_ = chunks == 1 ? 1 : std::min(chunks, memory / 2 / (sample_bytes / 2 * chunk_ + 1));
  most_vectors_ = parameters_.size(0) == 1 ? std::clamp<std::int64_t>(fitting / chunk_, 1, 8) : 1;
  // Wide networks gain nothing from several directions at once.
  if (chunk_ * values_per_sample_ > (std::int64_t{1} << 18)) most_vectors_ = 1;
  tapes_.resize(static_cast<std::size_t>(kept_chunks_));
}

at::Tensor TangentProduct::part(Tape& tape, std::int64_t first, std::int64_t count, const at::Tensor& directions) {
  const DualTensor y = pass_.forward(tape, parameters_, directions, inputs_.narrow(1, first, count));
  DualTensor gradient;
  if (targets_.defined()) {
    // The gradient of the loss with respect to the outputs and its tangent.
    const double scale = traits(loss_).scale / static_cast<double>(inputs_.size(1));
    const at::Tensor targets = targets_.narrow(targets_.dim() - 2, first, count);
    gradient.value = tape.keep([&] { return output_gradient(loss_, y.value, targets) * scale; });
    gradient.tangent = output_curvature(loss_, y.value, targets, y.tangent) * scale;
  } else {
    // The gradient's value is zero and its tangent M J v: what remains of the Hessian's backward pass is J'.
    const at::Tensor m = metric_.size(1) == 1 ? metric_ : metric_.narrow(1, first, count);
    gradient.tangent = at::matmul(y.tangent.unsqueeze(2), m).squeeze(2);
  }
  return pass_.backward(tape, gradient);
}

at::Tensor TangentProduct::product(const at::Tensor& directions) {
  at::Tensor sum;
  const std::int64_t samples = inputs_.size(1);
  for (std::int64_t first = 0, chunk = 0; first < samples; first += chunk_, ++chunk) {
    Tape passing;
    Tape& tape = chunk < kept_chunks_ ? tapes_[static_cast<std::size_t>(chunk)] : passing;
    const at::Tensor next = part(tape, first, std::min(chunk_, samples - first), directions);
    sum = sum.defined() ? sum + next : next;
  }
  return sum;
}

at::Tensor TangentProduct::apply(const at::Tensor& vectors) {
  const c10::AutoGradMode no_graph(false);
  const std::int64_t count = vectors.size(1);
  std::vector<at::Tensor> products;  // each [E, some, P]
  for (std::int64_t first = 0; first < count; first += most_vectors_) {
    const std::int64_t some = std::min(most_vectors_, count - first);
    if (parameters_.size(0) == 1) {
      products.push_back(product(vectors[0].narrow(0, first, some)).unsqueeze(0));
    } else {
      products.push_back(product(vectors.select(1, first)).unsqueeze(1));
    }
  }
  return products.size() == 1 ? products.front() : at::cat(products, 1);
}

}  // namespace sharpseek
