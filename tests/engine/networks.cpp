#include "engine/networks.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace sharpseek::testing_support {
namespace {

/// Takes blocks from a parameter vector one after another.
class Blocks {
 public:
  explicit Blocks(at::Tensor weights) : weights_(std::move(weights)) {}
  at::Tensor matrix(int rows, int columns) {
    const at::Tensor block = weights_.narrow(0, used_, std::int64_t{rows} * columns).view({rows, columns});
    used_ += std::int64_t{rows} * columns;
    return block;
  }
  at::Tensor vector(int size) { return matrix(1, size).view({size}); }

 private:
  at::Tensor weights_;
  std::int64_t used_ = 0;
};

at::Tensor phi(const at::Tensor& a, const std::string& activation) {
  if (activation == "tanh") return at::tanh(a);
  if (activation == "relu") return a * (a > 0).to(a.dtype());
  if (activation == "gelu") return a * 0.5 * (1 + at::erf(a / std::sqrt(2.0)));
  if (activation == "softplus") return at::log(1 + at::exp(a));
  if (activation == "silu") return a / (1 + at::exp(-a));
  if (activation == "sigmoid") return 1 / (1 + at::exp(-a));
  return a;
}

at::Tensor layered(const ModelOptions& o, const std::string& activation, Blocks blocks, at::Tensor h) {
  for (int i = 1; i <= o.depth; ++i) {
    const int width = i == o.depth ? o.outputs : o.width;
    h = at::mv(blocks.matrix(width, static_cast<int>(h.size(0))), h);
    if (o.bias) h = h + blocks.vector(width);
    if (i < o.depth) h = phi(h, activation);
  }
  return h;
}

at::Tensor gated(const ModelOptions& o, Blocks blocks, at::Tensor h) {
  const auto affine = [&](int width) {
    const at::Tensor y = at::mv(blocks.matrix(width, static_cast<int>(h.size(0))), h);
    return o.bias ? y + blocks.vector(width) : y;
  };
  for (int i = 1; i < o.depth; ++i) {
    const at::Tensor gate = affine(o.width);
    const at::Tensor up = affine(o.width);
    h = phi(gate, o.activation) * up;
  }
  return affine(o.outputs);
}

at::Tensor recurrent(const ModelOptions& o, Blocks blocks, const at::Tensor& x) {
  struct Layer {
    at::Tensor w_x, w_h, b, u;
  };
  std::vector<Layer> layers(static_cast<std::size_t>(o.depth));
  for (int l = 0; l < o.depth; ++l) {
    Layer& layer = layers[static_cast<std::size_t>(l)];
    layer.w_x = blocks.matrix(o.width, l == 0 ? o.inputs : o.width);
    layer.w_h = blocks.matrix(o.width, o.width);
    if (o.bias) layer.b = blocks.vector(o.width);
    layer.u = at::zeros({o.width}, x.options());
  }
  const at::Tensor w_out = blocks.matrix(o.outputs, o.width);
  std::vector<at::Tensor> states;
  for (int t = 0; t < o.sequence; ++t) {
    at::Tensor below = x[t];
    for (Layer& layer : layers) {
      at::Tensor a = at::mv(layer.w_x, below) + at::mv(layer.w_h, layer.u);
      if (o.bias) a = a + layer.b;
      below = layer.u = at::tanh(a);
    }
    states.push_back(below);
  }
  at::Tensor read = at::stack(states);  // [T, width], of which those that count
  if (o.readout == "mean") read = read.mean(0, true);
  if (o.readout.empty() || o.readout == "last") read = read.narrow(0, o.sequence - 1, 1);
  const at::Tensor y = at::mm(read, w_out.t());
  return (o.bias ? y + blocks.vector(o.outputs) : y).reshape({-1});
}

at::Tensor residual(const ModelOptions& o, Blocks blocks, const at::Tensor& x) {
  const int hidden = o.mlp_width > 0 ? o.mlp_width : o.width;
  const auto offset = [&](const at::Tensor& a, int size) { return o.bias ? a + blocks.vector(size) : a; };
  at::Tensor z = at::mv(blocks.matrix(o.width, static_cast<int>(x.size(0))), x);
  for (int block = 0; block < o.depth; ++block) {
    const at::Tensor a = offset(at::mv(blocks.matrix(hidden, o.width), z), hidden);
    z = z + offset(at::mv(blocks.matrix(o.width, hidden), phi(a, o.activation)), o.width);
  }
  return offset(at::mv(blocks.matrix(o.outputs, o.width), z), o.outputs);
}

at::Tensor normalised(const at::Tensor& z, bool on) {  // rows of z
  if (!on) return z;
  const at::Tensor centred = z - z.mean(1, true);
  return centred / at::sqrt((centred * centred).mean(1, true) + 1e-5);
}

at::Tensor attentive(const ModelOptions& o, Blocks blocks, const at::Tensor& x) {
  const int hidden = o.mlp_width > 0 ? o.mlp_width : o.width;
  at::Tensor z = at::mm(x, blocks.matrix(o.width, o.inputs).t());
  z = z + blocks.matrix(o.sequence, o.width);
  const int d = o.width / o.heads;
  for (int block = 0; block < o.depth; ++block) {
    const at::Tensor n = normalised(z, o.layer_norm);
    const at::Tensor q = at::mm(n, blocks.matrix(o.width, o.width).t());
    const at::Tensor k = at::mm(n, blocks.matrix(o.width, o.width).t());
    const at::Tensor v = at::mm(n, blocks.matrix(o.width, o.width).t());
    std::vector<at::Tensor> heads;
    for (int h = 0; h < o.heads; ++h) {
      const auto part = [&](const at::Tensor& value) { return value.narrow(1, std::int64_t{h} * d, d); };
      const at::Tensor weight = at::exp(at::mm(part(q), part(k).t()) / std::sqrt(static_cast<double>(d)));
      heads.push_back(at::mm(weight / weight.sum(1, true), part(v)));
    }
    z = z + at::mm(at::cat(heads, 1), blocks.matrix(o.width, o.width).t());
    const at::Tensor a = at::mm(normalised(z, o.layer_norm), blocks.matrix(hidden, o.width).t());
    z = z + at::mm(phi(a, o.activation), blocks.matrix(o.width, hidden).t());
  }
  const at::Tensor read = normalised(z, o.layer_norm);
  const at::Tensor w_out = blocks.matrix(o.outputs, o.width);
  if (o.readout == "tokens") return at::mm(read, w_out.t()).reshape({-1});
  return at::mv(w_out, o.readout == "last" ? read[o.sequence - 1] : read.mean(0));
}

}  // namespace

at::Tensor oracle_output(const ModelOptions& options, const at::Tensor& weights, const at::Tensor& x) {
  const Blocks blocks(weights);
  if (options.kind == "gated-mlp") return gated(options, blocks, x.reshape({-1}));
  if (options.kind == "residual-mlp") return residual(options, blocks, x.reshape({-1}));
  if (options.kind == "rnn") return recurrent(options, blocks, x);
  if (options.kind == "transformer") return attentive(options, blocks, x);
  return layered(options, options.kind == "linear" ? "identity" : options.activation, blocks, x.reshape({-1}));
}

at::Tensor oracle_loss(const ModelOptions& options, const at::Tensor& weights, const at::Tensor& inputs,
                       const at::Tensor& targets) {
  at::Tensor sum = at::zeros({}, weights.options());
  for (std::int64_t n = 0; n < inputs.size(0); ++n) {
    sum = sum + (oracle_output(options, weights, inputs[n]) - targets[n]).square().sum();
  }
  return sum / static_cast<double>(inputs.size(0));
}

}  // namespace sharpseek::testing_support
