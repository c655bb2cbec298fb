// Random networks: what is built from operands that fit is accepted, and the two engines agree on its outputs and
// derivatives; what is built from any operands is accepted or refused by UserError.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/cpu/isa.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "tests/fuzz/expect.h"

namespace {

using namespace sharpseek;

constexpr int kOpKinds = 14;
/// Most tokens of a joined value: attention takes their square.
constexpr int kMostTokens = 12;
/// Highest degree of a product of inputs: without a bound, squares of squares drown the comparison in rounding.
constexpr int kMostDegree = 4;

OpKind any_activation(FuzzedDataProvider& bytes) {
  return kActivations[bytes.ConsumeIntegralInRange<std::size_t>(0, kActivations.size() - 1)];
}

/// Writes a network op by op as the bytes say. Everything that nothing has read is summed in the readout, so that the
/// network has no dead parts.
class RandomNetwork {
 public:
  explicit RandomNetwork(FuzzedDataProvider& bytes)
      : bytes_(bytes), net_({bytes.ConsumeIntegralInRange(1, 4), bytes.ConsumeIntegralInRange(1, 6)}) {
    values_.push_back({net_.input(), 1, false});
  }

  Program make() && {
    const int ops = bytes_.ConsumeIntegralInRange(1, 12);
    for (int i = 0; i < ops; ++i) append();
    return std::move(*this).readout();
  }

 private:
  struct Value {
    ValueId id;
    int degree;  ///< of the polynomial in the input that it grows like
    bool read;
  };

  /// The index of a value to read; later ones are likelier, so that networks become deep.
  std::size_t pick() {
    const auto back = bytes_.ConsumeIntegralInRange<std::size_t>(0, 7);
    const std::size_t last = values_.size() - 1;
    return back < 4 ? last - std::min(last, back / 2) : bytes_.ConsumeIntegralInRange<std::size_t>(0, last);
  }
  /// Another value of the same shape; itself if there is none.
  std::size_t partner(std::size_t of) {
    return any([&](ValueShape shape) { return shape == net_.shape(values_[of].id); });
  }
  /// A value whose shape fits.
  template <class Fits>
  std::size_t any(const Fits& fits) {
    std::vector<std::size_t> fitting;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (fits(net_.shape(values_[i].id))) fitting.push_back(i);
    }
    return fitting[bytes_.ConsumeIntegralInRange<std::size_t>(0, fitting.size() - 1)];
  }
  ValueId use(std::size_t index) {
    values_[index].read = true;
    return values_[index].id;
  }
  std::string name(const char* letter) { return concat(letter, ++blocks_); }

  void append() {
    const std::size_t x = pick();
    const ValueShape shape = net_.shape(values_[x].id);
    int degree = values_[x].degree;
    ValueId y;
    switch (bytes_.ConsumeIntegralInRange(0, kOpKinds - 1)) {
      case 0: y = net_.flatten(use(x)); break;
      case 1:
        y = net_.linear(use(x), net_.matrix(name("W_"), bytes_.ConsumeIntegralInRange(1, 7), shape.features));
        break;
      case 2: y = net_.bias(use(x), net_.parameter(name("b_"), 1, shape.features, 0.5)); break;
      case 3: y = net_.add_parameter(use(x), net_.parameter(name("p_"), shape.tokens, shape.features, 0.3)); break;
      case 4: {
        const std::size_t other = partner(x);
        degree = std::max(degree, values_[other].degree);
        y = net_.add(use(x), use(other));
        break;
      }
      case 5: {
        const std::size_t other = partner(x);
        degree += values_[other].degree;
        if (degree > kMostDegree) {
          degree = 1;
          y = net_.tanh(use(x));
        } else {
          y = net_.op(OpKind::kMultiply, {use(x), use(other)});
        }
        break;
      }
      case 6:
        y = net_.tanh(use(x));
        degree = 1;
        break;
      case 7:
      case 8: y = net_.activation(any_activation(bytes_), use(x)); break;
      case 9:
        y = net_.layer_norm(use(x));
        degree = 1;
        break;
      case 10: {
        const std::size_t key = partner(x);
        const std::size_t value = partner(x);
        if (degree + values_[key].degree > kMostDegree) {
          degree = 1;
          y = net_.layer_norm(use(x));
        } else {
          std::vector<int> heads;
          for (int h = 1; h <= shape.features; ++h) {
            if (shape.features % h == 0) heads.push_back(h);
          }
          degree = values_[value].degree;
          y = net_.attention(use(x), use(key), use(value),
                             bytes_.PickValueInArray({1, heads.back(), heads[heads.size() / 2]}));
        }
        break;
      }
      case 11: y = net_.select(use(x), bytes_.ConsumeIntegralInRange(0, shape.tokens - 1)); break;
      case 12: y = net_.mean(use(x)); break;
      default: {
        const std::size_t other = any([&](ValueShape own) { return own.features == shape.features; });
        if (shape.tokens + net_.shape(values_[other].id).tokens > kMostTokens) {
          y = net_.mean(use(x));
        } else {
          degree = std::max(degree, values_[other].degree);
          y = net_.join(use(x), use(other));
        }
        break;
      }
    }
    values_.push_back({y, degree, false});
  }

  Program readout() && {
    const int outputs = bytes_.ConsumeIntegralInRange(1, 3);
    ValueId sum;
    for (const Value& value : values_) {
      if (value.read) continue;
      ValueId pooled = value.id;
      if (net_.shape(pooled).tokens > 1) pooled = net_.mean(pooled);
      const ValueId y = net_.linear(pooled, net_.matrix(name("R_"), outputs, net_.shape(pooled).features));
      sum = sum.index < 0 ? y : net_.add(sum, y);
    }
    return std::move(net_).finish(sum);
  }

  FuzzedDataProvider& bytes_;
  ProgramBuilder net_;
  std::vector<Value> values_;
  int blocks_ = 0;
};

/// Appends ops on any operands, also such that do not fit or do not exist.
Program careless_program(FuzzedDataProvider& bytes) {
  const auto small = [&](int least, int most) { return bytes.ConsumeIntegralInRange(least, most); };
  const auto size = [&](int most) { return small(0, 15) == 0 ? bytes.ConsumeIntegral<int>() : small(0, most); };
  ProgramBuilder net({size(4), size(5)});
  const int ops = small(0, 10);
  ValueId last = net.input();
  for (int i = 0; i < ops; ++i) {
    const auto value = [&] { return ValueId{small(-1, ops)}; };
    const auto block = [&] { return small(0, 3) == 0 ? ParameterId{small(-1, 4)} : net.matrix("W", size(5), size(5)); };
    switch (small(0, kOpKinds - 1)) {
      case 0: last = net.flatten(value()); break;
      case 1: last = net.linear(value(), block()); break;
      case 2: last = net.bias(value(), block()); break;
      case 3: last = net.add_parameter(value(), block()); break;
      case 4: last = net.add(value(), value()); break;
      case 5: last = net.op(OpKind::kMultiply, {value(), value()}); break;
      case 6: last = net.tanh(value()); break;
      case 7:
      case 8: last = net.activation(any_activation(bytes), value()); break;
      case 9: last = net.layer_norm(value()); break;
      case 10: last = net.attention(value(), value(), value(), small(-1, 4)); break;
      case 11: last = net.select(value(), small(-2, 5)); break;
      default: last = net.mean(value()); break;
    }
  }
  return std::move(net).finish(small(0, 5) == 0 ? ValueId{small(-1, ops + 1)} : last);
}

std::string describe(const Program& program) {
  std::string text = concat("input [", program.input().tokens, ", ", program.input().features, "]");
  for (const Op& op : program.ops()) {
    text += concat("; ", op.output, " = ", name_of(op.kind), "(", op.inputs[0], ", ", op.inputs[1], ", ", op.inputs[2],
                   ")");
  }
  return text;
}

/// What differences are measured by: where a softmax is nearly 0 or 1 the derivatives of cross-entropy cancel, and
/// rounding is that of the same derivatives of squared errors.
double scale_of(const at::Tensor& values, const at::Tensor& of_squared) {
  return std::max({1.0, values.abs().max().item<double>(), of_squared.abs().max().item<double>()});
}

void expect_close(const char* what, const at::Tensor& lanes, const at::Tensor& torch, double scale,
                  const Program& program) {
  expect(lanes.sizes() == torch.sizes(), concat(what, " differ in shape: ", describe(program)));
  const double difference = (lanes - torch).abs().max().item<double>() / scale;
  expect(difference < 1e-9, concat(what, " differ by ", difference, " of ", scale, ": ", describe(program)));
}

void compare(const Program& program, FuzzedDataProvider& bytes) {
  std::vector<std::string> sets;
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) {
    if (set.available) sets.push_back(set.name);
  }
  const std::string isa = sets[bytes.ConsumeIntegralInRange<std::size_t>(0, sets.size() - 1)];
  const auto torch = make_engine(program, {.engine = "torch", .dtype = "float64", .threads = 1});
  const auto lanes = make_engine(program, {.engine = "lanes", .dtype = "float64", .isa = isa, .threads = 1});
  const std::int64_t replicas = bytes.ConsumeIntegralInRange(1, 9);
  const std::int64_t count = bytes.ConsumeIntegralInRange(1, 5);
  at::manual_seed(bytes.ConsumeIntegral<std::uint8_t>());
  const at::Tensor weights = 0.7 * at::randn({replicas, program.parameter_count()}, at::kDouble);
  Samples samples{at::randn({count, program.input().tokens, program.input().features}, at::kDouble),
                  at::randn({count, program.outputs()}, at::kDouble)};
  samples.loss = bytes.PickValueInArray({LossKind::kSquared, LossKind::kCrossEntropy});
  if (traits(samples.loss).distributions) samples.targets = samples.targets.square();
  const at::Tensor vectors = at::randn({replicas, 2, program.parameter_count()}, at::kDouble);
  const at::Tensor vector = vectors.select(1, 0).contiguous();

  const Samples squared{samples.inputs, samples.targets};
  const auto check = [&](const char* what, const auto& quantity) {
    const at::Tensor reference = quantity(*torch, samples);
    const double scale = scale_of(reference, quantity(*torch, squared));
    expect_close(concat(name_of(samples.loss), ": ", what).c_str(), quantity(*lanes, samples), reference, scale,
                 program);
  };
  check("outputs", [&](Engine& e, const Samples& s) { return e.outputs(weights, s.inputs); });
  check("losses", [&](Engine& e, const Samples& s) { return e.loss(weights, s); });
  check("gradients", [&](Engine& e, const Samples& s) { return e.loss_gradient(weights, s).gradient; });
  check("Hessian products", [&](Engine& e, const Samples& s) { return e.hessian(weights, s)->apply(vectors); });
  check("Gauss-Newton products", [&](Engine& e, const Samples& s) {
    const at::Tensor metric = output_metric(s, torch->outputs(weights, s.inputs));
    return e.gauss_newton(weights, s.inputs, metric)->apply(vectors);
  });
  check("Jacobian products",
        [&](Engine& e, const Samples& s) { return e.jacobian_product(weights, s.inputs, vector); });
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  at::set_num_threads(1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider bytes(data, size);
  if (bytes.ConsumeIntegralInRange(0, 15) != 0) {
    compare(RandomNetwork(bytes).make(), bytes);  // nothing here may be refused
    return 0;
  }
  try {
    const Program program = careless_program(bytes);
    if (program.input_size() > 1000 || program.parameter_count() > 1000) return 0;
    make_engine(program, {.engine = "lanes", .dtype = "float64", .threads = 1});
  } catch (const UserError&) {
  }
  return 0;
}
