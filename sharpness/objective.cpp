#include "sharpness/objective.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/random.h"
#include "sharpness/replica_chunk.h"

namespace sharpseek {

Objective::SplitHessian Objective::split_hessian() { return {at::zeros({replicas()}, at::kDouble), hessian()}; }

at::Tensor Objective::least_loss() { return at::zeros({replicas()}, at::kDouble); }

BatchCurvature Objective::batches(std::int64_t count, std::int64_t size) {
  std::vector<at::Tensor> square, own, full;
  for (std::int64_t b = 0; b < count; ++b) {
    const BatchCurvature next = batch(b, size);
    square.push_back(next.square);
    own.push_back(next.own);
    full.push_back(next.full);
  }
  return {at::stack(square), at::stack(own), at::stack(full)};
}

std::vector<std::int64_t> batch_indices(std::int64_t index, std::int64_t size, std::int64_t samples) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(size));
  // One word for each sample, a multiplication and a shift.
  random_words(0, Stream::kProbe, 2, static_cast<std::uint32_t>(index), words);
  std::vector<std::int64_t> indices;
  for (std::uint32_t word : words) {
    indices.push_back(static_cast<std::int64_t>((static_cast<std::uint64_t>(samples) * word) >> 32));
  }
  return indices;
}

EngineObjective::EngineObjective(Engine& engine, at::Tensor parameters, Samples samples, NoiseFactors noise,
                                 TrainingView training)
    : engine_(engine),
      parameters_(std::move(parameters)),
      samples_(std::move(samples)),
      noise_(std::move(noise)),
      training_(std::move(training)),
      labelled_{samples_.inputs, training_.labels.defined() ? training_.labels : samples_.targets, samples_.loss} {}

at::Tensor EngineObjective::least_loss() {
  return sharpseek::least_loss(samples_.loss, samples_.targets.to(at::kCPU, at::kDouble)).mean(-1).expand({replicas()});
}

std::vector<Block> EngineObjective::blocks() const {
  std::vector<Block> blocks;
  for (const Parameter& p : engine_.program().parameters()) blocks.push_back({p.name, p.offset, p.rows, p.columns});
  return blocks;
}

std::shared_ptr<LinearOperator> EngineObjective::hessian() {
  if (!hessian_) hessian_ = engine_.hessian(parameters_, samples_);
  return hessian_;
}

std::shared_ptr<LinearOperator> EngineObjective::gauss_newton() {
  // J' M J with M = d^2 l / df^2 at each sample.
  const at::Tensor metric = output_metric(samples_, engine_.outputs(parameters_, samples_.inputs));
  return engine_.gauss_newton(parameters_, samples_.inputs, metric);
}

Objective::SplitHessian EngineObjective::split_hessian() {
  // tr (1/N) sum_n J_n' R_n R_n' J_n = (1/N) sum_n sum_o |J_n' R_n e_o|^2
  const at::Tensor f = engine_.outputs(parameters_, samples_.inputs);
  const at::Tensor root = curvature_root(samples_.loss, f, samples_.targets);
  at::Tensor known = at::zeros({replicas()}, at::kDouble);
  for (std::int64_t o = 0; o < f.size(2); ++o) {
    // One column R_n e_o for all samples at a time.
    const at::Tensor column = root.select(-1, o);
    const at::Tensor all = column.expand({column.dim() == 3 ? column.size(0) : 1, samples(), f.size(2)});
    known += engine_.pullback_sums(parameters_, samples_.inputs, all).squares.to(at::kCPU, at::kDouble).sum(1);
  }
  return {known * (traits(samples_.loss).scale / static_cast<double>(samples())),
          engine_.residual_curvature(parameters_, samples_)};
}

std::shared_ptr<LinearOperator> EngineObjective::gradient_second_moment() {
  // g_n = J_n' (c_n + A_n L_n z), so that E g g' = mean_n J_n' [c_n c_n' + A_n L_n (A_n L_n)'] J_n.
  const at::Tensor f = engine_.outputs(parameters_, labelled_.inputs);
  const at::Tensor c = output_gradient(labelled_.loss, f, labelled_.targets);
  at::Tensor moment = c.unsqueeze(3) * c.unsqueeze(2);
  if (noise_.defined()) {
    const at::Tensor columns = label_columns(labelled_.loss, f, noise_.at(samples_.inputs));
    moment = moment + at::matmul(columns, columns.transpose(2, 3));
  }
  // As a Gauss-Newton matrix with the outputs' second moment as its metric.
  const double scale = traits(labelled_.loss).scale;
  const at::Tensor metric = moment * (scale * scale / static_cast<double>(samples()));
  return engine_.gauss_newton(parameters_, samples_.inputs, metric);
}

const GradientMoments& EngineObjective::moments() {
  if (!moments_) {
    moments_ = std::make_unique<GradientMoments>(gradient_moments(engine_, parameters_, labelled_, noise_));
  }
  return *moments_;
}

Samples EngineObjective::drawn(std::int64_t index, std::int64_t size) const {
  const std::int64_t outputs = engine_.program().outputs();
  // The same samples and normals for every replica: paired comparisons.
  const at::Tensor chosen = at::tensor(batch_indices(index, size, samples())).to(samples_.inputs.device());
  std::vector<double> normals(static_cast<std::size_t>(size * outputs));
  standard_normals(0, Stream::kProbe, 3, static_cast<std::uint32_t>(index), normals);
  const at::Tensor z = at::tensor(normals, at::kDouble).to(parameters_.options()).view({1, size, outputs});
  // Each replica's labels: clean ones plus its own noise.
  const at::Tensor inputs = samples_.inputs.index_select(0, chosen);
  at::Tensor labels = labelled_.targets.index_select(labelled_.targets.dim() - 2, chosen);
  if (noise_.defined()) labels = labels + at::matmul(noise_.of(chosen).at(inputs), z.unsqueeze(3)).squeeze(3);
  return {inputs, labels.contiguous(), samples_.loss};
}

BatchCurvature EngineObjective::batch(std::int64_t index, std::int64_t size) {
  const BatchCurvature found = curvature_of(chunk_of(drawn(index, size), 1));
  return {found.square[0], found.own[0], found.full[0]};
}

BatchCurvature EngineObjective::batches(std::int64_t count, std::int64_t size) {
  std::vector<at::Tensor> square, own, full;
  for_batches(count, size, [&](const BatchChunk& chunk) {
    const BatchCurvature part = curvature_of(chunk);
    square.push_back(part.square);
    own.push_back(part.own);
    full.push_back(part.full);
  });
  const auto all = [&](const std::vector<at::Tensor>& parts) {
    const at::Tensor rows = at::cat(parts);
    // Where every mini-batch is the same there is one row.
    return rows.size(0) == count ? rows : rows.expand({count, -1}).contiguous();
  };
  return {all(square), all(own), all(full)};
}

void EngineObjective::for_batches(std::int64_t count, std::int64_t size,
                                  const std::function<void(const BatchChunk&)>& visit) {
  // Outside a run, from the evaluation set.
  if (!training_.batches) {
    for (std::int64_t b = 0; b < count; ++b) visit(chunk_of(drawn(b, size), 1));
    return;
  }
  // Every mini-batch is the same: all samples, and fresh noise averages out.
  if (training_.batches->whole()) return visit(chunk_of(labelled_, 1));
  // So many at once that the gradients of a chunk of replicas stay within 2^22 numbers. How many replicas there really
  // are must not decide (sharpness/replica_chunk.h).
  const std::int64_t piece =
      std::clamp<std::int64_t>((std::int64_t{1} << 22) / (replicas_of_chunk(dimension()) * dimension()), 1, count);
  for (std::int64_t first = 0; first < count; first += piece) {
    const std::int64_t some = std::min(piece, count - first);
    visit(chunk_of(training_.batches->draw(training_.record, first, some), some));
  }
}

BatchSampling EngineObjective::sampling(std::int64_t size) const {
  return training_.batches ? training_.batches->sampling() : Objective::sampling(size);
}

std::shared_ptr<LinearOperator> EngineObjective::training_hessian() {
  if (!training_.labels.defined()) return hessian();
  if (!training_hessian_) training_hessian_ = engine_.hessian(parameters_, labelled_);
  return training_hessian_;
}

BatchChunk EngineObjective::chunk_of(const Samples& samples, std::int64_t copies) {
  // Several mini-batches of a replica are replicas for the engine.
  const at::Tensor weights = copies == 1 ? parameters_ : parameters_.repeat_interleave(copies, 0);
  return {.count = copies,
          .gradient = engine_.loss_gradient(weights, samples).gradient,
          .hessian = engine_.hessian(weights, samples),
          .gradient_with = [this, samples](const at::Tensor& w) { return engine_.loss_gradient(w, samples).gradient; }};
}

BatchCurvature EngineObjective::curvature_of(const BatchChunk& batches) {
  // |g|^2, g' H_B g and g' H g, as [mini-batch, replica].
  const at::Tensor& g = batches.gradient;
  const std::int64_t copies = batches.count;
  const auto by_batch = [&](const at::Tensor& sums) {
    return sums.to(at::kCPU).view({replicas(), copies}).t().contiguous();
  };
  const auto along = [&](const at::Tensor& product) {
    return by_batch((product.reshape(g.sizes()).to(at::kDouble) * g.to(at::kDouble)).sum(1));
  };
  return {by_batch(g.to(at::kDouble).square().sum(1)), along(batches.hessian->apply(g.unsqueeze(1))),
          along(training_hessian()->apply(g.view({replicas(), copies, -1})))};
}

}  // namespace sharpseek
