#include "sharpness/module_objective.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "sharpness/module_network.h"
#include "sharpness/torch_errors.h"

namespace sharpseek {
namespace {

using at::Tensor;

/// Memory of this process in bytes; kept graphs are measured by its growth.
std::int64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::int64_t pages = 0, resident = 0;
  in >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

/// v -> A v for one of the matrices; apply goes vector by vector.
class ModuleOperator : public LinearOperator {
 public:
  ModuleOperator(ModuleObjective& objective, ModuleObjective::Matrix matrix) : objective_(objective), matrix_(matrix) {}
  std::int64_t replicas() const override { return 1; }
  std::int64_t dimension() const override { return objective_.dimension(); }
  at::TensorOptions options() const override { return objective_.parameters().options().requires_grad(false); }
  Tensor apply(const Tensor& vectors) override {
    std::vector<Tensor> products;
    for (std::int64_t k = 0; k < vectors.size(1); ++k) products.push_back(objective_.multiply(matrix_, vectors[0][k]));
    return at::stack(products).unsqueeze(0);
  }

 private:
  ModuleObjective& objective_;
  ModuleObjective::Matrix matrix_;
};

}  // namespace

double product_tolerance(c10::ScalarType precision) { return precision == at::kDouble ? 1e-4 : 1e-2; }

/// Puts other weights into the network for as long as it lives.
class ModuleObjective::AtWeights {
 public:
  AtWeights(ModuleObjective& objective, const Tensor& weights) : objective_(objective) {
    moved_ = !weights.is_same(objective.parameters_);
    // Graphs stay valid where the weights are the objective's own.
    if (moved_) put(weights);
  }
  ~AtWeights() {
    if (moved_) put(objective_.parameters_);
  }
  AtWeights(const AtWeights&) = delete;
  AtWeights& operator=(const AtWeights&) = delete;

 private:
  void put(const Tensor& weights) {
    objective_.forget_graphs();  // they belong to the weights that were
    objective_.network_->set_parameters(weights.reshape({-1}));
  }
  ModuleObjective& objective_;
  bool moved_;
};

ModuleObjective::ModuleObjective(std::shared_ptr<ModuleNetwork> network, ModuleSamples samples, ModuleOptions options)
    : network_(std::move(network)),
      samples_(std::move(samples)),
      options_(std::move(options)),
      loss_(options_.loss, samples_.targets, options_.data),
      parameters_(network_->parameters().unsqueeze(0)),
      chunk_(std::clamp<std::int64_t>(options_.chunk, 1, samples_.count())) {
  graphs_.resize(static_cast<std::size_t>((this->samples() + chunk_ - 1) / chunk_));
}

std::vector<Block> ModuleObjective::blocks() const { return network_->blocks(); }

template <class Body>
void ModuleObjective::for_chunks(Body body) {
  for (std::int64_t first = 0; first < samples(); first += chunk_) body(first, std::min(chunk_, samples() - first));
}

/// The chunk's part of the mean over all samples.
Tensor ModuleObjective::loss_of(std::int64_t first, std::int64_t count) {
  // Sums of chunks over N: they add up to the mean whatever the chunk.
  const ModuleSamples part = samples_.rows(first, count);
  return loss_.sum(network_->outputs(part.inputs), part.targets) / static_cast<double>(samples());
}

Tensor ModuleObjective::loss(const Tensor& parameters) {
  return with_torch_errors(network_->subject(), [&] {
    // One chunk in memory at a time; sums in float64.
    const AtWeights there(*this, parameters);
    const c10::AutoGradMode no_graph(false);
    Tensor sum = at::zeros({}, at::kDouble);
    for_chunks([&](std::int64_t first, std::int64_t count) { sum += loss_of(first, count).to(at::kCPU, at::kDouble); });
    return sum.unsqueeze(0);
  });
}

LossGradient ModuleObjective::loss_gradient(const Tensor& parameters) {
  return with_torch_errors(network_->subject(), [&] {
    const AtWeights there(*this, parameters);
    Tensor sum = at::zeros({}, at::kDouble);
    Tensor gradient = at::zeros({dimension()}, parameters_.options());
    for_chunks([&](std::int64_t first, std::int64_t count) {
      const Tensor loss = loss_of(first, count);
      sum += loss.detach().to(at::kCPU, at::kDouble);
      gradient += network_->flatten(network_->gradients(loss, {}, false, false));
    });
    return LossGradient{sum.unsqueeze(0), gradient.unsqueeze(0)};
  });
}

const GradientMoments& ModuleObjective::moments() {
  if (moments_.mean.defined()) return moments_;
  return with_torch_errors(network_->subject(), [&]() -> const GradientMoments& {
    GradientMoments found{at::zeros({1, dimension()}, at::kDouble), at::zeros({1, dimension()}, at::kDouble)};
    const auto n = static_cast<double>(samples());
    for (std::int64_t i = 0; i < samples(); ++i) {
      // N times a sample's part of the mean is its own gradient.
      const Tensor own = network_->flatten(network_->gradients(loss_of(i, 1), {}, false, false));
      const Tensor g = n * own.to(at::kCPU, at::kDouble).unsqueeze(0);
      found.mean += g / n;
      found.second_moment += g.square() / n;
    }
    moments_ = found;
    return moments_;
  });
}

void ModuleObjective::for_batches(std::int64_t count, std::int64_t size,
                                  const std::function<void(const BatchChunk&)>& visit) {
  for (std::int64_t b = 0; b < count; ++b) {
    // An objective of the mini-batch, which reports no progress.
    ModuleOptions options = options_;
    options.progress = {};
    ModuleObjective part(network_, samples_.chosen(at::tensor(batch_indices(b, size, samples()))), options);
    visit({.count = 1,
           .gradient = part.loss_gradient(parameters_).gradient,
           .hessian = part.hessian(),
           .gradient_with = [&part](const Tensor& w) { return part.loss_gradient(w).gradient; }});
  }
}

BatchCurvature ModuleObjective::batch(std::int64_t index, std::int64_t size) {
  return with_torch_errors(network_->subject(), [&] {
    const ModuleSamples chosen = samples_.chosen(at::tensor(batch_indices(index, size, samples())));
    // g of the mini-batch, then g' H_B g and g' H g.
    const Tensor y = network_->outputs(chosen.inputs);
    const Tensor loss = loss_.sum(y, chosen.targets) / static_cast<double>(size);
    const Tensors g = network_->gradients(loss, {}, true, true);
    const Tensor flat = network_->flatten(g).detach();
    const Tensor own = network_->flatten(network_->derivatives(g, network_->split(flat), false));
    const Tensor full = multiply(Matrix::kHessian, flat);
    const auto along = [&](const Tensor& x) { return at::full({1}, scalar_product(x, flat), at::kDouble); };
    return BatchCurvature{along(flat), along(own), along(full)};
  });
}

Tensor ModuleObjective::multiply(Matrix matrix, const Tensor& v) {
  return with_torch_errors(network_->subject(), [&] {
    Tensor sum = at::zeros({dimension()}, parameters_.options());
    const Tensors parts = network_->split(v);
    double energy = 0;
    for_chunks([&](std::int64_t first, std::int64_t count) {
      // Chunk by chunk: products add up as losses do.
      if (matrix == Matrix::kHessian) {
        sum += hessian_part(first, count, parts);
      } else {
        const Pulled part = pulled_part(matrix, first, count, parts);
        sum += part.product;
        energy += part.energy;
      }
    });
    // J and J' come from different derivatives; once, they must agree.
    if (matrix != Matrix::kHessian) check_adjoint(matrix, v, sum, energy);
    ++products_;
    if (options_.progress && unseen_ >= 0) options_.progress(products_ - unseen_);
    return sum;
  });
}

Tensor ModuleObjective::hessian_product_at(const Tensor& weights, const Tensor& v) {
  const AtWeights there(*this, weights);
  return multiply(Matrix::kHessian, v);
}

Tensor ModuleObjective::hessian_part(std::int64_t first, std::int64_t count, const Tensors& v) {
  Tensors& kept = graphs_[static_cast<std::size_t>(first / chunk_)];
  Tensors g = kept;
  if (g.empty()) {
    // A graph is kept if all kept ones and this one fit into --memory.
    const std::int64_t before = resident_bytes();
    g = network_->gradients(loss_of(first, count), {}, true, true);
    graph_bytes_ = std::max(graph_bytes_, resident_bytes() - before);
    const auto others = std::count_if(graphs_.begin(), graphs_.end(), [](const Tensors& t) { return !t.empty(); });
    if ((others + 1) * graph_bytes_ <= options_.memory) kept = g;
  }
  return network_->flatten(network_->derivatives(g, v, !kept.empty()));
}

/// d (sum of losses) / d f with its graph, for losses of a program and the outputs f that it returns with them.
Tensor ModuleObjective::slope_of(const Tensor& losses, const Tensor& outputs) {
  const std::string& subject = network_->subject();
  require(outputs.is_floating_point() && outputs.requires_grad(), subject,
          ": the outputs that it returns after its losses depend on no parameter that requires gradients");
  Tensor slope = torch::autograd::grad({losses.sum()}, {outputs}, {}, true, true, /*allow_unused=*/true).front();
  require(slope.defined(), subject,
          ": its losses are not computed from the outputs that it returns after them; for --quantities gauss_newton it "
          "must return that very tensor, no copy of it");
  if (slope_checked_) return slope;
  slope_checked_ = true;

  // Once: the gradient through the outputs must be the whole gradient.
  const Tensor whole = network_->flatten(network_->gradients(losses.sum(), {}, true, false));
  const Tensor through = network_->flatten(network_->gradients(outputs, slope.detach(), true, false));
  const double difference = (whole - through).norm().item<double>() / std::max(whole.norm().item<double>(), 1e-30);
  require(
      difference < product_tolerance(network_->precision()), subject,
      ": its losses depend on parameters not only through the outputs that it returns after them (weight decay?), so "
      "that --quantities gauss_newton has no definition");
  return slope;
}

/// J' M J v: the outputs' tangent as the derivative of J'u with respect to u, M by the loss, then back.
ModuleObjective::Pulled ModuleObjective::pulled_part(Matrix matrix, std::int64_t first, std::int64_t count,
                                                     const Tensors& v) {
  const ModuleSamples part = samples_.rows(first, count);
  const Tensors results = network_->all_outputs(part.inputs);
  // The loss's curvature in the outputs is known for losses of ours; of a program it is differentiated.
  const bool own_metric = matrix == Matrix::kGaussNewton && options_.loss == ModuleLoss::kProgram;
  const Tensor y = own_metric ? results.at(1) : results.front();
  const Tensor targets = part.targets;
  const Tensor slope = own_metric ? slope_of(results.front(), y) : Tensor();
  // J v as a derivative: J'u is linear in u, and d (v'J'u) / du = J v.
  const Tensor u = at::zeros_like(y).requires_grad_(true);
  const Tensor tangent = network_->tangent(network_->gradients(y, u, true, true), v, u);

  // M J v.
  Tensor weighted;
  if (own_metric) {
    if (slope.requires_grad()) {
      weighted = torch::autograd::grad({slope}, {y}, {tangent}, true, false, /*allow_unused=*/true).front();
    }
    if (!weighted.defined()) weighted = at::zeros_like(y);  // a loss that is linear in the outputs
  } else if (matrix == Matrix::kSecondMoment) {
    const Tensor free = y.detach().requires_grad_(true);
    const Tensor s = torch::autograd::grad({loss_.sum(free, targets)}, {free}).front();  // d l_n / d f_n
    const auto rows = [](const Tensor& t) { return t.reshape({t.size(0), -1}); };
    weighted = (rows(s) * (rows(s) * rows(tangent)).sum(1, true)).reshape(y.sizes());
  } else {
    weighted = loss_.curvature(y.detach(), tangent);
  }

  // J' of that, and v'J'M J v on the way.
  weighted = weighted / static_cast<double>(samples());
  return {network_->flatten(network_->gradients(y, weighted, false, false)), scalar_product(tangent, weighted)};
}

void ModuleObjective::check_adjoint(Matrix matrix, const Tensor& v, const Tensor& product, double energy) {
  bool& done = checked_[static_cast<std::size_t>(matrix)];
  if (done) return;
  done = true;
  const double found = scalar_product(v, product);
  // Relative to the product's size: v'Av may cancel.
  const double scale = std::max(std::abs(energy), scalar_product(v.abs(), product.abs()) * 1e-3);
  require(!(std::abs(found - energy) > product_tolerance(network_->precision()) * scale), network_->subject(),
          ": v'Av is ", found, " by its product and ", energy, " by its definition for the ",
          matrix == Matrix::kGaussNewton ? "Gauss-Newton matrix" : "second moment of gradients",
          ": LibTorch's derivative of one of its operations is wrong");
}

std::shared_ptr<LinearOperator> ModuleObjective::gauss_newton() {
  require(
      options_.loss != ModuleLoss::kProgram || network_->results().value_or(1) == 2, network_->subject(),
      ": --quantities gauss_newton needs a program that returns losses and the outputs that they are computed from; "
      "this one returns losses alone");
  return product(Matrix::kGaussNewton);
}

std::shared_ptr<LinearOperator> ModuleObjective::product(Matrix matrix) {
  return std::make_shared<ModuleOperator>(*this, matrix);
}

}  // namespace sharpseek
