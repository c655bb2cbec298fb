#include "sharpness/exported_graph.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

using at::Tensor;
using c10::IValue;
using nlohmann::json;

constexpr const char* kPrefix = "torch.ops.";

IValue memory_format(std::int64_t number) {
  constexpr std::array kFormats{at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast,
                                at::MemoryFormat::ChannelsLast3d, at::MemoryFormat::Preserve};
  // Numbers of the format; 0 is unknown.
  require(number >= 1 && number <= 4, "its graph names a memory format that is not read (", number, ")");
  return static_cast<std::int64_t>(kFormats[static_cast<std::size_t>(number - 1)]);
}

/// An integer that a graph holds as a number or as the name of a value.
bool is_named(const json& integer) { return integer.is_object() && integer.contains("as_name"); }

/// Integer arithmetic on shapes, which Python does in the program.
std::int64_t integer_result(const std::string& target, std::int64_t a, std::int64_t b) {
  if (target == "_operator.add") return a + b;
  if (target == "_operator.sub") return a - b;
  if (target == "_operator.mul") return a * b;
  require(b != 0 || (target != "_operator.floordiv" && target != "_operator.mod"), "its graph divides a shape by 0");
  // Python rounds quotients down, C++ towards 0.
  if (target == "_operator.floordiv") return a / b - ((a % b != 0) && ((a < 0) != (b < 0)) ? 1 : 0);
  if (target == "_operator.mod") return ((a % b) + b) % b;
  throw UserError(concat("its graph computes shapes by ", target, ", which is not read yet"));
}

/// Refuses a node that is no function of weights and inputs.
void check_function(const std::string& target, const json& node) {
  const auto has = [&](const char* part) { return target.find(part) != std::string::npos; };
  // Flags are arguments of the node, by name.
  const auto flag = [&](const char* name) {
    for (const json& input : node.at("inputs")) {
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
    require(!has(random), "draws random numbers (", target, "), so that its loss is not a function of the weights");
  }
}

/// A number where a tensor is asked for, or an integer where a real number is, as Python's calls convert them.
IValue fitting(IValue value, const c10::Argument& formal) {
  c10::TypePtr type = formal.type();
  if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  if (type->kind() == c10::TypeKind::TensorType && value.isScalar()) {
    const Tensor number = at::scalar_tensor(value.toScalar());
    // A wrapped number does not raise the other operand's type.
    number.unsafeGetTensorImpl()->set_wrapped_number(true);
    return number;
  }
  if (type->kind() == c10::TypeKind::FloatType && value.isInt()) return static_cast<double>(value.toInt());
  return value;
}

void keep_result(const json& output, const IValue& value, ExportedGraph::Values& values) {
  const auto [kind, place] = tagged(output);
  if (kind == "as_tensor") {
    values[place.at("name")] = value;
  } else if (kind == "as_sym_int") {
    if (is_named(place)) values[place.at("as_name")] = value;
  } else if (kind == "as_tensors") {
    const std::vector<Tensor> parts = value.toTensorVector();
    // One name for each part of a list.
    for (std::size_t i = 0; i < parts.size(); ++i) values[place.at(i).at("name")] = parts[i];
  } else {
    require(kind == "as_none", "its graph has a result of kind ", kind, ", which is not read");
  }
}

}  // namespace

std::optional<at::ScalarType> serialised_type(std::int64_t number) {
  static const std::map<std::int64_t, at::ScalarType> types{
      {1, at::kByte},          {2, at::kChar},           {3, at::kShort}, {4, at::kInt},
      {5, at::kLong},          {6, at::kHalf},           {7, at::kFloat}, {8, at::kDouble},
      {10, at::kComplexFloat}, {11, at::kComplexDouble}, {12, at::kBool}, {13, at::kBFloat16}};
  const auto found = types.find(number);
  return found == types.end() ? std::nullopt : std::optional(found->second);
}

std::pair<std::string, const json&> tagged(const json& value) {
  return {value.items().begin().key(), value.items().begin().value()};
}

ExportedGraph::ExportedGraph(const json& graph, at::Device device) : device_(device) {
  for (const json& node : graph.at("nodes")) steps_.push_back(step_of(node));
  allow_other_layouts();
}

void ExportedGraph::check(const std::map<std::string, std::string>& held) const {
  // Training modes and random numbers first: their messages say what to do.
  for (const Step& step : steps_) check_function(step.target, *step.node);
  for (const Step& step : steps_) {
    if (!writes(step)) continue;
    for (const c10::Argument& formal : step.op->schema().arguments()) {
      if (formal.alias_info() == nullptr || !formal.alias_info()->isWrite()) continue;
      for (const json& input : step.node->at("inputs")) {
        if (input.at("name") != formal.name() || !input.at("arg").contains("as_tensor")) continue;
        // Only what the program holds counts; values of its own it may change.
        const auto own = held.find(input.at("arg").at("as_tensor").at("name").get<std::string>());
        require(own == held.end(), "changes its buffer ", own == held.end() ? "" : own->second,
                ", so that its loss is not a function of the weights; call .eval() before exporting");
      }
    }
  }
}

void ExportedGraph::run(Values& values) const {
  for (const Step& step : steps_) run(step, values);
}

ExportedGraph::Step ExportedGraph::step_of(const json& node) {
  Step step{.op = std::nullopt, .target = node.at("target"), .node = &node};
  if (step.target.starts_with("_operator.")) return step;
  require(step.target.starts_with(kPrefix), "its graph calls ", step.target, ", which is not an op of LibTorch");
  // torch.ops.aten.add.Tensor
  const std::string path = step.target.substr(std::string(kPrefix).size());
  const std::size_t first = path.find('.');
  const std::size_t last = path.rfind('.');
  require(first != std::string::npos && first < last, "its graph calls ", step.target, ", which has no name of an op");
  // "aten::add" and the overload "Tensor", as the dispatcher has them.
  const std::string name = concat(path.substr(0, first), "::", path.substr(first + 1, last - first - 1));
  const std::string overload = path.substr(last + 1) == "default" ? "" : path.substr(last + 1);
  step.op = c10::Dispatcher::singleton().findSchema({name, overload});
  require(step.op.has_value(), "its graph calls ", step.target, ", which this LibTorch does not have");
  return step;
}

bool ExportedGraph::writes(const Step& step) {
  if (!step.op || step.op->schema().name() == "aten::detach_") return false;
  const auto& formals = step.op->schema().arguments();
  return std::any_of(formals.begin(), formals.end(), [](const c10::Argument& formal) {
    return formal.alias_info() != nullptr && formal.alias_info()->isWrite();
  });
}

/// The program was recorded with fused attention, whose result lies otherwise in memory than that of the attention
/// which can be differentiated twice; a view of it may need a copy. Where nothing is changed in place a copy is as
/// good.
void ExportedGraph::allow_other_layouts() {
  if (std::any_of(steps_.begin(), steps_.end(), writes)) return;
  for (Step& step : steps_) {
    if (step.target != "torch.ops.aten.view.default") continue;
    step.op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::reshape", "");
    step.size_name = "size";
  }
}

void ExportedGraph::run(const Step& step, Values& values) const {
  const json& inputs = step.node->at("inputs");
  // Arithmetic on shapes is done here.
  if (!step.op) {
    const auto integer = [&](std::size_t i) { return argument(inputs.at(i).at("arg"), values).toInt(); };
    values[step.node->at("outputs").at(0).at("as_sym_int").at("as_name")] =
        integer_result(step.target, integer(0), integer(1));
    return;
  }

  // Arguments in the order of the op's schema, with its defaults.
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
  for (std::size_t i = 0; i < outputs.size(); ++i) keep_result(outputs.at(i), stack.at(i), values);
}

/// The value of an argument of the graph.
IValue ExportedGraph::argument(const json& given, const Values& values) const {
  const auto [kind, value] = tagged(given);
  const auto named = [&](const json& place) -> const IValue& { return values.at(place.get<std::string>()); };
  const auto integer = [&](const json& one) {
    if (one.is_number()) return one.get<std::int64_t>();
    return is_named(one) ? named(one.at("as_name")).toInt() : one.at("as_int").get<std::int64_t>();
  };
  // Values of the graph by name, constants as they are.
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
    const std::optional<at::ScalarType> type = serialised_type(value);
    require(type.has_value(), "its graph names a type that is not read (", value.dump(), ")");
    return static_cast<std::int64_t>(*type);
  }
  if (kind == "as_device") return device_;  // where the weights are now
  if (kind == "as_layout") return static_cast<std::int64_t>(at::kStrided);
  if (kind == "as_memory_format") return memory_format(value);
  throw UserError(concat("its graph has an argument of kind ", kind, ", which is not read"));
}

}  // namespace sharpseek
