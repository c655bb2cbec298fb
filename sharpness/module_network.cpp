#include "sharpness/module_network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "sharpness/exported_program.h"
#include "sharpness/module_file.h"
#include "sharpness/torch_errors.h"

namespace sharpseek {
namespace {

using at::Tensor;

/// What to try when forward refuses the types that it is given; empty if types are not what it refuses. `integers`:
/// whether it got some that it has not asked for.
std::string type_hint(const std::string& reason, bool integers, at::ScalarType saved, at::ScalarType now) {
  // Words of LibTorch's complaints about types.
  constexpr std::array kWords{"type", "Long", "long int", "Float", "Double"};
  const bool types = std::any_of(kWords.begin(), kWords.end(),
                                 [&](const char* word) { return reason.find(word) != std::string::npos; });
  if (!types) return "";
  if (integers) {
    return "; inputs are integers in the file and reach the module as int64: store images and other numbers as "
           "floating "
           "point";
  }
  if (saved == now) return "";
  return concat("; it was saved in ", saved == at::kDouble ? "float64" : "float32",
                " and fixes that type inside, as traces and exported programs do: measure it without --dtype");
}

std::unique_ptr<UserModule> read(const std::string& file, at::Device device) {
  require(std::ifstream(file).good(), "--module ", file, ": cannot be read");
  if (is_exported_program(file)) return read_exported_program(file, device);
  return read_torchscript(file, device);
}

/// Real numbers of a tensor, complex ones as pairs.
Tensor reals(const Tensor& t) {
  return t.is_complex() ? at::view_as_real(t.resolve_conj()).reshape({-1}) : t.reshape({-1});
}

}  // namespace

ModuleNetwork::ModuleNetwork(const std::string& file, at::Device device)
    : subject_("--module " + file), module_(read(file, device)), leaves_(module_->parameters()) {
  saved_ = sharpseek::saved_precision(*module_);

  // Parameters lie one after the other in [P]; the rows of a matrix are its filters.
  for (const NamedTensor& leaf : leaves_) {
    const Tensor& t = leaf.tensor;
    const std::int64_t numbers = t.numel() * (t.is_complex() ? 2 : 1);
    const std::int64_t rows = t.dim() >= 2 ? t.size(0) : 1;
    blocks_.push_back({leaf.name, dimension_, rows, numbers / rows});
    dimension_ += numbers;
    tensors_.push_back(t);
  }
  set_precision(saved_);
}

void ModuleNetwork::set_precision(at::ScalarType real) {
  with_torch_errors(subject_, [&] { convert(*module_, real); });
  precision_ = real;
}

Tensor ModuleNetwork::parameters() const {
  ModuleNetwork::Tensors parts;
  for (const NamedTensor& leaf : leaves_) {
    parts.push_back(leaf.tensor.detach());
    require(parts.back().isfinite().all().item<bool>(), subject_, ": parameter ", leaf.name, " is not finite");
  }
  return flatten(parts).clone();
}

void ModuleNetwork::set_parameters(const Tensor& vector) {
  const c10::AutoGradMode no_graph(false);
  const Tensors parts = split(vector);
  for (std::size_t i = 0; i < parts.size(); ++i) tensors_[i].copy_(parts[i]);
}

ModuleNetwork::Tensors ModuleNetwork::all_outputs(const Tensors& values) {
  c10::IValue result;
  try {
    result = module_->forward(values);
  } catch (const std::exception& error) {
    // Say what it got: shapes and, where types may be the cause, how to change them.
    std::string shapes;
    bool integers = false;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::string name = values.size() == 1 ? "inputs" : inputs()[i].name;
      shapes += concat(i > 0 ? ", " : "", name, ' ', c10::str(values[i].sizes()));
      integers |= !inputs()[i].type && !values[i].is_floating_point();
    }
    const std::string reason = torch_reason(error);
    throw UserError(concat(subject_, ": forward failed on ", shapes, ": ", reason,
                           type_hint(reason, integers, saved_, precision_)));
  }
  // One tensor, or as many as the program says that it returns.
  Tensors all;
  if (result.isTensor()) {
    all.push_back(result.toTensor());
  } else if (result.isTuple() && results().has_value()) {
    for (const c10::IValue& part : result.toTupleRef().elements()) all.push_back(part.toTensor());
  }
  require(!all.empty(), subject_, ": forward(inputs) must return one tensor");

  // Rows of samples, real numbers, with a way back to the parameters.
  const Tensor& y = all.front();
  const std::int64_t samples = values.front().size(0);
  require(y.dim() >= 1 && y.size(0) == samples, subject_, ": output ", c10::str(y.sizes()),
          " has not one row for each of ", samples, " samples", y.dim() == 0 ? " (reduction='none'?)" : "");
  require(y.is_floating_point(), subject_, ": its output is of type ", c10::toString(y.scalar_type()),
          ": must be real numbers that depend on parameters");
  require(
      !c10::GradMode::is_enabled() || y.requires_grad(), subject_,
      ": its output does not depend on any parameter that requires gradients (no_grad, detach or argmax in forward?)");
  return all;
}

ModuleNetwork::Tensors ModuleNetwork::gradients(const Tensor& output, const Tensor& cotangent, bool keep,
                                                bool create) const {
  return with_torch_errors(subject_ + ": its gradient failed", [&] {
    Tensors g = torch::autograd::grad({output}, tensors_, cotangent.defined() ? Tensors{cotangent} : Tensors{}, keep,
                                      create, /*allow_unused=*/true);
    bool any = false;
    for (std::size_t i = 0; i < g.size(); ++i) {
      // A parameter that the output does not depend on has none; one at least must have.
      any |= g[i].defined();
      require(!g[i].defined() || g[i].layout() == at::kStrided, subject_, ": the gradient of ", leaves_[i].name,
              " is sparse, which cannot be measured; nn.Embedding(sparse=False) has the same numbers");
    }
    require(any, subject_,
            ": its output does not depend on any parameter that requires gradients (no_grad or detach in "
            "forward?)");
    return g;
  });
}

ModuleNetwork::Tensors ModuleNetwork::derivatives(const Tensors& g, const Tensors& v, bool keep) const {
  Tensors outputs, cotangents;
  for (std::size_t i = 0; i < g.size(); ++i) {
    // Gradients that are constant in the weights have no derivative.
    if (!g[i].defined() || !g[i].requires_grad()) continue;
    outputs.push_back(g[i]);
    cotangents.push_back(v[i]);
  }
  if (outputs.empty()) return Tensors(tensors_.size());
  return with_torch_errors(subject_ + ": its Hessian product failed", [&] {
    return torch::autograd::grad(outputs, tensors_, cotangents, keep, false, /*allow_unused=*/true);
  });
}

Tensor ModuleNetwork::tangent(const Tensors& pulled, const Tensors& v, const Tensor& u) const {
  Tensors outputs, cotangents;
  for (std::size_t i = 0; i < pulled.size(); ++i) {
    if (!pulled[i].defined() || !pulled[i].requires_grad()) continue;
    outputs.push_back(pulled[i]);
    cotangents.push_back(v[i]);
  }
  return with_torch_errors(subject_ + ": the tangent of its outputs failed",
                           [&] { return torch::autograd::grad(outputs, {u}, cotangents, true, false).front(); });
}

ModuleNetwork::Tensors ModuleNetwork::split(const Tensor& vector) const {
  Tensors parts;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Tensor part = vector.narrow(0, blocks_[i].offset, blocks_[i].size());
    std::vector<std::int64_t> shape = tensors_[i].sizes().vec();
    if (!tensors_[i].is_complex()) {
      parts.push_back(part.reshape(shape));
      continue;
    }
    // Complex numbers are pairs of real ones in [P].
    shape.push_back(2);
    parts.push_back(at::view_as_complex(part.reshape(shape).clone()));
  }
  return parts;
}

Tensor ModuleNetwork::flatten(const Tensors& parts) const {
  Tensors flat;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    flat.push_back(reals(parts[i].defined() ? parts[i] : at::zeros_like(tensors_[i])));
  }
  return at::cat(flat);
}

double scalar_product(const Tensor& a, const Tensor& b) {
  return (a.to(at::kDouble) * b.to(at::kDouble)).sum().item<double>();
}

}  // namespace sharpseek
