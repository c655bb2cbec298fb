#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/program.h"

namespace sharpseek {

/// Which network: the [model] section of a configuration and the shape of the data. The equations of each kind are in
/// docs/architectures.md and beside the code (linear.cpp, mlp.cpp, gated_mlp.cpp, rnn.cpp, transformer.cpp).
struct ModelOptions {
  std::string kind = "linear";  ///< a name in model_registry()
  int width = 8;                ///< features of hidden values
  int depth = 2;  ///< linear, mlp: weight matrices; gated-mlp: layers; rnn: stacked layers; transformer: blocks
  std::string activation = "tanh";       ///< mlp, gated-mlp, transformer: a name in kActivations, or identity
  int heads = 1;                         ///< transformer
  int mlp_width = 0;                     ///< transformer: hidden features of a block's MLP; 0 = width
  bool layer_norm = false;               ///< transformer: normalise the input of attention and MLP
  bool bias = false;                     ///< linear, mlp, gated-mlp, rnn: offsets, initially zero
  std::string readout = {};              ///< transformer: mean (its own) | last | tokens; rnn: last (its own)
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

/// All architectures. To add one: a new file with its function and one line here (models/model.cpp).
std::span<const ModelKind> model_registry();

/// The Program of these options. Throws UserError for an unknown kind (with the known ones) or impossible sizes.
Program make_model(const ModelOptions& options);

Program linear_network(const ModelOptions& options);
Program mlp(const ModelOptions& options);
Program gated_mlp(const ModelOptions& options);
Program rnn(const ModelOptions& options);
Program transformer(const ModelOptions& options);

/// Tokens of the network's output, one behind the other in its Program's outputs: all for readout = tokens, else 1.
int output_tokens(const ModelOptions& options);

/// What multiplies the initial weights of a matrix whose outputs go into an activation: 1 for lecun, which keeps the
/// variance of a linear map, sqrt(2) for kaiming, which keeps that of ReLU's (He et al., arXiv:1502.01852).
double hidden_gain(const ModelOptions& options);

/// Applies the named activation or none (identity). Throws UserError for another name.
ValueId activate(ProgramBuilder& net, ValueId x, const std::string& activation);

}  // namespace sharpseek
