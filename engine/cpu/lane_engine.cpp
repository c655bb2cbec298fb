#include "engine/cpu/lane_engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/lane_hessian.h"
#include "engine/cpu/lane_jobs.h"
#include "engine/cpu/lane_stepper.h"

namespace sharpseek {

using lanes::LaneLayout;

namespace {

template <class Real>
constexpr at::ScalarType kScalarType = std::is_same_v<Real, double> ? at::kDouble : at::kFloat;

/// Samples of one task: a number that depends on nothing, so that neither does the order of a sum over pieces.
constexpr std::int64_t kPiece = 8;

std::int64_t piece_count(std::int64_t samples) { return (samples + kPiece - 1) / kPiece; }

/// Where sample `first` of a group begins in packed per-sample values [G, N x M, L].
template <class Real>
Real* sample_at(const at::Tensor& packed, std::int64_t samples, std::int64_t group, std::int64_t first) {
  return packed.data_ptr<Real>() + group * packed.stride(0) + first * (packed.stride(0) / samples);
}

/// Where the part of a piece that starts at sample `first` stands in [pieces, G, P, L].
template <class Real>
Real* part_at(const at::Tensor& parts, std::int64_t group, std::int64_t first) {
  return parts.data_ptr<Real>() + first / kPiece * parts.stride(0) + group * parts.stride(1);
}

/// Sum over pieces of [pieces, G, P, L], in their order.
at::Tensor sum_of_pieces(const at::Tensor& parts) {
  at::Tensor sum = parts[0];
  for (std::int64_t piece = 1; piece < parts.size(0); ++piece) sum += parts[piece];
  return sum;
}

/// sum_n J_n' M_n J_n v: outputs' tangents, the metric, and each sample's pullback, a few samples at a time.
class LaneGaussNewton : public CurvatureMatrix {
 public:
  LaneGaussNewton(Engine& engine, at::Tensor parameters, at::Tensor inputs, at::Tensor metric)
      : CurvatureMatrix(parameters),
        engine_(engine),
        parameters_(std::move(parameters)),
        inputs_(std::move(inputs)),
        metric_(std::move(metric)) {}

  at::Tensor apply(const at::Tensor& vectors) override {
    // Few samples at once bound the memory; how many must not depend on the number of replicas, as the order of the
    // sum.
    constexpr std::int64_t kSamples = 8 * kPiece;
    const std::int64_t samples = inputs_.size(0);
    at::Tensor products = at::zeros_like(vectors);
    for (std::int64_t k = 0; k < vectors.size(1); ++k) {
      const at::Tensor v = vectors.select(1, k).contiguous();
      at::Tensor product = products.select(1, k);
      for (std::int64_t first = 0; first < samples; first += kSamples) {
        const std::int64_t count = std::min(kSamples, samples - first);
        const at::Tensor x = inputs_.narrow(0, first, count);
        const at::Tensor m = metric_.size(1) == 1 ? metric_ : metric_.narrow(1, first, count);
        // sum_n J_n' (M_n (J_n v))
        const at::Tensor pushed = engine_.jacobian_product(parameters_, x, v);  // [E, n, outputs]
        const at::Tensor weighted = at::matmul(m, pushed.unsqueeze(3)).squeeze(3).contiguous();
        product.add_(engine_.pullback_sums(parameters_, x, weighted).sum);
      }
    }
    return products;
  }

 private:
  Engine& engine_;
  at::Tensor parameters_;
  at::Tensor inputs_;
  at::Tensor metric_;
};

}  // namespace

template <class Real>
LaneEngine<Real>::LaneEngine(Program program, std::string isa, int threads)
    : program_(std::move(program)),
      plan_(program_),
      isa_(std::move(isa)),
      kernels_(lanes::kernels<Real>(isa_)),
      pool_(threads) {}

template <class Real>
at::TensorOptions LaneEngine<Real>::options() const {
  return at::TensorOptions().dtype(kScalarType<Real>).device(at::kCPU);
}

template <class Real>
std::string LaneEngine<Real>::description() const {
  return concat("lanes ", isa_, " ", std::is_same_v<Real, double> ? "float64" : "float32");
}

template <class Real>
LaneLayout LaneEngine<Real>::layout(const at::Tensor& parameters) const {
  SHARPSEEK_ASSERT(parameters.scalar_type() == kScalarType<Real> && parameters.size(1) == program_.parameter_count());
  return {parameters.size(0), kernels_.lanes};
}

template <class Real>
template <class Body>
void LaneEngine<Real>::each_piece(std::int64_t groups, std::int64_t samples, Body body) {
  // A task for each lane group and piece: enough for all threads when groups are few.
  const std::int64_t pieces = piece_count(samples);
  pool_.run(groups * pieces, [&](std::int64_t task) {
    const std::int64_t first = task % pieces * kPiece;
    body(task / pieces, first, std::min(kPiece, samples - first));
  });
}

template <class Real>
at::Tensor LaneEngine<Real>::outputs(const at::Tensor& parameters, const at::Tensor& inputs) {
  SHARPSEEK_ASSERT(inputs.dim() == 3);
  const LaneLayout groups = layout(parameters);
  const at::Tensor weights = groups.pack(parameters);
  const at::Tensor x = inputs.contiguous();
  const std::int64_t samples = x.size(0);
  at::Tensor y = at::empty({groups.groups(), samples * program_.outputs(), groups.lanes()}, options());
  // A piece writes its own samples of [G, N x outputs, L]: no sum, so that the order does not matter.
  each_piece(groups.groups(), samples, [&](std::int64_t group, std::int64_t first, std::int64_t count) {
    lanes::OutputJob<Real> job{sample_job<Real>(plan_.view(), x, weights, group, first, count)};
    job.outputs = sample_at<Real>(y, samples, group, first);
    kernels_.outputs(job);
  });
  return groups.unpack(y).view({groups.replicas(), samples, program_.outputs()});
}

template <class Real>
at::Tensor LaneEngine<Real>::loss(const at::Tensor& parameters, const Samples& samples) {
  return loss_values(samples.loss, outputs(parameters, samples.inputs), samples.targets).mean(1);
}

template <class Real>
LossGradient LaneEngine<Real>::loss_gradient(const at::Tensor& parameters, const Samples& samples) {
  const LaneLayout groups = layout(parameters);
  const at::Tensor weights = groups.pack(parameters);
  const at::Tensor x = packed_inputs(groups, samples.inputs);
  const at::Tensor targets = groups.pack(flat(samples.targets));
  at::Tensor losses = at::empty({groups.groups(), 1, groups.lanes()}, options());
  at::Tensor gradient = at::empty_like(weights);
  // A task is a whole group, whose kernel adds up the samples in their order.
  pool_.run(groups.groups(), [&](std::int64_t group) {
    lanes::GradientJob<Real> job{sample_job<Real>(plan_.view(), samples, x, weights, group)};
    job.targets = targets.data_ptr<Real>() + group * targets.stride(0);
    job.kind = samples.loss.kind;
    job.loss_tokens = samples.loss.tokens;
    job.loss = losses.data_ptr<Real>() + group * losses.stride(0);
    job.gradient = gradient.data_ptr<Real>() + group * gradient.stride(0);
    kernels_.gradient(job);
  });
  return {groups.unpack(losses).squeeze(1), groups.unpack(gradient)};
}

template <class Real>
std::unique_ptr<LinearOperator> LaneEngine<Real>::hessian(const at::Tensor& parameters, const Samples& samples) {
  return std::make_unique<LaneHessian<Real>>(plan_.view(), kernels_.product, lanes::spectrum_kernels(isa_), pool_,
                                             layout(parameters), parameters, samples);
}

template <class Real>
std::unique_ptr<LinearOperator> LaneEngine<Real>::residual_curvature(const at::Tensor& parameters,
                                                                     const Samples& samples) {
  return std::make_unique<LaneHessian<Real>>(plan_.view(), kernels_.product, lanes::spectrum_kernels(isa_), pool_,
                                             layout(parameters), parameters, samples, /*residual_only=*/true);
}

template <class Real>
std::unique_ptr<LinearOperator> LaneEngine<Real>::gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                                               const at::Tensor& metric) {
  return std::make_unique<LaneGaussNewton>(*this, parameters, inputs, metric);
}

template <class Real>
at::Tensor LaneEngine<Real>::per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                                 const at::Tensor& cotangents) {
  const LaneLayout groups = layout(parameters);
  const at::Tensor weights = groups.pack(parameters);
  const at::Tensor x = inputs.contiguous();
  const std::int64_t samples = x.size(0);
  const at::Tensor c = groups.pack(flat(cotangents));
  at::Tensor pulled = at::empty({groups.groups(), samples * program_.parameter_count(), groups.lanes()}, options());
  // Every sample has a gradient of its own: [G, N x P, L].
  each_piece(groups.groups(), samples, [&](std::int64_t group, std::int64_t first, std::int64_t count) {
    lanes::PullbackJob<Real> job{sample_job<Real>(plan_.view(), x, weights, group, first, count)};
    job.cotangents = sample_at<Real>(c, samples, group, first);
    job.pulled = sample_at<Real>(pulled, samples, group, first);
    kernels_.pullback(job);
  });
  return groups.unpack(pulled).view({groups.replicas(), samples, program_.parameter_count()});
}

template <class Real>
PullbackSums LaneEngine<Real>::pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                                             const at::Tensor& cotangents) {
  const LaneLayout groups = layout(parameters);
  const at::Tensor weights = groups.pack(parameters);
  const at::Tensor x = inputs.contiguous();
  const std::int64_t samples = x.size(0);
  const at::Tensor c = groups.pack(flat(cotangents));
  const at::Tensor sums =
      at::empty({piece_count(samples), groups.groups(), weights.size(1), groups.lanes()}, options());
  const at::Tensor squares = at::empty_like(sums);
  // Each piece has sums of its own, which are added in order afterwards: threads do not change the bits.
  each_piece(groups.groups(), samples, [&](std::int64_t group, std::int64_t first, std::int64_t count) {
    lanes::PullbackSumsJob<Real> job{sample_job<Real>(plan_.view(), x, weights, group, first, count)};
    job.cotangents = sample_at<Real>(c, samples, group, first);
    job.sum = part_at<Real>(sums, group, first);
    job.squares = part_at<Real>(squares, group, first);
    kernels_.pullback_sums(job);
  });
  return {groups.unpack(sum_of_pieces(sums)), groups.unpack(sum_of_pieces(squares))};
}

template <class Real>
at::Tensor LaneEngine<Real>::jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                                              const at::Tensor& vectors) {
  const LaneLayout groups = layout(parameters);
  const at::Tensor weights = groups.pack(parameters);
  const at::Tensor directions = groups.pack(vectors);
  const at::Tensor x = inputs.contiguous();
  const std::int64_t samples = x.size(0);
  at::Tensor pushed = at::empty({groups.groups(), samples * program_.outputs(), groups.lanes()}, options());
  // One direction for all samples; each has outputs' tangents of its own.
  each_piece(groups.groups(), samples, [&](std::int64_t group, std::int64_t first, std::int64_t count) {
    lanes::PushforwardJob<Real> job{sample_job<Real>(plan_.view(), x, weights, group, first, count)};
    job.direction = directions.data_ptr<Real>() + group * directions.stride(0);
    job.pushed = sample_at<Real>(pushed, samples, group, first);
    kernels_.pushforward(job);
  });
  return groups.unpack(pushed).view({groups.replicas(), samples, program_.outputs()});
}

template <class Real>
at::Tensor LaneEngine<Real>::pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs,
                                                 const at::Tensor& cotangents, const at::Tensor& directions) {
  const LaneLayout groups = layout(parameters);
  const at::Tensor weights = groups.pack(parameters);
  const at::Tensor x = inputs.contiguous();
  const at::Tensor c = groups.pack(flat(cotangents));
  const at::Tensor v = groups.pack(flat(directions));
  const std::int64_t samples = x.size(0);
  const at::Tensor parts =
      at::empty({piece_count(samples), groups.groups(), weights.size(1), groups.lanes()}, options());
  // Parts by piece, as in pullback_sums().
  each_piece(groups.groups(), samples, [&](std::int64_t group, std::int64_t first, std::int64_t count) {
    lanes::PullbackDerivativeJob<Real> job{sample_job<Real>(plan_.view(), x, weights, group, first, count)};
    job.cotangents = sample_at<Real>(c, samples, group, first);
    job.directions = sample_at<Real>(v, samples, group, first);
    job.derivative = part_at<Real>(parts, group, first);
    kernels_.pullback_derivative(job);
  });
  return groups.unpack(sum_of_pieces(parts));
}

template <class Real>
std::unique_ptr<Stepper> LaneEngine<Real>::stepper(const TrainingProblem& problem) {
  return std::make_unique<lanes::LaneStepper<Real>>(program_, plan_.view(), kernels_, pool_, problem);
}

template class LaneEngine<float>;
template class LaneEngine<double>;

}  // namespace sharpseek
