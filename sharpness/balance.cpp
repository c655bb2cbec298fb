#include "sharpness/balance.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

/// Who writes and reads which value, and how often a parameter is used.
class Graph {
 public:
  explicit Graph(const Program& program) : program_(program) {}

  const Op* writer(int value) const {
    for (const Op& op : program_.ops()) {
      if (op.output == value) return &op;
    }
    return nullptr;
  }

  /// The only op that reads `value`, or nullptr.
  const Op* only_reader(int value) const {
    const Op* reader = nullptr;
    for (const Op& op : program_.ops()) {
      for (int input : op.inputs) {
        if (input != value) continue;
        // A second reader: its value cannot be rescaled alone.
        if (reader != nullptr) return nullptr;
        reader = &op;
      }
    }
    return reader;
  }

  /// `op` if it is a linear op whose matrix no other op uses.
  const Op* sole_linear(const Op* op) const {
    if (op == nullptr || op->kind != OpKind::kLinear) return nullptr;
    const auto uses = std::count_if(program_.ops().begin(), program_.ops().end(),
                                    [&](const Op& other) { return other.parameter == op->parameter; });
    return uses == 1 ? op : nullptr;
  }

  const Parameter& block(const Op& op) const { return program_.parameters()[static_cast<std::size_t>(op.parameter)]; }

 private:
  const Program& program_;
};

void append_rows(const Parameter& block, int first, int count, ParameterIndices& indices) {
  for (std::int64_t i = std::int64_t{first} * block.columns; i < std::int64_t{first + count} * block.columns; ++i) {
    indices.push_back(block.offset + i);
  }
}

void append_columns(const Parameter& block, int first, int count, ParameterIndices& indices) {
  for (int r = 0; r < block.rows; ++r) {
    for (int c = first; c < first + count; ++c) indices.push_back(block.offset + std::int64_t{r} * block.columns + c);
  }
}

/// W_in -> (offset) -> (activation) -> W_out, starting at the linear op `in`.
void add_hidden_layer(const Graph& graph, const Op& in, std::vector<Balance>& balances) {
  // Along the values that have one reader each.
  const Op* next = graph.only_reader(in.output);
  const Op* bias = nullptr;
  if (next != nullptr && next->kind == OpKind::kBias) {
    bias = next;
    next = graph.only_reader(next->output);
  }
  std::string kind = "linear";
  bool law = true;  // at every rate
  if (next != nullptr && is_activation(next->kind)) {
    kind = name_of(next->kind);
    // Only homogeneous activations let a factor through; others are the control.
    law = traits(next->kind).homogeneous;
    next = graph.only_reader(next->output);
  }
  const Op* out = graph.sole_linear(next);
  if (out == nullptr) return;
  const Parameter& w_in = graph.block(in);
  const Parameter& w_out = graph.block(*out);

  // Rows of W_in with their offsets against columns of W_out: all units together, and each.
  const auto units = [&](int first, int count, const std::string& suffix) {
    Balance balance{kind, w_in.name + "|" + w_out.name + suffix, law, {}, {}};
    append_rows(w_in, first, count, balance.in);
    if (bias != nullptr) append_columns(graph.block(*bias), first, count, balance.in);
    append_columns(w_out, first, count, balance.out);
    balances.push_back(std::move(balance));
  };
  units(0, w_in.rows, "");
  for (int unit = 0; unit < w_in.rows; ++unit) units(unit, 1, concat("[", unit, "]"));
}

void add_attention(const Graph& graph, const Op& op, std::vector<Balance>& balances) {
  // q and k are rescaled against each other, v against the projection; head by head.
  const Op* query = graph.sole_linear(graph.writer(op.inputs[0]));
  const Op* key = graph.sole_linear(graph.writer(op.inputs[1]));
  const Op* value = graph.sole_linear(graph.writer(op.inputs[2]));
  const Op* projection = graph.sole_linear(graph.only_reader(op.output));
  const auto heads = [&](const char* kind, const Parameter& in, const Parameter& out, bool columns) {
    const int width = in.rows / op.number;
    for (int head = 0; head < op.number; ++head) {
      Balance balance{kind, in.name + "|" + out.name + concat(" head ", head), true, {}, {}};
      append_rows(in, head * width, width, balance.in);
      if (columns) {
        append_columns(out, head * width, width, balance.out);
      } else {
        append_rows(out, head * width, width, balance.out);
      }
      balances.push_back(std::move(balance));
    }
  };
  if (query != nullptr && key != nullptr) heads("attention-qk", graph.block(*query), graph.block(*key), false);
  if (value != nullptr && projection != nullptr && graph.only_reader(op.inputs[2]) == &op) {
    heads("attention-vp", graph.block(*value), graph.block(*projection), true);
  }
}

}  // namespace

std::vector<Balance> find_balances(const Program& program) {
  const Graph graph(program);
  std::vector<Balance> balances;
  for (const Op& op : program.ops()) {
    if (graph.sole_linear(&op) != nullptr) add_hidden_layer(graph, op, balances);
    if (op.kind == OpKind::kAttention) add_attention(graph, op, balances);
  }
  return balances;
}

}  // namespace sharpseek
