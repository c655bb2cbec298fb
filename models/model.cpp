#include "models/model.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/error.h"

namespace sharpseek {
namespace {

constexpr std::array kModels{
    ModelKind{"linear", "deep linear network f = W_D ... W_1 x", linear_network},
    ModelKind{"mlp", "multilayer perceptron with tanh, relu, gelu or identity units", mlp},
    ModelKind{"rnn", "Elman network (tanh), stacked layers, readout of the last state", rnn},
    ModelKind{"transformer", "attention and MLP blocks on a residual stream, mean over tokens, readout", transformer},
};

}  // namespace

std::span<const ModelKind> model_registry() { return kModels; }

Program make_model(const ModelOptions& options) {
  const auto kind = std::find_if(kModels.begin(), kModels.end(),
                                 [&](const ModelKind& candidate) { return candidate.name == options.kind; });
  if (kind == kModels.end()) {
    std::string known;
    for (const ModelKind& model : kModels) known += (known.empty() ? "" : " | ") + std::string(model.name);
    throw UserError(concat("model.kind = ", options.kind, ": must be one of ", known));
  }
  require(options.width >= 1, "model.width = ", options.width, ": must be at least 1");
  require(options.depth >= 1, "model.depth = ", options.depth, ": must be at least 1");
  require(options.inputs >= 1, "data.inputs = ", options.inputs, ": must be at least 1");
  require(options.outputs >= 1, "data.outputs = ", options.outputs, ": must be at least 1");
  require(options.sequence >= 1, "data.sequence = ", options.sequence, ": must be at least 1");
  return kind->build(options);
}

ValueId activate(ProgramBuilder& net, ValueId x, const std::string& activation) {
  if (activation == "tanh") return net.tanh(x);
  if (activation == "relu") return net.relu(x);
  if (activation == "gelu") return net.gelu(x);
  require(activation == "identity", "model.activation = ", activation,
          ": must be one of tanh | relu | gelu | identity");
  return x;
}

}  // namespace sharpseek
