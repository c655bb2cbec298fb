#include "models/model.h"

#include <algorithm>
#include <array>
#include <numbers>
#include <string>

#include "core/error.h"
#include "models/network_shape.h"

namespace sharpseek {
namespace {

#define SHARPSEEK_MODEL(build, name, description) ModelKind{name, description, build},
constexpr std::array kModels{SHARPSEEK_MODELS(SHARPSEEK_MODEL)};
#undef SHARPSEEK_MODEL

}  // namespace

std::span<const ModelKind> model_registry() { return kModels; }

Program make_model(const ModelOptions& options) {
  const auto kind = std::find_if(kModels.begin(), kModels.end(),
                                 [&](const ModelKind& candidate) { return candidate.name == options.kind; });
  if (kind == kModels.end()) {
    throw UserError(concat("model.kind = ", options.kind, ": must be one of ", model_names()));
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

OpKind activation_of(const std::string& name) {
  if (name == "identity") return OpKind::kFlatten;
  const auto known =
      std::find_if(kActivations.begin(), kActivations.end(), [&](OpKind kind) { return name == name_of(kind); });
  require(known != kActivations.end(), "model.activation = ", name,
          ": must be one of " SHARPSEEK_ACTIVATION_NAMES "identity");
  return *known;
}

ValueId activate(ProgramBuilder& net, ValueId x, const std::string& activation) {
  return activated(net, x, activation_of(activation));
}

NetworkShape shape_of(const ModelOptions& options) {
  const bool last = options.readout == "last";
  const bool tokens = options.readout == "tokens";
  require(last || tokens || options.readout.empty() || options.readout == "mean", "model.readout = ", options.readout,
          ": must be mean | last | tokens");
  return {.tokens = options.sequence,
          .inputs = options.inputs,
          .width = options.width,
          .outputs = options.outputs,
          .depth = options.depth,
          .heads = options.heads,
          .mlp_width = options.mlp_width > 0 ? options.mlp_width : options.width,
          .activation = activation_of(options.activation),
          .bias = options.bias,
          .layer_norm = options.layer_norm,
          .readout = tokens ? Readout::kTokens
                     : last ? Readout::kLast
                            : Readout::kMean,
          .hidden_gain = hidden_gain(options)};
}

}  // namespace sharpseek
