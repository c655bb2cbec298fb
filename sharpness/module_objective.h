#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sharpness/module_loss.h"
#include "sharpness/module_samples.h"
#include "sharpness/objective.h"

namespace sharpseek {

class ModuleNetwork;

struct ModuleOptions {
  ModuleLoss loss = ModuleLoss::kMeanSquared;
  at::TensorOptions options;                    ///< device; dtype float32 or float64, the module's own where not given
  std::int64_t chunk = 512;                     ///< samples of one pass
  std::int64_t memory = std::int64_t{2} << 30;  ///< bytes that gradient graphs may keep between products
  std::function<void(std::int64_t)> progress;   ///< called with the products done so far; may be empty
  std::string data = "the data";                ///< the samples' file, as messages call it
};

/// Relative disagreement of products that counts as a fault, by precision: rounding stays far below.
double product_tolerance(c10::ScalarType precision);

/// A user's module on its own data as an objective with one replica: products by double backward, the loss
/// gradient's graph of a chunk kept while the memory allows and computed again otherwise. The parameter vector is that
/// of ModuleNetwork. Every member throws UserError, in one line, where LibTorch refuses.
///
/// A module that returns its losses itself (ModuleLoss::kProgram) has a Gauss-Newton matrix if it returns a second
/// tensor f too, from which the losses are computed: its metric is d^2 l_n / d f_n^2, by autograd.
class ModuleObjective final : public Objective {
 public:
  /// Which matrix a product is of.
  enum class Matrix { kHessian, kGaussNewton, kSecondMoment };

  /// Samples of the network's precision and device. Throws UserError for targets that do not fit.
  ModuleObjective(std::shared_ptr<ModuleNetwork> network, ModuleSamples samples, ModuleOptions options);

  const at::Tensor& parameters() const override { return parameters_; }
  std::vector<Block> blocks() const override;
  std::int64_t samples() const override { return samples_.count(); }
  at::Tensor loss(const at::Tensor& parameters) override;
  LossGradient loss_gradient(const at::Tensor& parameters) override;
  std::shared_ptr<LinearOperator> hessian() override { return product(Matrix::kHessian); }
  /// Throws UserError for losses of a program that returns no outputs.
  std::shared_ptr<LinearOperator> gauss_newton() override;
  std::shared_ptr<LinearOperator> gradient_second_moment() override { return product(Matrix::kSecondMoment); }
  /// One backward pass for each sample.
  const GradientMoments& moments() override;
  BatchCurvature batch(std::int64_t index, std::int64_t size) override;
  void for_batches(std::int64_t count, std::int64_t size, const std::function<void(const BatchChunk&)>& visit) override;

  const std::shared_ptr<ModuleNetwork>& network() const { return network_; }
  const ModuleSamples& data() const { return samples_; }
  const ModuleOptions& options() const { return options_; }
  std::int64_t chunk() const { return chunk_; }

  /// One product with v [P]. The first one with a matrix J' M J also checks that J' is the transpose of J.
  at::Tensor multiply(Matrix matrix, const at::Tensor& v);
  /// H v at other weights [P].
  at::Tensor hessian_product_at(const at::Tensor& weights, const at::Tensor& v);
  /// Forgets the graphs that are kept, so that the next product computes everything again.
  void forget_graphs() { graphs_.assign(graphs_.size(), {}); }
  /// Products with all samples so far.
  std::int64_t products() const { return products_; }
  /// From now on options().progress hears of products, counted from here: checks print nothing before a refusal.
  void start_progress() { unseen_ = products_; }

 private:
  using Tensors = std::vector<at::Tensor>;
  class AtWeights;
  /// A part of J' M J v, and (J v)' M J v, which v' J' M J v must equal.
  struct Pulled {
    at::Tensor product;
    double energy;
  };

  template <class Body>
  void for_chunks(Body body);
  at::Tensor loss_of(std::int64_t first, std::int64_t count);
  Tensors gradient_of(std::int64_t first, std::int64_t count);
  at::Tensor hessian_part(std::int64_t first, std::int64_t count, const Tensors& v);
  at::Tensor slope_of(const at::Tensor& losses, const at::Tensor& outputs);
  Pulled pulled_part(Matrix matrix, std::int64_t first, std::int64_t count, const Tensors& v);
  void check_adjoint(Matrix matrix, const at::Tensor& v, const at::Tensor& product, double energy);
  std::shared_ptr<LinearOperator> product(Matrix matrix);

  std::shared_ptr<ModuleNetwork> network_;
  ModuleSamples samples_;
  ModuleOptions options_;
  OutputLoss loss_;
  at::Tensor parameters_;
  std::int64_t chunk_ = 1;
  std::vector<Tensors> graphs_;   ///< the gradient with its graph of each chunk that is kept
  std::int64_t graph_bytes_ = 0;  ///< the largest graph so far
  std::int64_t products_ = 0;
  std::int64_t unseen_ = -1;       ///< products before start_progress(); -1 before it
  std::array<bool, 3> checked_{};  ///< by Matrix
  bool slope_checked_ = false;
  GradientMoments moments_;
};

}  // namespace sharpseek
