#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/program.h"

namespace sharpseek {

/// Which network: the [model] section of a configuration and the shape of the data. The equations of each kind are in
/// docs/architectures.md and next to the code (linear.cpp, mlp.cpp, gated_mlp.cpp, residual_mlp.cpp, rnn.cpp,
/// transformer.cpp).
struct ModelOptions {
  std::string kind = "linear";  ///< a name in model_registry()
  int width = 8;                ///< features of hidden values
  int depth = 2;  ///< linear, mlp: weight matrices; gated-mlp: layers; rnn: stacked layers; others: blocks
  std::string activation = "tanh";       ///< of all but linear and rnn: a name in kActivations, or identity
  int heads = 1;                         ///< transformer
  int mlp_width = 0;                     ///< residual-mlp, transformer: hidden features of a block's MLP; 0 = width
  bool layer_norm = false;               ///< transformer: normalise the input of attention and MLP
  bool bias = false;                     ///< of all but transformer: offsets, initially zero
  std::string readout = {};              ///< transformer: mean (its default) | last | tokens; rnn: last (default) | ..
  std::string initialisation = "lecun";  ///< lecun | kaiming, see hidden_gain()
  int inputs = 4;                        ///< features of a token
  int outputs = 3;
  int sequence = 1;  ///< tokens of a sample
};

/// One architecture: its name, a line for `sharpseek list`, and the function that writes its Program.
struct ModelKind {
  std::string_view name;
  std::string_view description;
  Program (*build)(const ModelOptions&);
};

/// The architectures: function (in the file of its name), name in configurations, a line for `sharpseek list`. All that
/// lists architectures is made of these rows.
#define SHARPSEEK_MODELS(ROW)                                                          \
  ROW(linear_network, "linear", "deep linear network f = W_D ... W_1 x")               \
  ROW(mlp, "mlp", "multilayer perceptron")                                             \
  ROW(gated_mlp, "gated-mlp", "multilayer perceptron of gated units phi(G x) * (U x)") \
  ROW(residual_mlp, "residual-mlp", "blocks z += W_2 phi(W_1 z) on a residual stream") \
  ROW(rnn, "rnn", "Elman network (tanh), stacked layers, readout of the states")       \
  ROW(transformer, "transformer", "attention and MLP blocks on a residual stream, readout of the tokens")

/// All of them.
std::span<const ModelKind> model_registry();

/// "linear | mlp | ...".
constexpr std::string_view model_names() {
#define SHARPSEEK_NAME(build, name, ...) " | " name
  return std::string_view(SHARPSEEK_MODELS(SHARPSEEK_NAME)).substr(3);
#undef SHARPSEEK_NAME
}

/// The Program of these options. Throws UserError for an unknown kind (with the known ones) or impossible sizes.
Program make_model(const ModelOptions& options);

// clang-format off
#define SHARPSEEK_MODEL(build, ...) Program build(const ModelOptions& options);
SHARPSEEK_MODELS(SHARPSEEK_MODEL)
#undef SHARPSEEK_MODEL
// clang-format on

/// Tokens of the network's output, one after the other in its Program's outputs: all for readout = tokens, else 1.
int output_tokens(const ModelOptions& options);

/// What multiplies the initial weights of a matrix whose outputs go into an activation: 1 for lecun, which keeps the
/// variance of a linear map, sqrt(2) for kaiming, which keeps that of ReLU's (He et al., arXiv:1502.01852).
double hidden_gain(const ModelOptions& options);

/// Applies the named activation or none (identity). Throws UserError for another name.
ValueId activate(ProgramBuilder& net, ValueId x, const std::string& activation);

}  // namespace sharpseek
