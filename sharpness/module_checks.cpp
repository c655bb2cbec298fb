#include "sharpness/module_checks.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "sharpness/module_network.h"
#include "sharpness/module_objective.h"
#include "sharpness/module_samples.h"

namespace sharpseek {
namespace {

using at::Tensor;

double length(const Tensor& x) { return x.to(at::kDouble).norm().item<double>(); }

/// "12.3 %", or "0.00312 %".
std::string percent(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g %%", 100 * x);
  return x >= 10 || !std::isfinite(x) ? "more than 1000 %" : text.data();
}

/// Size of the weights in each block [P]: a change in proportion moves no layer much more than another.
Tensor scales(const ModuleObjective& objective) {
  const Tensor theta = objective.parameters()[0];
  const auto size = [](const Tensor& x) { return length(x) / std::sqrt(static_cast<double>(x.numel())); };
  const double all = size(theta);
  Tensor scale = at::ones_like(theta);
  for (const Block& block : objective.blocks()) {
    const double own = size(theta.narrow(0, block.offset, block.size()));
    scale.narrow(0, block.offset, block.size()).fill_(all > 0 ? std::max(own, 0.01 * all) : 1);
  }
  return scale;
}

/// A random direction [P] in these scales.
Tensor direction(const Tensor& scale, std::uint32_t index) {
  std::vector<double> normals(static_cast<std::size_t>(scale.numel()));
  standard_normals(0, Stream::kProbe, 6, index, normals);
  return at::tensor(normals, at::kDouble).to(scale.options()) * scale;
}

void require_finite(ModuleObjective& objective, const LossGradient& found) {
  const std::string& subject = objective.network()->subject();
  const double loss = found.loss.item<double>();
  require(std::isfinite(loss), subject, ": its loss is not finite (", std::isnan(loss) ? "nan" : "infinite", ") on ",
          objective.options().data);
  require(found.gradient.isfinite().all().item<bool>(), subject, ": its loss is finite on ", objective.options().data,
          ", but its gradient is not: some derivative is infinite (a root or norm at 0, a logarithm?)");
}

void require_same(ModuleObjective& objective, const Tensor& a, const Tensor& b, const char* what) {
  const double difference = (a - b).abs().max().item<double>() / std::max(a.abs().max().item<double>(), 1e-30);
  require(difference < 1e-4, objective.network()->subject(), ": its ", what, " differs by ", difference,
          " when computed twice: the loss is not deterministic (dropout? random numbers?)");
}

/// f(x) without a graph, or nothing where forward refuses these inputs.
std::optional<Tensor> forward(ModuleNetwork& network, const std::vector<Tensor>& inputs) {
  const c10::AutoGradMode no_graph(false);
  try {
    return network.outputs(inputs);
  } catch (const UserError&) {
    return std::nullopt;
  }
}

/// What the other samples change in a sample's outputs, over the largest output.
double mixing(ModuleNetwork& network, const ModuleSamples& samples, const Tensor& among, std::int64_t row) {
  // The sample by itself, ..
  const ModuleSamples own = samples.rows(row, 1);
  std::optional<Tensor> alone = forward(network, own.inputs);
  // A module that takes no single sample (a batch size that a trace fixed, squeeze) gets it among copies of itself.
  if (!alone || alone->sizes().slice(1) != among.sizes().slice(1)) {
    const ModuleSamples copies = samples.chosen(at::full({samples.count()}, row, at::kLong));
    alone = forward(network, copies.inputs);
    if (!alone) return std::numeric_limits<double>::infinity();
  }
  // .. against the same sample among the others.
  const double largest = among.abs().max().item<double>();
  const double difference = ((*alone)[0] - among[row]).abs().max().item<double>();
  if (difference == 0) return 0;
  return std::isfinite(difference) && largest > 0 ? difference / largest : std::numeric_limits<double>::infinity();
}

/// Where samples mix: the worst of a few rows.
struct Mixing {
  double worst = 0;
  std::int64_t row = 0, count = 0;
  double tolerance = 0;
};

/// Compares rows of one forward pass with themselves alone; nothing where the module takes no such inputs.
std::optional<Mixing> mixing_among(ModuleNetwork& network, const ModuleSamples& samples) {
  const std::optional<Tensor> among = forward(network, samples.inputs);
  // What is not finite says nothing about mixing.
  if (!among || !among->isfinite().all().item<bool>()) return std::nullopt;
  Mixing result{.count = samples.count(), .tolerance = among->scalar_type() == at::kDouble ? 1e-5 : 1e-3};
  if (result.count < 2 || among->numel() == 0) return result;
  for (std::int64_t row : {result.count / 2, result.count / 3}) {  // of many neither the first nor the last
    const double found = mixing(network, samples, *among, row);
    if (found > result.worst) result.row = row;
    result.worst = std::max(result.worst, found);
  }
  return result;
}

/// Looks at weights a hundredth away: where all outputs are 0, as at some initialisations, nothing would be seen.
void check_mixing(ModuleObjective& objective) {
  ModuleNetwork& network = *objective.network();
  const ModuleSamples& all = objective.data();
  const Tensor weights = objective.parameters()[0];
  const Tensor away = weights + 0.01 * direction(scales(objective), 2);
  const std::int64_t enough = std::min(std::clamp<std::int64_t>(objective.chunk(), 2, 64), all.count());
  std::optional<Mixing> found;
  // The first combination of weights and count that the module takes.
  for (const Tensor& there : {away, weights}) {
    network.set_parameters(there);
    for (std::int64_t count : {enough, objective.chunk()}) {
      if (!found) found = mixing_among(network, all.rows(0, count));
    }
  }
  network.set_parameters(weights);
  require(!found || found->worst <= found->tolerance, network.subject(),
          ": its output for a sample depends on the other samples (sample ", found ? found->row : 0,
          " alone and among ", found ? found->count : 0, " differ by ", percent(found ? found->worst : 0),
          " of the largest output): samples must not mix, as by batch norm with the batch's statistics, or where the "
          "first dimension is not that of samples");
}

/// |v'Hw - w'Hv| over the norms of both products, in scales.
double asymmetry(const Tensor& scale, const Tensor& v, const Tensor& hv, const Tensor& w, const Tensor& hw) {
  const double size = std::max(length(scale * hv), length(scale * hw));
  return size > 0 ? std::abs(scalar_product(w, hv) - scalar_product(v, hw)) / size : 0;
}

/// Asymmetry is no fault if the product itself moves as much with weights that differ by rounding.
void check_symmetry(ModuleObjective& objective, const Tensor& v, const Tensor& hv) {
  const Tensor scale = scales(objective);
  // v'Hw = w'Hv for every symmetric matrix.
  const Tensor w = direction(scale, 1);
  const Tensor hw = objective.multiply(ModuleObjective::Matrix::kHessian, w);
  const double found = asymmetry(scale, v, hv, w, hw);
  const ModuleNetwork& network = *objective.network();
  const double tolerance = product_tolerance(network.precision());
  if (found <= tolerance) return;

  // How much rounding moves a product: the yardstick where the tolerance is not met.
  const double step = network.precision() == at::kDouble ? 1e-9 : 1e-6;
  const Tensor there = objective.parameters()[0] + step * direction(scale, 3);
  const double noise = length(scale * (objective.hessian_product_at(there, v) - hv)) / length(scale * hv);
  require(
      found <= 10 * noise, network.subject(),
      ": its Hessian products are not symmetric: v'Hw = ", scalar_product(v, hw), " and w'Hv = ", scalar_product(w, hv),
      " differ by ", percent(found),
      " of a product's size; LibTorch's second derivative of one of its operations is wrong (weight norm on the CPU "
      "is: write it out as v * g / v.norm()), or forward hides a dependence on weights (detach, no_grad)");
}

/// Differences of several steps, and what they should be.
class Differences {
 public:
  Differences(Tensor claimed, const char* what) : claimed_(std::move(claimed)), what_(what) {}

  /// From values at theta + h u, theta and theta - h u.
  void add(const Tensor& up, const Tensor& here, const Tensor& down, double h) {
    // Central difference; an error of order h^2.
    const Tensor quotient = (up - down) / (2 * h);
    const double off = length(quotient - claimed_);
    const double size = std::max(length(claimed_), length(quotient));
    agrees_ |= off <= 1e-4 * size;
    // A step ten times smaller that changes little shows the derivative, unless its two sides differ: there is a kink
    // at theta. Long steps do not count: over many kinks their quotients settle, too.
    const bool settled = last_.defined() && length(quotient - last_) < 0.1 * off;
    const bool smooth = length(up + down - 2 * here) / (2 * h) < 0.1 * off;
    if (settled && smooth && h < 2e-6 && off > 1e-3 * size) settled_ = std::max(settled_, off / size);
    last_ = quotient;
  }
  bool agrees() const { return agrees_; }
  void check(const std::string& subject) const {
    require(agrees_ || settled_ == 0, subject, ": its ", what_, " differs by ", percent(settled_),
            " from what differences give: LibTorch's derivative of one of its operations is wrong, or forward hides a "
            "dependence on weights (detach, no_grad, rounding with a gradient of its own); what shall not be "
            "differentiated must not require gradients");
  }

 private:
  Tensor claimed_;
  const char* what_;
  Tensor last_;
  bool agrees_ = false;
  double settled_ = 0;
};

/// g'u and H u against central differences of losses and gradients at theta +- h u. Few samples in float64 leave steps
/// below the distance to the next kink of a ReLU.
void check_differences(ModuleObjective& objective, const Tensor& u, const Tensor& hu) {
  const Tensor theta = objective.parameters();
  const LossGradient here = objective.loss_gradient(theta);
  Differences gradient(at::full({1}, scalar_product(here.gradient, u), at::kDouble), "gradient");
  Differences product(hu.to(at::kDouble), "Hessian product");
  // From long steps to short ones, until both agree.
  for (double h = 1e-3; h > 1e-10 && !(gradient.agrees() && product.agrees()); h /= 10) {
    const LossGradient up = objective.loss_gradient(theta + h * u);
    const LossGradient down = objective.loss_gradient(theta - h * u);
    gradient.add(up.loss, here.loss, down.loss, h);
    product.add(up.gradient[0], here.gradient[0], down.gradient[0], h);
  }
  gradient.check(objective.network()->subject());
  product.check(objective.network()->subject());
}

/// Rows of samples in float64.
ModuleSamples in_double(const ModuleSamples& samples, const Tensor& rows) {
  return samples.chosen(rows).with([](const Tensor& x) { return x.is_floating_point() ? x.to(at::kDouble) : x; });
}

/// What only float64 shows, on the first samples and on four of all. Leaves the network in the precision that it had.
/// Returns whether the module runs in float64 on so few samples.
bool check_in_double(const ModuleObjective& objective) {
  const std::shared_ptr<ModuleNetwork>& network = objective.network();
  const c10::ScalarType precision = network->precision();
  const std::int64_t n = objective.samples(), count = std::min<std::int64_t>(n, 4);
  const ModuleOptions& options = objective.options();
  network->set_precision(at::kDouble);
  // Four samples from all over the data.
  const ModuleSamples spread =
      in_double(objective.data(), at::arange(count, at::kLong).mul(n).div(count, /*rounding_mode=*/"floor"));
  const bool runs = forward(*network, spread.inputs).has_value();
  if (runs) {
    const std::int64_t leading = std::min(std::max<std::int64_t>(objective.chunk(), 2), n);
    // Mixing on the leading samples, derivatives on the four.
    ModuleObjective first(network, in_double(objective.data(), at::arange(leading, at::kLong)), options);
    check_mixing(first);
    ModuleObjective some(network, spread, options);
    const Tensor u = direction(scales(some), 0);
    const Tensor hu = some.multiply(ModuleObjective::Matrix::kHessian, u);
    check_symmetry(some, u, hu);
    check_differences(some, u, hu);
  }
  network->set_precision(precision);
  return runs;
}

}  // namespace

void check_module(ModuleObjective& objective) {
  const LossGradient first = objective.loss_gradient(objective.parameters());
  // Finite, and the same twice: else nothing below means anything.
  require_finite(objective, first);
  require_same(objective, first.gradient, objective.loss_gradient(objective.parameters()).gradient, "gradient");
  if (!check_in_double(objective)) check_mixing(objective);

  const Tensor v = direction(scales(objective), 0);
  const Tensor hv = objective.multiply(ModuleObjective::Matrix::kHessian, v);
  require(hv.isfinite().all().item<bool>(), objective.network()->subject(), ": its gradient is finite on ",
          objective.options().data,
          ", but its Hessian is not: some second derivative is infinite (a root or norm at 0?)");
  // From new graphs: a dropout draws anew.
  objective.forget_graphs();
  require_same(objective, hv, objective.multiply(ModuleObjective::Matrix::kHessian, v), "Hessian product");
  check_symmetry(objective, v, hv);
}

}  // namespace sharpseek
