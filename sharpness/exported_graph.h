#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sharpseek {

/// The graph of an exported program as its JSON describes it (torch/_export/serde/schema.py), looked up in LibTorch's
/// dispatcher. Every member throws UserError, without the file's name, for what is not read.
class ExportedGraph {
 public:
  /// Values by their names in the graph.
  using Values = std::map<std::string, c10::IValue>;

  /// The JSON must outlive the graph. `device`: where the values are; a device that the graph names means it.
  ExportedGraph(const nlohmann::json& graph, at::Device device);

  /// Refuses what is no function of weights and inputs: batch norm and dropout in training mode, random numbers, and
  /// changes of the tensors that the program holds (their names in the graph, and in the module).
  void check(const std::map<std::string, std::string>& held) const;

  /// Runs every op in turn, with autograd where that is on.
  void run(Values& values) const;

 private:
  /// One node, looked up.
  struct Step {
    std::optional<c10::OperatorHandle> op;  ///< none: integer arithmetic
    std::string target;
    const nlohmann::json* node = nullptr;
    const char* size_name = "shape";  ///< the node's word for the argument that reshape calls so
  };

  static Step step_of(const nlohmann::json& node);
  static bool writes(const Step& step);
  void allow_other_layouts();
  void run(const Step& step, Values& values) const;
  c10::IValue argument(const nlohmann::json& given, const Values& values) const;

  at::Device device_;
  std::vector<Step> steps_;
};

/// The tensor type of a serialised number; nothing if it is not read.
std::optional<at::ScalarType> serialised_type(std::int64_t number);

/// The key of a tagged union {"as_int": 3}, and its value.
std::pair<std::string, const nlohmann::json&> tagged(const nlohmann::json& value);

}  // namespace sharpseek
