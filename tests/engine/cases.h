#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "core/random.h"
#include "models/initialisation.h"
#include "models/model.h"

namespace sharpseek::testing_support {

/// A network with a name for test reports.
struct Case {
  std::string name;
  ModelOptions options;
};

/// Every architecture and option that changes a Program: the cases that engines are checked on.
inline std::vector<Case> network_cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, const std::string& kind, int width, int depth, auto change) {
    ModelOptions options;
    options.kind = kind;
    options.width = width;
    options.depth = depth;
    if (kind == "rnn" || kind == "transformer") {
      options.inputs = 2;
      options.sequence = 3;
    }
    change(options);
    cases.push_back({name, options});
  };
  const auto same = [](ModelOptions&) {};
  add("linear1", "linear", 5, 1, same);
  add("linear2", "linear", 5, 2, same);
  add("linear4", "linear", 5, 4, [](ModelOptions& o) { o.bias = true; });
  for (const char* activation : {"tanh", "relu", "gelu", "softplus", "silu", "sigmoid", "identity"}) {
    add(std::string("mlp_") + activation, "mlp", 6, 3, [&](ModelOptions& o) { o.activation = activation; });
  }
  add("mlp_bias", "mlp", 6, 2, [](ModelOptions& o) { o.bias = true; });
  add("mlp_sequence", "mlp", 6, 2, [](ModelOptions& o) { o.sequence = 2; });
  add("gated_mlp", "gated-mlp", 5, 3, same);
  add("gated_mlp_silu", "gated-mlp", 5, 2, [](ModelOptions& o) { o.activation = "silu"; });
  add("gated_mlp_bias", "gated-mlp", 4, 2, [](ModelOptions& o) {
    o.sequence = 2;
    o.bias = true;
  });
  add("residual_mlp", "residual-mlp", 5, 2, same);
  add("residual_mlp_full", "residual-mlp", 4, 1, [](ModelOptions& o) {
    o.sequence = 2;
    o.bias = true;
    o.mlp_width = 6;
    o.activation = "relu";
  });
  add("rnn", "rnn", 5, 1, same);
  add("rnn_deep", "rnn", 4, 2, [](ModelOptions& o) { o.bias = true; });
  add("transformer", "transformer", 6, 1, same);
  add("transformer_full", "transformer", 8, 2, [](ModelOptions& o) {
    o.heads = 2;
    o.layer_norm = true;
    o.mlp_width = 5;
    o.activation = "gelu";
  });
  add("transformer_relu", "transformer", 4, 1, [](ModelOptions& o) { o.activation = "relu"; });
  add("transformer_last", "transformer", 4, 1, [](ModelOptions& o) { o.readout = "last"; });
  add("transformer_tokens", "transformer", 4, 1, [](ModelOptions& o) {
    o.readout = "tokens";
    o.activation = "softplus";
  });
  // Last, because some tests number the cases.
  add("rnn_mean", "rnn", 4, 1, [](ModelOptions& o) { o.readout = "mean"; });
  add("rnn_tokens", "rnn", 3, 2, [](ModelOptions& o) {
    o.readout = "tokens";
    o.sequence = 5;
    o.bias = true;
  });
  return cases;
}

/// Initial weights [E, P] of replica keys 0..E-1, float64; offsets get values too, so that their gradients matter.
inline at::Tensor random_weights(const Program& program, std::int64_t replicas, std::uint64_t seed = 3) {
  std::vector<at::Tensor> rows;
  for (std::int64_t e = 0; e < replicas; ++e) {
    std::vector<double> w = initial_parameters(program, {}, seed, static_cast<std::uint64_t>(e));
    std::vector<double> z(w.size());
    standard_normals(seed, Stream::kProbe, static_cast<std::uint64_t>(e), 1, z);
    for (std::size_t i = 0; i < w.size(); ++i) {
      if (w[i] == 0) w[i] = 0.1 * z[i];
    }
    rows.push_back(at::tensor(w, at::kDouble));
  }
  return at::stack(rows);
}

/// Standard normals of any shape, float64, that belong to `step`.
inline at::Tensor random_tensor(at::IntArrayRef sizes, std::uint32_t step) {
  at::Tensor tensor = at::empty(sizes, at::kDouble);
  standard_normals(99, Stream::kProbe, 0, step,
                   std::span(tensor.data_ptr<double>(), static_cast<std::size_t>(tensor.numel())));
  return tensor;
}

/// Largest absolute difference relative to the largest reference value.
inline double relative_difference(const at::Tensor& value, const at::Tensor& reference) {
  const at::Tensor exact = reference.to(at::kDouble);
  return ((value.to(at::kDouble) - exact).abs().max() / exact.abs().max()).item<double>();
}

}  // namespace sharpseek::testing_support
