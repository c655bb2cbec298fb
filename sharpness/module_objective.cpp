#include "sharpness/module_objective.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace sharpseek {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;

/// Memory of this process in bytes; kept graphs are measured by its growth.
std::int64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::int64_t pages = 0, resident = 0;
  in >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// What went wrong, from a message of the interpreter: its traceback ends in the line that says so.
std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

/// Refuses what cannot be measured, by the module's structure.
void check_structure(const torch::jit::Module& module, const std::string& file) {
  for (const auto& [name, part] : module.named_modules()) {
    const auto type = part.type()->name();
    const std::string kind = type ? type->name() : "";
    const bool training = part.hasattr("training") && part.attr("training").isBool() && part.attr("training").toBool();
    if (!training) continue;
    for (const char* refused : {"Dropout", "BatchNorm"}) {
      require(kind.find(refused) == std::string::npos, "--module ", file, ": ", name, " is a ", kind,
              " in training mode, whose loss is not a function of the weights; call .eval() before scripting");
    }
  }
  require(module.find_method("forward").has_value(), "--module ", file, ": has no method forward");
  const auto graph = module.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  for (const torch::jit::Node* node : graph->nodes()) {  // not inside ifs: scripted layers choose at run time
    require(std::string(node->kind().toQualString()) != "aten::_transformer_encoder_layer_fwd", "--module ", file,
            ": was traced with the fused transformer layer, which has no derivative; script it, or trace it with "
            "gradients enabled");
  }
}

class ModuleObjective;

/// v -> A v for one kind of matrix; apply goes vector by vector.
class ModuleOperator : public LinearOperator {
 public:
  enum class Kind { kHessian, kGaussNewton, kSecondMoment };
  ModuleOperator(ModuleObjective& objective, Kind kind) : objective_(objective), kind_(kind) {}
  std::int64_t replicas() const override { return 1; }
  std::int64_t dimension() const override;
  at::TensorOptions options() const override;
  Tensor apply(const Tensor& vectors) override;

 private:
  ModuleObjective& objective_;
  Kind kind_;
};

class ModuleObjective final : public Objective {
 public:
  ModuleObjective(torch::jit::Module module, Samples samples, ModuleOptions options, std::string file)
      : module_(std::move(module)), samples_(std::move(samples)), options_(std::move(options)), file_(std::move(file)) {
    std::int64_t offset = 0;
    Tensors flat;
    for (const auto& [name, parameter] : module_.named_parameters()) {
      if (!parameter.requires_grad() || parameter.numel() == 0) continue;
      const std::int64_t rows = parameter.dim() >= 2 ? parameter.size(0) : 1;
      blocks_.push_back({name, offset, rows, parameter.numel() / rows});
      offset += parameter.numel();
      leaves_.push_back(parameter);
      flat.push_back(parameter.detach().reshape({-1}));
    }
    require(!leaves_.empty(), "--module ", file_, ": has no parameter that requires gradients");
    if (options_.loss == ModuleLoss::kCrossEntropy) {
      const Tensor y = outputs(samples_.inputs.narrow(0, 0, 1));
      const auto least = samples_.targets.min().item<std::int64_t>(),
                 most = samples_.targets.max().item<std::int64_t>();
      require(y.dim() != 2 || (least >= 0 && most < y.size(1)), "--loss cross-entropy: targets are from ", least,
              " to ", most, ": must be classes from 0 to ", y.size(y.dim() - 1) - 1, ", for --module ", file_, " has ",
              y.size(y.dim() - 1), " outputs");
    }
    parameters_ = at::cat(flat).unsqueeze(0).clone();
    require(parameters_.isfinite().all().item<bool>(), "--module ", file_, ": a parameter is not finite");
    chunk_ = std::clamp<std::int64_t>(options_.chunk, 1, this->samples());
    graphs_.resize(static_cast<std::size_t>((this->samples() + chunk_ - 1) / chunk_));
  }

  const Tensor& parameters() const override { return parameters_; }
  std::vector<Block> blocks() const override { return blocks_; }
  std::int64_t samples() const override { return samples_.inputs.size(0); }

  Tensor loss(const Tensor& parameters) override {
    const AtWeights there(*this, parameters);
    const c10::AutoGradMode no_graph(false);
    Tensor sum = at::zeros({}, at::kDouble);
    for_chunks([&](std::int64_t first, std::int64_t count) { sum += loss_of(first, count).to(at::kCPU, at::kDouble); });
    return sum.unsqueeze(0);
  }

  LossGradient loss_gradient(const Tensor& parameters) override {
    const AtWeights there(*this, parameters);
    Tensor sum = at::zeros({}, at::kDouble);
    Tensor gradient = at::zeros({dimension()}, parameters_.options());
    for_chunks([&](std::int64_t first, std::int64_t count) {
      const Tensor loss = loss_of(first, count);
      sum += loss.detach().to(at::kCPU, at::kDouble);
      gradient += flatten(gradients(loss, {}, false, false));
    });
    return {sum.unsqueeze(0), gradient.unsqueeze(0)};
  }

  std::shared_ptr<LinearOperator> hessian() override { return product(ModuleOperator::Kind::kHessian); }
  std::shared_ptr<LinearOperator> gauss_newton() override { return product(ModuleOperator::Kind::kGaussNewton); }
  std::shared_ptr<LinearOperator> gradient_second_moment() override {
    return product(ModuleOperator::Kind::kSecondMoment);
  }

  /// One backward pass for each sample.
  const GradientMoments& moments() override {
    if (moments_.mean.defined()) return moments_;
    moments_ = {at::zeros({1, dimension()}, at::kDouble), at::zeros({1, dimension()}, at::kDouble)};
    const auto n = static_cast<double>(samples());
    for (std::int64_t i = 0; i < samples(); ++i) {
      const Tensor g = n * flatten(gradients(loss_of(i, 1), {}, false, false)).to(at::kCPU, at::kDouble).unsqueeze(0);
      moments_.mean += g / n;
      moments_.second_moment += g.square() / n;
    }
    return moments_;
  }

  BatchCurvature batch(std::int64_t index, std::int64_t size) override {
    const Tensor chosen = at::tensor(batch_indices(index, size, samples())).to(samples_.inputs.device());
    const Tensor loss = loss_at(samples_.inputs.index_select(0, chosen), samples_.targets.index_select(0, chosen)) /
                        static_cast<double>(size);
    const Tensors g = gradients(loss, {}, true, true);
    const Tensor flat = flatten(g).detach();
    const Tensor own = flatten(derivatives(g, split(flat), false));
    const Tensor full = hessian()->apply(flat.view({1, 1, -1})).view({-1});
    const auto dot = [&](const Tensor& x) {
      return (x.to(at::kDouble) * flat.to(at::kDouble)).sum().to(at::kCPU).unsqueeze(0);
    };
    return {dot(flat), dot(own), dot(full)};
  }

  /// One product with v [P].
  Tensor multiply(ModuleOperator::Kind kind, const Tensor& v) {
    Tensor sum = at::zeros({dimension()}, parameters_.options());
    const Tensors parts = split(v);
    for_chunks([&](std::int64_t first, std::int64_t count) {
      sum += kind == ModuleOperator::Kind::kHessian ? hessian_part(first, count, parts)
                                                    : pulled_part(kind, first, count, parts);
    });
    ++products_;
    if (options_.progress) options_.progress(products_);
    return sum;
  }

  /// A gradient and a product, each computed twice, must agree.
  void check_deterministic() {
    const auto same = [&](const Tensor& a, const Tensor& b, const char* what) {
      const double scale = std::max(a.abs().max().item<double>(), 1e-30);
      const double difference = (a - b).abs().max().item<double>() / scale;
      require(difference < 1e-4, "--module ", file_, ": its ", what, " differs by ", difference,
              " when computed twice: the loss is not deterministic (dropout? random numbers?)");
    };
    same(loss_gradient(parameters_).gradient, loss_gradient(parameters_).gradient, "gradient");
    std::vector<double> normals(static_cast<std::size_t>(dimension()));
    standard_normals(0, Stream::kProbe, 6, 0, normals);
    const Tensor v = at::tensor(normals, at::kDouble).to(parameters_.options());
    const Tensor first = multiply(ModuleOperator::Kind::kHessian, v);
    graphs_.assign(graphs_.size(), {});
    same(first, multiply(ModuleOperator::Kind::kHessian, v), "Hessian product");
    products_ = 0;
  }

 private:
  /// Puts other weights into the module for as long as it lives.
  class AtWeights {
   public:
    AtWeights(ModuleObjective& objective, const Tensor& parameters) : objective_(objective) {
      moved_ = !parameters.is_same(objective.parameters_);
      if (moved_) put(parameters);
    }
    ~AtWeights() {
      if (moved_) put(objective_.parameters_);
    }
    AtWeights(const AtWeights&) = delete;
    AtWeights& operator=(const AtWeights&) = delete;

   private:
    void put(const Tensor& parameters) {
      const c10::AutoGradMode no_graph(false);
      objective_.graphs_.assign(objective_.graphs_.size(), {});  // they belong to the weights that were
      const Tensors parts = objective_.split(parameters.reshape({-1}));
      for (std::size_t i = 0; i < parts.size(); ++i) objective_.leaves_[i].copy_(parts[i]);
    }
    ModuleObjective& objective_;
    bool moved_;
  };

  template <class Body>
  void for_chunks(Body body) {
    for (std::int64_t first = 0; first < samples(); first += chunk_) {
      body(first, std::min(chunk_, samples() - first));
    }
  }

  Tensor outputs(const Tensor& inputs) {
    torch::jit::setGraphExecutorOptimize(false);  // thread-local: same values, no warm-up
    c10::IValue result;
    try {
      result = module_.forward({inputs});
    } catch (const c10::Error& error) {
      throw UserError(concat("--module ", file_, ": forward failed on inputs ", c10::str(inputs.sizes()), ": ",
                             first_line(error.what_without_backtrace())));
    } catch (const std::exception& error) {
      throw UserError(concat("--module ", file_, ": forward failed on inputs ", c10::str(inputs.sizes()), ": ",
                             last_line(error.what())));
    }
    require(result.isTensor(), "--module ", file_, ": forward(inputs) must return one tensor");
    Tensor y = result.toTensor();
    require(y.dim() >= 1 && y.size(0) == inputs.size(0), "--module ", file_, ": output ", c10::str(y.sizes()),
            " has not one row for each of ", inputs.size(0), " samples");
    return y;
  }

  /// Sum over samples of their losses.
  Tensor loss_at(const Tensor& inputs, const Tensor& targets) { return loss_from(outputs(inputs), targets); }

  Tensor loss_from(const Tensor& y, const Tensor& targets) const {
    if (options_.loss == ModuleLoss::kCrossEntropy) {
      require(y.dim() == 2, "--loss cross-entropy: needs outputs [samples, classes], not ", c10::str(y.sizes()));
      return -at::log_softmax(y, 1).gather(1, targets.unsqueeze(1)).sum();
    }
    require(y.sizes() == targets.sizes(), "--loss mse: outputs ", c10::str(y.sizes()), " are not shaped as targets ",
            c10::str(targets.sizes()));
    return (y - targets).square().sum();
  }

  /// The chunk's part of the mean over all samples.
  Tensor loss_of(std::int64_t first, std::int64_t count) {
    return loss_at(samples_.inputs.narrow(0, first, count), samples_.targets.narrow(0, first, count)) /
           static_cast<double>(samples());
  }

  Tensors split(const Tensor& flat) const {
    std::vector<std::int64_t> sizes;
    for (const Block& block : blocks_) sizes.push_back(block.size());
    Tensors parts = flat.split_with_sizes(sizes);
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = parts[i].reshape(leaves_[i].sizes());
    return parts;
  }

  Tensor flatten(const Tensors& parts) const {
    Tensors flat;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      flat.push_back((parts[i].defined() ? parts[i] : at::zeros_like(leaves_[i])).reshape({-1}));
    }
    return at::cat(flat);
  }

  /// d <output, cotangent> / d leaves.
  Tensors gradients(const Tensor& output, const Tensor& cotangent, bool keep, bool create) const {
    return torch::autograd::grad({output}, leaves_, cotangent.defined() ? Tensors{cotangent} : Tensors{}, keep, create,
                                 /*allow_unused=*/true);
  }

  /// sum_i d <g_i, v_i> / d leaves, where some g_i may not depend on any.
  Tensors derivatives(const Tensors& g, const Tensors& v, bool keep) const {
    Tensors outputs, cotangents;
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (!g[i].defined() || !g[i].requires_grad()) continue;
      outputs.push_back(g[i]);
      cotangents.push_back(v[i]);
    }
    if (outputs.empty()) return Tensors(leaves_.size());
    return torch::autograd::grad(outputs, leaves_, cotangents, keep, false, /*allow_unused=*/true);
  }

  Tensor hessian_part(std::int64_t first, std::int64_t count, const Tensors& v) {
    Tensors& kept = graphs_[static_cast<std::size_t>(first / chunk_)];
    Tensors g = kept;
    if (g.empty()) {
      const std::int64_t before = resident_bytes();
      g = gradients(loss_of(first, count), {}, true, true);
      graph_bytes_ = std::max(graph_bytes_, resident_bytes() - before);
      const auto others = std::count_if(graphs_.begin(), graphs_.end(), [](const Tensors& t) { return !t.empty(); });
      if ((others + 1) * graph_bytes_ <= options_.memory) kept = g;
    }
    return flatten(derivatives(g, v, !kept.empty()));
  }

  /// J' M J v: the outputs' tangent as the derivative of J'u with respect to u, M by the loss, then back.
  Tensor pulled_part(ModuleOperator::Kind kind, std::int64_t first, std::int64_t count, const Tensors& v) {
    const Tensor y = outputs(samples_.inputs.narrow(0, first, count));
    const Tensor targets = samples_.targets.narrow(0, first, count);
    const Tensor u = at::zeros_like(y).requires_grad_(true);
    const Tensors pulled = gradients(y, u, true, true);
    Tensors outputs, cotangents;
    for (std::size_t i = 0; i < pulled.size(); ++i) {
      if (!pulled[i].defined() || !pulled[i].requires_grad()) continue;
      outputs.push_back(pulled[i]);
      cotangents.push_back(v[i]);
    }
    const Tensor tangent = torch::autograd::grad(outputs, {u}, cotangents, true, false).front();
    const auto n = static_cast<double>(samples());
    Tensor weighted;
    if (kind == ModuleOperator::Kind::kSecondMoment) {
      const Tensor free = y.detach().requires_grad_(true);
      const Tensor s = torch::autograd::grad({loss_from(free, targets)}, {free}).front();  // d l_n / d f_n
      const auto rows = [](const Tensor& t) { return t.reshape({t.size(0), -1}); };
      weighted = (rows(s) * (rows(s) * rows(tangent)).sum(1, true)).reshape(y.sizes()) / n;
    } else if (options_.loss == ModuleLoss::kCrossEntropy) {
      const Tensor p = at::softmax(y.detach(), 1);
      weighted = p * (tangent - (p * tangent).sum(1, true)) / n;
    } else {
      weighted = tangent * (2 / n);
    }
    return flatten(gradients(y, weighted, false, false));
  }

  std::shared_ptr<LinearOperator> product(ModuleOperator::Kind kind) {
    return std::make_shared<ModuleOperator>(*this, kind);
  }

  torch::jit::Module module_;
  Samples samples_;
  ModuleOptions options_;
  std::string file_;
  Tensors leaves_;
  std::vector<Block> blocks_;
  Tensor parameters_;
  std::int64_t chunk_ = 1;
  std::vector<Tensors> graphs_;   ///< the gradient with its graph of each chunk that is kept
  std::int64_t graph_bytes_ = 0;  ///< the largest graph so far
  std::int64_t products_ = 0;
  GradientMoments moments_;
};

std::int64_t ModuleOperator::dimension() const { return objective_.dimension(); }
at::TensorOptions ModuleOperator::options() const { return objective_.parameters().options().requires_grad(false); }
Tensor ModuleOperator::apply(const Tensor& vectors) {
  Tensors products;
  for (std::int64_t k = 0; k < vectors.size(1); ++k) products.push_back(objective_.multiply(kind_, vectors[0][k]));
  return at::stack(products).unsqueeze(0);
}

}  // namespace

std::unique_ptr<Objective> load_module(const std::string& file, const Samples& samples, ModuleOptions options) {
  require(options.chunk >= 1, "--chunk ", options.chunk, ": must be at least 1");
  // Fused attention and cuDNN's recurrent networks have no second derivative.
  at::globalContext().setSDPUseFlash(false);
  at::globalContext().setSDPUseMemEfficient(false);
  at::globalContext().setUserEnabledCuDNN(false);
  require(std::ifstream(file).good(), "--module ", file, ": cannot be read");
  torch::jit::Module module;
  try {
    module = torch::jit::load(file, options.options.device());
    module.to(options.options.device(), c10::typeMetaToScalarType(options.options.dtype()), /*non_blocking=*/false);
  } catch (const c10::Error& error) {
    throw UserError(concat("--module ", file, ": is no TorchScript module (torch.jit.script or trace, then .save): ",
                           first_line(error.what_without_backtrace())));
  }
  check_structure(module, file);
  auto objective = std::make_unique<ModuleObjective>(std::move(module), samples, std::move(options), file);
  objective->check_deterministic();
  return objective;
}

}  // namespace sharpseek
