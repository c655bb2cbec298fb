#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sharpness/objective.h"
#include "sharpness/user_module.h"

namespace sharpseek {

/// A user's module as a function of inputs and a flat parameter vector, with its derivatives by autograd.
/// The vector [P] is that of UserModule::parameters() in their order; a complex parameter counts as its real and
/// imaginary parts side by side. Whatever LibTorch throws is a UserError of one line that names the module.
class ModuleNetwork {
 public:
  using Tensors = std::vector<at::Tensor>;

  ModuleNetwork(const std::string& file, at::Device device);

  /// "--module FILE", with which messages begin.
  const std::string& subject() const { return subject_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  std::int64_t dimension() const { return dimension_; }
  /// The precision of the file: float32 or float64.
  at::ScalarType saved_precision() const { return saved_; }
  at::ScalarType precision() const { return precision_; }
  /// Computes in `real` from now on.
  void set_precision(at::ScalarType real);

  at::Tensor parameters() const;                  ///< a copy of the parameter vector [P]
  void set_parameters(const at::Tensor& vector);  ///< [P]

  /// What forward takes.
  const std::vector<ModuleInput>& inputs() const { return module_->inputs(); }
  /// How many tensors forward returns; nothing where only a call shows it.
  std::optional<std::int64_t> results() const { return module_->results(); }
  /// All that forward returns for values [n, ...] of its inputs; the first one, f(x) [n, ...], depends on parameters.
  Tensors all_outputs(const Tensors& inputs);
  /// The first one.
  at::Tensor outputs(const Tensors& inputs) { return all_outputs(inputs).front(); }
  /// d <output, cotangent> / d parameters, one part for each block; undefined where it is 0. An undefined cotangent
  /// is 1.
  Tensors gradients(const at::Tensor& output, const at::Tensor& cotangent, bool keep, bool create) const;
  /// sum_i d <g_i, v_i> / d parameters for parts g of a gradient with its graph.
  Tensors derivatives(const Tensors& g, const Tensors& v, bool keep) const;
  /// sum_i d <pulled_i, v_i> / d u.
  at::Tensor tangent(const Tensors& pulled, const Tensors& v, const at::Tensor& u) const;

  Tensors split(const at::Tensor& vector) const;
  at::Tensor flatten(const Tensors& parts) const;

 private:
  std::string subject_;
  std::unique_ptr<UserModule> module_;
  std::vector<NamedTensor> leaves_;
  Tensors tensors_;  ///< of leaves_
  std::vector<Block> blocks_;
  std::int64_t dimension_ = 0;
  at::ScalarType saved_, precision_;
};

/// a'b of two flat vectors [P], in float64.
double scalar_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace sharpseek
