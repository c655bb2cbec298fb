#include "models/model.h"

#include <algorithm>
#include <array>
#include <numbers>
#include <string>

#include "core/error.h"

namespace sharpseek {
namespace {

constexpr std::array kModels{
    ModelKind{"linear", "deep linear network f = W_D ... W_1 x", linear_network},
    ModelKind{"mlp", "multilayer perceptron", mlp},
    ModelKind{"gated-mlp", "multilayer perceptron of gated units phi(G x) * (U x)", gated_mlp},
    ModelKind{"rnn", "Elman network (tanh), stacked layers, readout of the last state", rnn},
    ModelKind{"transformer", "attention and MLP blocks on a residual stream, readout of the tokens", transformer},
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
  const bool reads_tokens = options.kind == "rnn" || options.kind == "transformer";
  require(options.readout.empty() || reads_tokens, "model.readout = ", options.readout, ": a network of kind ",
          options.kind, " sees all tokens at once; only rnn and transformer read them out");
  hidden_gain(options);  // refuses an unknown initialisation, also where nothing uses it
  return kind->build(options);
}

int output_tokens(const ModelOptions& options) { return options.readout == "tokens" ? options.sequence : 1; }

double hidden_gain(const ModelOptions& options) {
  if (options.initialisation == "kaiming") return std::numbers::sqrt2;
  require(options.initialisation == "lecun", "model.initialisation = ", options.initialisation,
          ": must be lecun | kaiming");
  return 1;
}

ValueId activate(ProgramBuilder& net, ValueId x, const std::string& activation) {
  if (activation == "identity") return x;
  const auto known =
      std::find_if(kActivations.begin(), kActivations.end(), [&](OpKind kind) { return activation == name_of(kind); });
  require(known != kActivations.end(), "model.activation = ", activation,
          ": must be one of " SHARPSEEK_ACTIVATION_NAMES "identity");
  return net.activation(*known, x);
}

}  // namespace sharpseek
