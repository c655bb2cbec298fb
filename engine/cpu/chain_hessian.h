#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "engine/cpu/chain.h"
#include "engine/cpu/lane_group_evaluation.h"
#include "engine/cpu/spectrum_kernels.h"
#include "engine/cpu/workspace.h"
#include "engine/kernels/passes.h"
#include "engine/kernels/product.h"

SHARPSEEK_LANES_BEGIN

/// The function of an activation's op.
template <class Function, OpKind kKind>
Function activation(const ActivationOp<Function, kKind>&);

/// The whole Hessian of a chain of layers, one replica a lane. With z_m = W_m x_m and the second derivatives S of a
/// sample's loss with respect to all z, rows and columns (c, d) of W_m and (a, b) of W_l, l < m, have
///     sum_n (S_ml[c, a] x_m[d] + delta_m[c] U_ml[d, a]) x_l[b],   delta = dl/dz, U_ml = dx_m/dz_l,
/// and l = m has its first term. So weights share the derivatives of their outputs, and what is left is sums over
/// samples: about an eighth of the operations of P products. A bias is the weight of an input that is 1.
template <class R, class Real>
class ChainHessian {
  static constexpr int kLanes = Lanes<R>::kCount;
  static constexpr int kChunk = kChunkSamples;

  /// What is kept of a layer for the samples of a chunk, sample by sample.
  struct Layer : ChainLayer {
    explicit Layer(const ChainLayer& layer) : ChainLayer(layer), width(inputs + (bias >= 0 ? 1 : 0)) {}
    int width;    ///< of its inputs, with that of the bias
    R* w;         ///< [outputs, inputs]
    R* x;         ///< [width]
    R* slope;     ///< [outputs] f'
    R* bend;      ///< [outputs] f''
    R* delta;     ///< [outputs]
    R* second;    ///< [outputs, outputs] S_mm
    R* weighted;  ///< [outputs, inputs] S_mm W
    R* own;       ///< [pairs of outputs, pairs of inputs] sums of S_mm x x'
    int parameters() const { return outputs * width; }
    /// Where weight d of output c stands in [P].
    int index(int c, int d) const { return d < inputs ? weights + c * inputs + d : bias + c; }
  };

 public:
  explicit ChainHessian(const ChainJob<Real>& job)
      : job_(job), layers_(job.layers, job.layers + job.depth), space_(elements()), dual_(2 * chunk(last().outputs)) {
    for (Layer& m : layers_) {
      m.w = take(m.outputs * m.inputs);
      m.x = take(kChunk * m.width);
      for (R** of : {&m.slope, &m.bend, &m.delta}) *of = take(kChunk * m.outputs);
      m.second = take(kChunk * m.outputs * m.outputs);
      m.weighted = take(kChunk * m.outputs * m.inputs);
      m.own = take(pairs(m.outputs) * pairs(m.width));
      for (int i = 0; i < m.outputs * m.inputs; ++i) m.w[i] = Lanes<R>::load(job.weights + (m.weights + i) * kLanes);
    }

    // What is passed from layer to layer, and the factors of sums over samples: room for the widest layer.
    values_ = take(kChunk * widest());
    gradient_ = take(kChunk * widest());
    curvature_ = take(kChunk * widest() * widest());
    reach_ = take(kChunk * widest() * widest());
    moved_ = take(widest() * widest());
    mixed_ = take(widest() * widest());
    left_ = take(kChunk * most_rows());
    right_ = take(kChunk * pairs(widest()));
    crossed_ = take(job.network.parameter_count * job.network.parameter_count);
    outputs_ = dual_.take(chunk(last().outputs));
    differentiated_ = dual_.take(chunk(last().outputs));
  }

  void run() {
    for (int first = 0; first < job_.samples; first += kChunk) {
      count_ = job_.samples - first < kChunk ? job_.samples - first : kChunk;
      add_ = first > 0;
      // One forward and one backward pass give delta and S of every layer, ..
      forward(first);
      differentiate_loss(first);
      for (int m = job_.depth - 1; m >= 0; --m) backward(m);
      // .. from which all blocks of the Hessian are sums over samples: l = m, then the pairs l < m.
      for (Layer& m : layers_) sum_own(m);
      R* sums = crossed_;
      for (int l = 0; l + 1 < job_.depth; ++l) {
        for (int m = l + 1; m < job_.depth; ++m) {
          sum_crossed(l, m, sums);
          sums += layers_[at(m)].parameters() * layers_[at(l)].parameters();
        }
      }
    }
    write();
  }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }
  static std::size_t chunk(int elements) { return at(kChunk) * at(elements); }
  static int pairs(int n) { return n * (n + 1) / 2; }
  R* take(int elements) { return space_.take(at(elements)); }
  const Layer& last() const { return layers_.back(); }

  int widest() const {
    int most = 0;
    for (const Layer& m : layers_) {
      most = most > m.width ? most : m.width;
      most = most > m.outputs ? most : m.outputs;
    }
    return most;
  }
  /// Rows of the products that sum over samples.
  int most_rows() const { return job_.network.parameter_count * widest() + pairs(widest()); }

  std::size_t elements() const {
    const std::size_t p = at(job_.network.parameter_count);
    const std::size_t wide = at(widest());
    std::size_t sum = p * p + chunk(2 * widest() + most_rows() + pairs(widest())) + 2 * (at(kChunk) + 1) * wide * wide;
    for (const Layer& m : layers_) {
      sum += at(m.outputs * m.inputs) + chunk(m.width + 3 * m.outputs + m.outputs * (m.outputs + m.inputs)) +
             at(pairs(m.outputs) * pairs(m.width));
    }
    return sum;
  }

  /// Inputs, slopes and bends of all layers; the network's outputs to values_.
  void forward(int first) {
    const int inputs = layers_[0].inputs;
    for (int i = 0; i < count_ * inputs; ++i) {
      const std::ptrdiff_t from = std::ptrdiff_t{first} * inputs + i;
      values_[i] =
          job_.own ? Lanes<R>::load(job_.inputs + from * kLanes) : constant<R>(static_cast<double>(job_.inputs[from]));
    }
    for (Layer& m : layers_) {
      // The layer keeps its inputs x; that of a bias is 1.
      for (int n = 0; n < count_; ++n) {
        for (int d = 0; d < m.inputs; ++d) m.x[n * m.width + d] = values_[n * m.inputs + d];
        if (m.bias >= 0) m.x[n * m.width + m.inputs] = constant<R>(1);
      }
      // z = W x + b: the product is added to the offsets.
      for (int i = 0; i < count_ * m.outputs; ++i) {
        values_[i] = m.bias >= 0 ? Lanes<R>::load(job_.weights + (m.bias + i % m.outputs) * kLanes) : constant<R>(0);
      }
      multiply<R*>(count_, m.outputs, {m.inputs, m.x, m.width, 1, m.w, m.inputs, 1, values_, m.outputs, true, values_});
      if (m.bent) activate(m);
    }
  }

  void activate(Layer& m) {
    visit(m.kind, [&](auto passes) {
      if constexpr (requires { activation(passes); }) {
        using Function = decltype(activation(passes));
        for (int i = 0; i < count_ * m.outputs; ++i) {
          // f'' is the tangent of f' along z: an activation needs no second derivative of its own.
          const Dual<R> z(values_[i], constant<R>(1));
          const Dual<R> y = Function::value(z);
          const Dual<R> slope = Function::derivative(traits(m.kind).reads_output ? y : z);
          m.slope[i] = slope.value;
          m.bend[i] = slope.tangent;
          values_[i] = y.value;
        }
      }
    });
  }

  /// The loss's first derivatives with respect to the outputs to gradient_, its second ones to curvature_.
  void differentiate_loss(int first) {
    const int outputs = last().outputs;
    const R share = constant<R>(1.0 / job_.samples);
    const LabelArray<PackedNumbers<R>> labels{{job_.targets + std::ptrdiff_t{first} * outputs * kLanes}};
    // Row c of the second derivatives is the tangent of the gradient along output c. Without that tangent
    // (residual_only) the Gauss-Newton part is 0.
    for (int c = 0; c < outputs; ++c) {
      for (int i = 0; i < count_ * outputs; ++i) {
        outputs_[i] = Dual<R>(values_[i], constant<R>(i % outputs == c && !job_.residual_only ? 1 : 0));
      }
      visit(job_.kind, [&](auto loss) {
        loss.gradient(count_ * job_.loss_tokens, outputs / job_.loss_tokens, outputs_, labels, share, differentiated_,
                      constant<R>(0));
      });
      for (int n = 0; n < count_; ++n) {
        for (int o = 0; o < outputs; ++o) {
          curvature_[(n * outputs + c) * outputs + o] = differentiated_[n * outputs + o].tangent;
          gradient_[n * outputs + o] = differentiated_[n * outputs + o].value;
        }
      }
    }
  }

  /// From the derivatives with respect to the layer's y to those with respect to its z and x.
  void backward(int index) {
    Layer& m = layers_[at(index)];
    const int outputs = m.outputs;
    for (int n = 0; n < count_; ++n) {
      const R* slope = m.slope + n * outputs;
      const R* g = gradient_ + n * outputs;
      // delta = f' g and S = f' C f', plus g f'' on the diagonal.
      for (int c = 0; c < outputs; ++c) {
        m.delta[n * outputs + c] = m.bent ? slope[c] * g[c] : g[c];
        for (int o = 0; o < outputs; ++o) {
          const int i = (n * outputs + c) * outputs + o;
          m.second[i] = m.bent ? slope[c] * slope[o] * curvature_[i] : curvature_[i];
        }
        const int diagonal = (n * outputs + c) * outputs + c;
        if (m.bent) m.second[diagonal] = fused(g[c], m.bend[n * outputs + c], m.second[diagonal]);
      }
    }

    // On to the layer below: C = W' S W and g = W' delta. S W is kept for the pairs of layers.
    if (index == 0) return;
    for (int n = 0; n < count_; ++n) {
      R* const second = m.second + n * outputs * outputs;
      R* const weighted = m.weighted + n * outputs * m.inputs;
      multiply<R*>(outputs, m.inputs,
                   {outputs, second, outputs, 1, m.w, 1, m.inputs, weighted, m.inputs, false, weighted});
      R* const below = curvature_ + n * m.inputs * m.inputs;
      multiply<R*>(m.inputs, m.inputs,
                   {outputs, m.w, 1, m.inputs, weighted, 1, m.inputs, below, m.inputs, false, below});
    }
    multiply<R*>(count_, m.inputs,
                 {outputs, m.delta, outputs, 1, m.w, 1, m.inputs, gradient_, m.inputs, false, gradient_});
  }

  void sum_own(Layer& m) {
    // S and x x' are symmetric: the pairs c >= o and d >= e are enough.
    const int rows = pairs(m.outputs);
    const int columns = pairs(m.width);
    R* left = left_;
    R* right = right_;
    for (int n = 0; n < count_; ++n) {
      const R* second = m.second + n * m.outputs * m.outputs;
      const R* x = m.x + n * m.width;
      for (int c = 0; c < m.outputs; ++c) {
        for (int o = 0; o <= c; ++o) *left++ = second[c * m.outputs + o];
      }
      for (int d = 0; d < m.width; ++d) {
        for (int e = 0; e <= d; ++e) *right++ = x[d] * x[e];
      }
    }
    // sum_n S[c, o] x[d] x[e], all of them as one product over samples.
    multiply<R*>(rows, columns, {count_, left_, 1, rows, right_, 1, columns, m.own, columns, add_, m.own});
  }

  /// Adds to sums[(c, d), a, b], of layers l < m. Calls for an l must come in the order of m: reach_ holds what they
  /// pass on, U_ml.
  void sum_crossed(int l_index, int m_index, R* sums) {
    const Layer& l = layers_[at(l_index)];
    const Layer& m = layers_[at(m_index)];
    const Layer& before = layers_[at(m_index - 1)];
    const int from = l.outputs;
    const int rows = m.parameters() * from;
    for (int n = 0; n < count_; ++n) {
      R* const u = reach_ + std::ptrdiff_t{n} * widest() * widest();  // [m.inputs, from]
      // U_ml = f'_(m-1) W_(m-1) U_(m-1)l, which begins with U_(l+1)l = f'_l.
      if (m_index > l_index + 1) {
        for (int i = 0; i < before.inputs * from; ++i) moved_[i] = u[i];
        multiply<R*>(m.inputs, from, {before.inputs, before.w, before.inputs, 1, moved_, 1, from, u, from, false, u});
      }
      for (int d = 0; d < m.inputs; ++d) {
        const R slope = before.bent ? before.slope[n * m.inputs + d] : constant<R>(1);
        for (int a = 0; a < from; ++a) {
          const int i = d * from + a;
          u[i] = m_index > l_index + 1 ? slope * u[i] : d == a ? slope : constant<R>(0);
        }
      }
      // S_ml = S_mm W_m U_ml.
      R* const weighted = m.weighted + n * m.outputs * m.inputs;
      multiply<R*>(m.outputs, from, {m.inputs, weighted, m.inputs, 1, u, 1, from, mixed_, from, false, mixed_});
      // The factor of x_l[b]. A bias has no term with delta: its input, 1, does not depend on z_l.
      R* left = left_ + std::ptrdiff_t{n} * rows;
      const R* x = m.x + n * m.width;
      for (int c = 0; c < m.outputs; ++c) {
        const R delta = m.delta[n * m.outputs + c];
        for (int d = 0; d < m.inputs; ++d) {
          for (int a = 0; a < from; ++a) *left++ = fused(delta, u[d * from + a], mixed_[c * from + a] * x[d]);
        }
        if (m.bias < 0) continue;
        for (int a = 0; a < from; ++a) *left++ = mixed_[c * from + a];
      }
    }
    multiply<R*>(rows, l.width, {count_, left_, 1, rows, l.x, 1, l.width, sums, l.width, add_, sums});
  }

  void put(int row, int column, R x) {
    const std::ptrdiff_t p = job_.network.parameter_count;
    Lanes<R>::store(job_.matrix + (row * p + column) * kLanes, x);
    Lanes<R>::store(job_.matrix + (column * p + row) * kLanes, x);
  }

  /// The sums to the matrix.
  void write() {
    for (const Layer& m : layers_) {
      const R* sum = m.own;
      for (int c = 0; c < m.outputs; ++c) {
        for (int o = 0; o <= c; ++o) {
          for (int d = 0; d < m.width; ++d) {
            for (int e = 0; e <= d; ++e, ++sum) {
              // Both places that a sum fills; put() mirrors them.
              put(m.index(c, d), m.index(o, e), *sum);
              put(m.index(c, e), m.index(o, d), *sum);
            }
          }
        }
      }
    }
    const R* sum = crossed_;
    for (int l = 0; l + 1 < job_.depth; ++l) {
      for (int m = l + 1; m < job_.depth; ++m) write_crossed(layers_[at(l)], layers_[at(m)], &sum);
    }
  }

  void write_crossed(const Layer& l, const Layer& m, const R** sum) {
    for (int c = 0; c < m.outputs; ++c) {
      for (int d = 0; d < m.width; ++d) {
        for (int a = 0; a < l.outputs; ++a) {
          for (int b = 0; b < l.width; ++b) put(m.index(c, d), l.index(a, b), *(*sum)++);
        }
      }
    }
  }

  const ChainJob<Real>& job_;
  std::vector<Layer> layers_;
  Workspace<R> space_;
  Workspace<Dual<R>> dual_;
  R* values_;     ///< [count, ..] what goes from layer to layer
  R* gradient_;   ///< [count, outputs] of the loss with respect to a layer's y
  R* curvature_;  ///< [count, outputs, outputs] second derivatives
  R* reach_;      ///< [count, ..] U
  R* moved_;
  R* mixed_;  ///< S_ml of a sample
  R* left_;   ///< the factors of sums over samples
  R* right_;
  R* crossed_;  ///< sums of all pairs of layers
  Dual<R>* outputs_;
  Dual<R>* differentiated_;
  int count_ = 0;     ///< samples of the chunk
  bool add_ = false;  ///< to the sums of the chunks before
};

template <class R, class Real>
void find_chain_hessian(const ChainJob<Real>& job) {
  ChainHessian<R, Real>(job).run();
}

SHARPSEEK_LANES_END
