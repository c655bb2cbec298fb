#include "sharpness/exported_program.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "sharpness/archive.h"
#include "sharpness/exported_graph.h"
#include "sharpness/torch_errors.h"

namespace sharpseek {
namespace {

using at::Tensor;
using c10::IValue;
using nlohmann::json;

constexpr const char* kGraphRecord = "models/model.json";

json read_json(caffe2::serialize::PyTorchStreamReader& reader, const std::string& record) {
  const auto [data, size] = reader.getRecord(record);
  return json::parse(std::string(static_cast<const char*>(data.get()), size));
}

class ExportedProgram final : public UserModule {
 public:
  ExportedProgram(const std::string& file, at::Device device) : device_(device) {
    caffe2::serialize::PyTorchStreamReader reader(file);
    require(reader.hasRecord(kGraphRecord),
            "was exported by a torch older than 2.8, whose format is another one; export it again");
    // The graph and its signature, then the tensors that they name.
    program_ = read_json(reader, kGraphRecord);
    signature_ = &program_.at("graph_module").at("signature");

    read_tensors(reader, "data/weights/", "model_weights_config.json");
    read_tensors(reader, "data/constants/", "model_constants_config.json");
    read_signature();
    graph_.emplace(program_.at("graph_module").at("graph"), device);
    graph_->check(bound_);
  }

  const std::vector<NamedTensor>& parameters() const override { return parameters_; }
  const std::vector<NamedTensor>& tensors() const override { return tensors_; }

  const std::vector<ModuleInput>& inputs() const override { return inputs_; }
  std::optional<std::int64_t> results() const override { return static_cast<std::int64_t>(results_.size()); }

  IValue forward(const std::vector<Tensor>& inputs) override {
    ExportedGraph::Values values;
    // Parameters and buffers under the graph's own names, then the samples.
    for (const auto& [name, state] : bound_) values[name] = state_.at(state);
    for (std::size_t i = 0; i < inputs.size(); ++i) values[inputs_.at(i).name] = inputs[i];
    graph_->run(values);
    if (results_.size() == 1) return values.at(results_.front());
    std::vector<IValue> all;
    for (const std::string& name : results_) all.push_back(values.at(name));
    return c10::ivalue::Tuple::create(std::move(all));
  }

 private:
  /// The tensors that a configuration lists. Names of the same file with the same shape are one tensor.
  void read_tensors(caffe2::serialize::PyTorchStreamReader& reader, const std::string& folder, const char* config) {
    if (!reader.hasRecord(folder + config)) return;
    const json entries = read_json(reader, folder + config).at("config");
    std::map<std::string, Tensor> read;
    // Of a file: its first tensor, and whether that is a parameter.
    std::map<std::string, std::pair<std::string, bool>> owners;
    for (const auto& [name, entry] : entries.items()) {
      if (entry.value("use_pickle", false)) {
        throw UserError(concat("its tensor ", name, " is stored as a pickle, which is not read"));
      }
      const json& meta = entry.at("tensor_meta");
      const std::string path = entry.at("path_name");
      // Same file and same view of it: one tensor under two names.
      const std::string key = path + meta.dump();
      if (!read.contains(key)) {
        const bool parameter = entry.at("is_param");
        const auto [owner, fresh] = owners.emplace(path, std::pair(name, parameter));
        require(
            fresh || !(parameter || owner->second.second), "its tensor ", name, " shares memory with ",
            owner->second.first,
            " but is another tensor: what is one weight would count as two; keep one parameter and take the other from "
            "it in forward");
        read[key] = tensor_of(reader, folder + path, meta, name, parameter);
        if (parameter) read[key].requires_grad_(meta.value("requires_grad", true));
        tensors_.push_back({name, read[key]});
      }
      state_[name] = read[key];
    }
  }

  Tensor tensor_of(caffe2::serialize::PyTorchStreamReader& reader, const std::string& record, const json& meta,
                   const std::string& name, bool parameter) const {
    const auto integers = [&](const json& list) {
      std::vector<std::int64_t> found;
      for (const json& one : list) found.push_back(one.at("as_int"));
      return found;
    };
    const std::optional<at::ScalarType> type = serialised_type(meta.at("dtype"));
    require(type.has_value(), "its tensor ", name, " has a type that is not read (", meta.at("dtype").dump(), ")");
    auto [data, size] = reader.getRecord(record);
    const std::vector<std::int64_t> sizes = integers(meta.at("sizes"));
    const std::vector<std::int64_t> strides = integers(meta.at("strides"));
    const std::int64_t offset = meta.at("storage_offset").at("as_int");
    const auto elements = static_cast<std::int64_t>(size / c10::elementSize(*type));
    // The file holds a storage; sizes, strides and offset say which part is the tensor.
    const Tensor stored = at::from_blob(data.get(), {elements}, at::TensorOptions(*type));
    // The last element that the view reaches must lie in the file.
    std::int64_t count = 1, last = offset;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      count *= sizes[i];
      last += (sizes[i] - 1) * strides[i];
    }
    require(!parameter || count <= elements, "its parameter ", name,
            " has elements that are one in memory (expand?): keep the smaller tensor as the parameter and expand it in "
            "forward");
    require(count == 0 || last < elements, "its tensor ", name, " is longer than what the file holds of it");
    return stored.as_strided(sizes, strides, offset).clone(at::MemoryFormat::Contiguous).to(device_);
  }

  /// Which of the graph's values are parameters, buffers and samples, and which ones are results.
  void read_signature() {
    std::set<const c10::TensorImpl*> seen;
    for (const json& input : signature_->at("input_specs")) {
      const auto [kind, value] = tagged(input);
      if (kind == "user_input") {
        const auto [type, argument] = tagged(value.at("arg"));
        if (type == "as_none") continue;
        require(type == "as_tensor", "takes an input that is no tensor (", type,
                "); export it with tensors of samples alone");
        const std::string name = argument.at("name");
        const json& meta = program_.at("graph_module").at("graph").at("tensor_values").at(name);
        inputs_.push_back({name, serialised_type(meta.at("dtype"))});
        continue;
      }
      // What the graph takes in addition to samples: state by name.
      const char* key = kind == "parameter"         ? "parameter_name"
                        : kind == "buffer"          ? "buffer_name"
                        : kind == "tensor_constant" ? "tensor_constant_name"
                                                    : nullptr;
      require(key != nullptr, "takes an input of kind ", kind, ", which is not read");
      const std::string name = value.at(key);
      require(state_.contains(name), "holds no tensor ", name, ", which its graph takes");
      bound_[value.at("arg").at("name")] = name;
      const Tensor& tensor = state_.at(name);
      // Tied names share a tensor, which counts once.
      if (kind == "parameter" && tensor.requires_grad() && tensor.numel() > 0 &&
          seen.insert(tensor.unsafeGetTensorImpl()).second) {
        parameters_.push_back({name, tensor});
      }
    }

    // Then what comes out.
    require(!inputs_.empty(), "takes no tensor of samples");
    require(!parameters_.empty(), "has no parameter that requires gradients");
    for (const json& output : signature_->at("output_specs")) {
      const auto [kind, value] = tagged(output);
      require(
          kind != "buffer_mutation", "changes its buffer ", value.value("buffer_name", ""),
          " (batch norm in training mode, a counter?), so that its loss is not a function of the weights; call .eval() "
          "before exporting");
      require(kind == "user_output", "changes what it is given, or else (", kind, "): must return tensors alone");
      const auto [type, result] = tagged(value.at("arg"));
      if (type == "as_none") continue;
      require(type == "as_tensor", "returns something that is no tensor (", type, ")");
      results_.push_back(result.at("name"));
    }
    require(!results_.empty(), "returns no tensor");
  }

  at::Device device_;
  json program_;
  const json* signature_ = nullptr;
  std::map<std::string, Tensor> state_;       ///< by the names of the module
  std::map<std::string, std::string> bound_;  ///< value of the graph -> name in state_
  std::vector<ModuleInput> inputs_;
  std::vector<std::string> results_;  ///< values of the graph
  std::optional<ExportedGraph> graph_;
  std::vector<NamedTensor> parameters_, tensors_;
};

}  // namespace

bool is_exported_program(const std::string& file) {
  const std::string names = end_of_archive(file);
  const auto has = [&](const char* name) { return names.find(name) != std::string::npos; };
  return has("/models/model.json") || has("archive_format") || has("serialized_exported_program.json");
}

std::unique_ptr<UserModule> read_exported_program(const std::string& file, at::Device device) {
  const std::string subject = "--module " + file;
  try {
    return std::make_unique<ExportedProgram>(file, device);
  } catch (const UserError& error) {
    throw UserError(concat(subject, ": ", error.what()));
  } catch (const json::exception& error) {
    throw UserError(concat(subject, ": is no exported program that can be read here: ", error.what()));
  } catch (const std::exception& error) {
    throw UserError(concat(subject, ": is no exported program that can be read here: ", torch_reason(error)));
  }
}

}  // namespace sharpseek
