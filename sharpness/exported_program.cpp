#include "sharpness/exported_program.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
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
using c10::IValue;
using nlohmann::json;

constexpr const char* kGraphRecord = "models/model.json";
constexpr const char* kPrefix = "torch.ops.";

/// The serialised numbers of types (torch/_export/serde/schema.py).
std::optional<at::ScalarType> scalar_type(std::int64_t number) {
  static const std::map<std::int64_t, at::ScalarType> types{
      {1, at::kByte},          {2, at::kChar},           {3, at::kShort}, {4, at::kInt},
      {5, at::kLong},          {6, at::kHalf},           {7, at::kFloat}, {8, at::kDouble},
      {10, at::kComplexFloat}, {11, at::kComplexDouble}, {12, at::kBool}, {13, at::kBFloat16}};
  const auto found = types.find(number);
  return found == types.end() ? std::nullopt : std::optional(found->second);
}

IValue memory_format(std::int64_t number) {
  constexpr std::array kFormats{at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast,
                                at::MemoryFormat::ChannelsLast3d, at::MemoryFormat::Preserve};
  require(number >= 1 && number <= 4, "its graph names a memory format that is not read (", number, ")");
  return static_cast<std::int64_t>(kFormats[static_cast<std::size_t>(number - 1)]);
}

/// The key of a tagged union {"as_int": 3}, and its value.
std::pair<std::string, const json&> tagged(const json& value) {
  return {value.items().begin().key(), value.items().begin().value()};
}

/// An integer that a graph holds as a number or as the name of a value.
bool is_named(const json& integer) { return integer.is_object() && integer.contains("as_name"); }

/// One node of the graph, looked up.
struct Step {
  std::optional<c10::OperatorHandle> op;  ///< none: integer arithmetic
  std::string target;
  const json* node = nullptr;
  const char* size_name = "shape";  ///< the node's word for the argument that reshape calls so
};

/// Integer arithmetic on shapes, which Python does in the program.
std::int64_t integer_result(const std::string& target, std::int64_t a, std::int64_t b) {
  if (target == "_operator.add") return a + b;
  if (target == "_operator.sub") return a - b;
  if (target == "_operator.mul") return a * b;
  if (target == "_operator.floordiv") return a / b - ((a % b != 0) && ((a < 0) != (b < 0)) ? 1 : 0);
  if (target == "_operator.mod") return ((a % b) + b) % b;
  throw UserError(concat("its graph computes shapes by ", target, ", which is not read yet"));
}

class ExportedProgram final : public UserModule {
 public:
  ExportedProgram(const std::string& file, at::Device device) : device_(device) {
    caffe2::serialize::PyTorchStreamReader reader(file);
    const auto text = [&](const std::string& record) {
      auto [data, size] = reader.getRecord(record);
      return std::string(static_cast<const char*>(data.get()), size);
    };
    const auto known = [&](const std::string& record) { return reader.hasRecord(record); };
    require(known(kGraphRecord),
            "was exported by a torch older than 2.8, whose format is another one; export it again");
    program_ = json::parse(text(kGraphRecord));
    graph_ = &program_.at("graph_module").at("graph");
    signature_ = &program_.at("graph_module").at("signature");

    read_tensors(reader, "data/weights/", "model_weights_config.json");
    read_tensors(reader, "data/constants/", "model_constants_config.json");
    read_signature();
    for (const json& node : graph_->at("nodes")) steps_.push_back(step_of(node));
    for (const Step& step : steps_) check(step);
    for (const Step& step : steps_) check_writes(step);
    allow_other_layouts();
  }

  const std::vector<NamedTensor>& parameters() const override { return parameters_; }
  const std::vector<NamedTensor>& tensors() const override { return tensors_; }

  IValue forward(const Tensor& inputs) override {
    Values values;
    for (const auto& [name, state] : bound_) values[name] = state_.at(state);
    values[input_] = inputs;
    for (const Step& step : steps_) run(step, values);
    return values.at(output_);
  }

 private:
  using Values = std::map<std::string, IValue>;

  /// The tensors that a configuration lists. Names of the same file with the same shape are one tensor.
  void read_tensors(caffe2::serialize::PyTorchStreamReader& reader, const std::string& folder, const char* config) {
    if (!reader.hasRecord(folder + config)) return;
    auto [text, length] = reader.getRecord(folder + config);
    const json entries = json::parse(std::string(static_cast<const char*>(text.get()), length)).at("config");
    std::map<std::string, Tensor> read;
    for (const auto& [name, entry] : entries.items()) {
      if (entry.value("use_pickle", false)) {
        throw UserError(concat("its tensor ", name, " is stored as a pickle, which is not read"));
      }
      const json& meta = entry.at("tensor_meta");
      const std::string path = entry.at("path_name");
      const std::string key = path + meta.dump();
      if (!read.contains(key)) {
        read[key] = tensor_of(reader, folder + path, meta, name);
        if (entry.at("is_param")) read[key].requires_grad_(meta.value("requires_grad", true));
        tensors_.push_back({name, read[key]});
      }
      state_[name] = read[key];
    }
  }

  Tensor tensor_of(caffe2::serialize::PyTorchStreamReader& reader, const std::string& record, const json& meta,
                   const std::string& name) const {
    const auto integers = [&](const json& list) {
      std::vector<std::int64_t> found;
      for (const json& one : list) found.push_back(one.at("as_int"));
      return found;
    };
    const std::optional<at::ScalarType> type = scalar_type(meta.at("dtype"));
    require(type.has_value(), "its tensor ", name, " has a type that is not read (", meta.at("dtype").dump(), ")");
    auto [data, size] = reader.getRecord(record);
    const std::vector<std::int64_t> sizes = integers(meta.at("sizes"));
    const std::vector<std::int64_t> strides = integers(meta.at("strides"));
    const std::int64_t offset = meta.at("storage_offset").at("as_int");
    const auto elements = static_cast<std::int64_t>(size / c10::elementSize(*type));
    const Tensor stored = at::from_blob(data.get(), {elements}, at::TensorOptions(*type));
    std::int64_t count = 1, last = offset;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      count *= sizes[i];
      last += (sizes[i] - 1) * strides[i];
    }
    require(count == 0 || last < elements, "its tensor ", name, " is longer than what the file holds of it");
    return stored.as_strided(sizes, strides, offset).clone(at::MemoryFormat::Contiguous).to(device_);
  }

  /// Which of the graph's values are parameters, buffers and the samples, and which one is the result.
  void read_signature() {
    std::set<const c10::TensorImpl*> seen;
    for (const json& input : signature_->at("input_specs")) {
      const auto [kind, value] = tagged(input);
      if (kind == "user_input") {
        const auto [type, argument] = tagged(value.at("arg"));
        if (type == "as_none") continue;
        require(type == "as_tensor" && input_.empty(), "takes more than one tensor of samples; export forward(inputs)");
        input_ = argument.at("name");
        continue;
      }
      const char* key = kind == "parameter"         ? "parameter_name"
                        : kind == "buffer"          ? "buffer_name"
                        : kind == "tensor_constant" ? "tensor_constant_name"
                                                    : nullptr;
      require(key != nullptr, "takes an input of kind ", kind, ", which is not read");
      const std::string name = value.at(key);
      require(state_.contains(name), "holds no tensor ", name, ", which its graph takes");
      bound_[value.at("arg").at("name")] = name;
      const Tensor& tensor = state_.at(name);
      if (kind == "parameter" && tensor.requires_grad() && tensor.numel() > 0 &&
          seen.insert(tensor.unsafeGetTensorImpl()).second) {
        parameters_.push_back({name, tensor});
      }
    }
    require(!input_.empty(), "takes no tensor of samples");
    require(!parameters_.empty(), "has no parameter that requires gradients");
    for (const json& output : signature_->at("output_specs")) {
      const auto [kind, value] = tagged(output);
      require(
          kind != "buffer_mutation", "changes its buffer ", value.value("buffer_name", ""),
          " (batch norm in training mode, a counter?), so that its loss is not a function of the weights; call .eval() "
          "before exporting");
      require(kind == "user_output" && tagged(value.at("arg")).first == "as_tensor" && output_.empty(),
              "forward(inputs) must return one tensor");
      output_ = tagged(value.at("arg")).second.at("name");
    }
    require(!output_.empty(), "forward(inputs) must return one tensor");
  }

  Step step_of(const json& node) const {
    Step step{.op = std::nullopt, .target = node.at("target"), .node = &node};
    if (step.target.starts_with("_operator.")) return step;
    require(step.target.starts_with(kPrefix), "its graph calls ", step.target, ", which is not an op of LibTorch");
    // torch.ops.aten.add.Tensor
    const std::string path = step.target.substr(std::string(kPrefix).size());
    const std::size_t first = path.find('.');
    const std::size_t last = path.rfind('.');
    require(first != std::string::npos && first < last, "its graph calls ", step.target,
            ", which has no name of an op");
    const std::string name = concat(path.substr(0, first), "::", path.substr(first + 1, last - first - 1));
    const std::string overload = path.substr(last + 1) == "default" ? "" : path.substr(last + 1);
    step.op = c10::Dispatcher::singleton().findSchema({name, overload});
    require(step.op.has_value(), "its graph calls ", step.target, ", which this LibTorch does not have");
    return step;
  }

  /// Refuses what is no function of weights and inputs.
  static void check(const Step& step) {
    const auto has = [&](const char* part) { return step.target.find(part) != std::string::npos; };
    const auto flag = [&](const char* name) {
      for (const json& input : step.node->at("inputs")) {
        if (input.at("name") == name && input.at("arg").contains("as_bool"))
          return input.at("arg").at("as_bool").get<bool>();
      }
      return false;
    };
    require(!(has("batch_norm") && (flag("training") || flag("train"))),
            "holds a batch norm in training mode, which mixes "
            "samples; call .eval() before exporting");
    const bool dropout = has("dropout") && (flag("train") || has("native_dropout"));
    require(!dropout,
            "holds a dropout in training mode, whose loss is not a function of the weights; call .eval() before "
            "exporting");
    for (const char* random : {"aten.rand", "aten.bernoulli", "aten.normal", "aten.uniform", "aten.multinomial"}) {
      require(!has(random), "draws random numbers (", step.target,
              "), so that its loss is not a function of the weights");
    }
  }

  static bool writes(const Step& step) {
    if (!step.op || step.op->schema().name() == "aten::detach_") return false;
    const auto& formals = step.op->schema().arguments();
    return std::any_of(formals.begin(), formals.end(), [](const c10::Argument& formal) {
      return formal.alias_info() != nullptr && formal.alias_info()->isWrite();
    });
  }

  /// The program was recorded with fused attention, whose result lies otherwise in memory than that of the attention
  /// which can be differentiated twice; a view of it may need a copy. Where nothing is changed in place a copy is as
  /// good.
  void allow_other_layouts() {
    if (std::any_of(steps_.begin(), steps_.end(), writes)) return;
    for (Step& step : steps_) {
      if (step.target != "torch.ops.aten.view.default") continue;
      step.op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::reshape", "");
      step.size_name = "size";
    }
  }

  /// Refuses in-place changes of what the program holds.
  void check_writes(const Step& step) const {
    if (!step.op) return;
    for (const c10::Argument& formal : step.op->schema().arguments()) {
      if (formal.alias_info() == nullptr || !formal.alias_info()->isWrite()) continue;
      for (const json& input : step.node->at("inputs")) {
        if (input.at("name") != formal.name() || !input.at("arg").contains("as_tensor")) continue;
        const auto held = bound_.find(input.at("arg").at("as_tensor").at("name").get<std::string>());
        require(held == bound_.end(), "changes its buffer ", held == bound_.end() ? "" : held->second,
                ", so that its loss is not a function of the weights; call .eval() before exporting");
      }
    }
  }

  void run(const Step& step, Values& values) const {
    const json& inputs = step.node->at("inputs");
    if (!step.op) {
      const auto integer = [&](std::size_t i) { return argument(inputs.at(i).at("arg"), values).toInt(); };
      values[step.node->at("outputs").at(0).at("as_sym_int").at("as_name")] =
          integer_result(step.target, integer(0), integer(1));
      return;
    }
    std::vector<IValue> stack;
    for (const c10::Argument& formal : step.op->schema().arguments()) {
      const std::string name = formal.name() == "shape" ? step.size_name : formal.name();
      const auto given =
          std::find_if(inputs.begin(), inputs.end(), [&](const json& input) { return input.at("name") == name; });
      require(given != inputs.end() || formal.default_value().has_value(), "its graph calls ", step.target, " without ",
              formal.name());
      stack.push_back(given != inputs.end() ? fitting(argument(given->at("arg"), values), formal)
                                            : *formal.default_value());
    }
    step.op->callBoxed(stack);
    const json& outputs = step.node->at("outputs");
    for (std::size_t i = 0; i < outputs.size(); ++i) bind(outputs.at(i), stack.at(i), values);
  }

  /// A number where a tensor is asked for, or an integer where a real number is, as Python's calls convert them.
  static IValue fitting(IValue value, const c10::Argument& formal) {
    c10::TypePtr type = formal.type();
    if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
    if (type->kind() == c10::TypeKind::TensorType && value.isScalar()) {
      const Tensor number = at::scalar_tensor(value.toScalar());
      number.unsafeGetTensorImpl()->set_wrapped_number(true);
      return number;
    }
    if (type->kind() == c10::TypeKind::FloatType && value.isInt()) return static_cast<double>(value.toInt());
    return value;
  }

  static void bind(const json& output, const IValue& value, Values& values) {
    const auto [kind, place] = tagged(output);
    if (kind == "as_tensor") {
      values[place.at("name")] = value;
    } else if (kind == "as_sym_int") {
      if (is_named(place)) values[place.at("as_name")] = value;
    } else if (kind == "as_tensors") {
      const std::vector<Tensor> parts = value.toTensorVector();
      for (std::size_t i = 0; i < parts.size(); ++i) values[place.at(i).at("name")] = parts[i];
    } else {
      require(kind == "as_none", "its graph has a result of kind ", kind, ", which is not read");
    }
  }

  /// The value of an argument of the graph.
  IValue argument(const json& given, const Values& values) const {
    const auto [kind, value] = tagged(given);
    const auto named = [&](const json& place) -> const IValue& { return values.at(place.get<std::string>()); };
    const auto integer = [&](const json& one) {
      if (one.is_number()) return one.get<std::int64_t>();
      return is_named(one) ? named(one.at("as_name")).toInt() : one.at("as_int").get<std::int64_t>();
    };
    if (kind == "as_tensor") return named(value.at("name"));
    if (kind == "as_none") return {};
    if (kind == "as_int" || kind == "as_sym_int") return integer(value);
    if (kind == "as_float") return value.get<double>();
    if (kind == "as_bool") return value.get<bool>();
    if (kind == "as_string") return value.get<std::string>();
    if (kind == "as_ints" || kind == "as_sym_ints") {
      std::vector<std::int64_t> all;
      for (const json& one : value) all.push_back(integer(one));
      return all;
    }
    if (kind == "as_floats") return value.get<std::vector<double>>();
    if (kind == "as_bools") {
      c10::List<bool> all;
      for (const json& one : value) all.push_back(one.get<bool>());
      return all;
    }
    if (kind == "as_tensors") {
      std::vector<Tensor> all;
      for (const json& one : value) all.push_back(named(one.at("name")).toTensor());
      return all;
    }
    if (kind == "as_optional_tensors") {
      c10::List<std::optional<Tensor>> all;
      for (const json& one : value) {
        all.push_back(one.contains("as_tensor") ? std::optional(named(one.at("as_tensor").at("name")).toTensor())
                                                : std::nullopt);
      }
      return all;
    }
    if (kind == "as_scalar_type") {
      const std::optional<at::ScalarType> type = scalar_type(value);
      require(type.has_value(), "its graph names a type that is not read (", value.dump(), ")");
      return static_cast<std::int64_t>(*type);
    }
    if (kind == "as_device") return device_;  // where the weights are now
    if (kind == "as_layout") return static_cast<std::int64_t>(at::kStrided);
    if (kind == "as_memory_format") return memory_format(value);
    throw UserError(concat("its graph has an argument of kind ", kind, ", which is not read"));
  }

  at::Device device_;
  json program_;
  const json* graph_ = nullptr;
  const json* signature_ = nullptr;
  std::map<std::string, Tensor> state_;       ///< by the names of the module
  std::map<std::string, std::string> bound_;  ///< value of the graph -> name in state_
  std::string input_, output_;
  std::vector<Step> steps_;
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
