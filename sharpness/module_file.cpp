#include "sharpness/module_file.h"

#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "sharpness/archive.h"
#include "sharpness/torch_errors.h"

namespace sharpseek {
namespace {

using at::Tensor;

/// What a file is that LibTorch's reader of TorchScript takes for a damaged one; empty if unknown.
std::string other_format(const std::string& file) {
  const std::string names = end_of_archive(file);
  const auto has = [&](const char* name) { return names.find(name) != std::string::npos; };
  if (has("/data.pkl") && !has("/code/")) {
    return "is a pickle of torch.save (weights or a Python object) without code; save the module with "
           "torch.export.save(torch.export.export(module, inputs), file)";
  }
  return "";
}

void check_structure(const torch::jit::Module& module, const std::string& subject) {
  for (const auto& [name, part] : module.named_modules()) {
    const auto type = part.type()->name();
    const std::string kind = type ? type->name() : "";
    const bool training = part.hasattr("training") && part.attr("training").isBool() && part.attr("training").toBool();
    // The mode is saved with each part.
    if (!training) continue;
    for (const char* refused : {"Dropout", "BatchNorm"}) {
      require(kind.find(refused) == std::string::npos, subject, ": ", name, " is a ", kind,
              " in training mode, whose loss is not a function of the weights; call .eval() before scripting");
    }
  }
  require(module.find_method("forward").has_value(), subject, ": has no method forward");
  // Calls inlined, so that ops of submodules show.
  const auto graph = module.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  for (const torch::jit::Node* node : graph->nodes()) {  // not inside ifs: scripted layers choose at run time
    require(std::string(node->kind().toQualString()) != "aten::_transformer_encoder_layer_fwd", subject,
            ": was traced with the fused transformer layer, which has no derivative; script it, or trace it with "
            "gradients enabled");
  }
}

/// Calls body(name, value) for every tensor that is reachable from a value, objects and containers included.
class TensorWalk {
 public:
  explicit TensorWalk(std::function<void(const std::string&, const Tensor&)> body) : body_(std::move(body)) {}

  void operator()(const std::string& name, const c10::IValue& value) {
    const auto inside = [&](const std::string& part) { return name.empty() ? part : concat(name, ".", part); };
    if (value.isTensor()) {
      if (value.toTensor().defined()) body_(name, value.toTensor());
    } else if (value.isObject()) {
      const auto object = value.toObject();
      // Objects may refer to each other.
      if (!seen_.insert(object.get()).second) return;
      for (std::size_t i = 0; i < object->slots().size(); ++i) {
        (*this)(inside(object->type()->getAttributeName(i)), object->getSlot(i));
      }
    } else if (value.isTuple()) {
      std::size_t i = 0;
      for (const c10::IValue& part : value.toTupleRef().elements()) (*this)(inside(std::to_string(i++)), part);
    } else if (value.isList()) {
      std::size_t i = 0;
      for (const c10::IValue& part : value.toListRef()) (*this)(inside(std::to_string(i++)), part);
    } else if (value.isGenericDict()) {
      for (const auto& entry : value.toGenericDict()) {
        (*this)(inside(entry.key().isString() ? entry.key().toStringRef() : "?"), entry.value());
      }
    }
  }

 private:
  std::function<void(const std::string&, const Tensor&)> body_;
  std::set<const c10::ivalue::Object*> seen_;
};

/// All tensors of a module, each once, under the first name that leads to it.
std::vector<NamedTensor> all_tensors(const torch::jit::Module& module) {
  std::vector<NamedTensor> found;
  std::set<const c10::TensorImpl*> seen;
  TensorWalk walk([&](const std::string& name, const Tensor& tensor) {
    if (seen.insert(tensor.unsafeGetTensorImpl()).second) found.push_back({name, tensor});
  });
  walk("", module._ivalue());
  return found;
}

bool share_storage(const Tensor& a, const Tensor& b) {
  return a.has_storage() && b.has_storage() && a.numel() > 0 && b.numel() > 0 && a.storage().is_alias_of(b.storage());
}

/// The same elements of memory in the same order.
bool same_memory(const Tensor& a, const Tensor& b) {
  return share_storage(a, b) && a.scalar_type() == b.scalar_type() && a.storage_offset() == b.storage_offset() &&
         a.sizes() == b.sizes() && a.strides() == b.strides();
}

/// Positions of a tensor's elements in its storage.
Tensor positions(const Tensor& t, std::int64_t storage) {
  return at::arange(storage).as_strided(t.sizes(), t.strides(), t.storage_offset()).reshape({-1});
}

std::int64_t storage_elements(const Tensor& t) {
  return static_cast<std::int64_t>(t.storage().nbytes() / t.element_size());
}

/// Whether two tensors have an element of memory in common.
bool overlap(const Tensor& a, const Tensor& b) {
  if (!share_storage(a, b)) return false;
  // LibTorch decides where it can; else element by element.
  const at::MemOverlapStatus status = at::get_overlap_status(a, b);
  if (status != at::MemOverlapStatus::TooHard) return status != at::MemOverlapStatus::No;
  if (a.element_size() != b.element_size()) return true;
  const std::int64_t storage = storage_elements(a);
  // Marks the elements of one and looks for them in the other.
  Tensor taken = at::zeros({storage}, at::kBool);
  taken.index_fill_(0, positions(a, storage), true);
  return taken.index_select(0, positions(b, storage)).any().item<bool>();
}

/// Whether two elements of a tensor are one in memory, as after expand().
bool overlaps_itself(const Tensor& t) {
  if (t.numel() == 0 || t.is_non_overlapping_and_dense()) return false;
  // Two equal positions next to each other, once sorted.
  const Tensor ascending = std::get<0>(positions(t, storage_elements(t)).sort());
  const std::int64_t n = ascending.numel();
  return n > 1 && (ascending.narrow(0, 1, n - 1) == ascending.narrow(0, 0, n - 1)).any().item<bool>();
}

/// Gives names whose parameters are the same memory the same tensor.
void join_tied(const torch::jit::Module& module) {
  std::vector<Tensor> first;
  for (torch::jit::Module part : module.modules()) {
    for (const auto& named : part.named_parameters(/*recurse=*/false)) {
      const Tensor& parameter = named.value;
      if (!parameter.requires_grad()) continue;
      // The first name keeps its tensor; others of the same memory get that one.
      const auto same = std::find_if(first.begin(), first.end(), [&](const Tensor& t) {
        return !t.is_same(parameter) && same_memory(t, parameter);
      });
      if (same == first.end()) {
        first.push_back(parameter);
      } else {
        part.setattr(named.name, *same);
      }
    }
  }
}

torch::jit::Module load(const std::string& file, at::Device device) {
  const std::string subject = "--module " + file;
  torch::jit::Module module;
  try {
    module = torch::jit::load(file, device);
  } catch (const std::exception& error) {
    // What the file is, where that is known, says more than LibTorch's error.
    const std::string other = other_format(file);
    require(other.empty(), subject, ": ", other);
    throw UserError(concat(subject,
                           ": is neither an exported program nor a TorchScript module that can be loaded here "
                           "(torch.export.save, or torch.jit.script or trace, then .save): ",
                           torch_reason(error)));
  }
  with_torch_errors(subject, [&] { check_structure(module, subject); });
  return module;
}

std::vector<NamedTensor> distinct_parameters(const torch::jit::Module& module, const std::string& file) {
  join_tied(module);
  std::vector<NamedTensor> leaves;
  std::set<const c10::TensorImpl*> seen;
  for (const auto& [name, parameter] : module.named_parameters()) {
    if (!parameter.requires_grad() || parameter.numel() == 0) continue;
    if (seen.insert(parameter.unsafeGetTensorImpl()).second) leaves.push_back({name, parameter});
  }
  require(!leaves.empty(), "--module ", file,
          ": has no parameter that requires gradients (frozen by requires_grad or torch.jit.freeze?)");

  // Memory shared in any other way would count a weight twice, or move one that is not measured.
  const std::vector<NamedTensor> all = all_tensors(module);
  for (const NamedTensor& leaf : leaves) {
    require(!overlaps_itself(leaf.tensor), "--module ", file, ": parameter ", leaf.name,
            " has elements that are one in memory (expand?): keep the smaller tensor as the parameter and expand it in "
            "forward");
    for (const NamedTensor& other : all) {
      require(leaf.tensor.is_same(other.tensor) || !overlap(leaf.tensor, other.tensor), "--module ", file,
              ": parameter ", leaf.name, " shares memory with ", other.name,
              " but is another tensor: what is one "
              "weight would count as two; keep one parameter and take the other from it in forward");
    }
  }
  return leaves;
}

class ScriptedModule final : public UserModule {
 public:
  ScriptedModule(const std::string& file, at::Device device)
      : module_(load(file, device)), parameters_(distinct_parameters(module_, file)), tensors_(all_tensors(module_)) {}

  const std::vector<NamedTensor>& parameters() const override { return parameters_; }
  const std::vector<NamedTensor>& tensors() const override { return tensors_; }
  const std::vector<ModuleInput>& inputs() const override { return inputs_; }
  std::optional<std::int64_t> results() const override { return std::nullopt; }
  c10::IValue forward(const std::vector<Tensor>& inputs) override {
    torch::jit::setGraphExecutorOptimize(false);  // thread-local: same values, no warm-up
    return module_.forward({inputs.begin(), inputs.end()});
  }

 private:
  torch::jit::Module module_;
  std::vector<ModuleInput> inputs_{{"inputs", std::nullopt}};
  std::vector<NamedTensor> parameters_, tensors_;
};

}  // namespace

std::unique_ptr<UserModule> read_torchscript(const std::string& file, at::Device device) {
  return std::make_unique<ScriptedModule>(file, device);
}

}  // namespace sharpseek
