#include "theory/end_point.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "core/error.h"
#include "theory/interpolation.h"

namespace sharpseek {
namespace {

/// Everything at one place that value, gradient and metric are made of.
struct Place {
  Linearisation line;
  at::Tensor jacobian;   ///< [E, N, outputs, P]
  at::Tensor gradients;  ///< J_n' r_n [E, N, P]
  at::Tensor coloured;   ///< Sigma J_n [E, N, outputs, P]
  at::Tensor loss;       ///< [E], as is the next
  at::Tensor fluctuation;
};

Place place_at(Engine& engine, const at::Tensor& parameters, const Samples& samples, const at::Tensor& covariances) {
  const std::int64_t replicas = parameters.size(0);
  const std::int64_t count = samples.inputs.size(0);
  const auto n = static_cast<double>(count);
  Place p;
  p.line = linearise(engine, parameters, samples);
  p.jacobian = p.line.jacobian.view({replicas, count, -1, parameters.size(1)});
  const at::Tensor residual = p.line.residual.view({replicas, count, -1, 1});
  // As products of small matrices, not element by element: the Jacobian is the largest thing here.
  p.gradients = residual.flatten(0, 1).transpose(1, 2).bmm(p.jacobian.flatten(0, 1)).view({replicas, count, -1});
  p.coloured = covariances.unsqueeze(1).matmul(p.jacobian);
  // L = (1/N) sum |r_n|^2, F = (4/N) sum_n (Tr J_n' Sigma J_n + |J_n' r_n|^2)
  p.loss = p.line.residual.square().sum(1) / n;
  p.fluctuation = 4 / n *
                  (p.coloured.flatten(1).unsqueeze(1).bmm(p.jacobian.flatten(1).unsqueeze(2)).flatten() +
                   p.gradients.square().sum({1, 2}));
  return p;
}

/// grad L + weight grad F [E, P].
at::Tensor gradient_at(Engine& engine, const Place& p, const at::Tensor& parameters, const Samples& samples,
                       const at::Tensor& weights) {
  const auto n = static_cast<double>(samples.inputs.size(0));
  const at::Tensor residual = p.line.residual.view({p.jacobian.size(0), p.jacobian.size(1), -1, 1});
  // (4/N) sum Tr J' Sigma J has the derivative (8/N) sum_no d^2 f_no[(Sigma J)_no, .]; (4/N) sum |J_n' r_n|^2 has
  // (8/N) sum_n (sum_o r_no d^2 f_no[J_n' r_n, .] + J_n' J_n J_n' r_n).
  const at::Tensor directions = at::addcmul(p.coloured, residual, p.gradients.unsqueeze(2));
  const at::Tensor bent = bend(engine, parameters, samples.inputs, directions.flatten(1, 2));
  const at::Tensor pushed = p.jacobian.flatten(0, 1).bmm(p.gradients.flatten(0, 1).unsqueeze(2));  // J_n J_n' r_n
  const at::Tensor pulled = pushed.view({p.jacobian.size(0), 1, -1}).bmm(p.jacobian.flatten(1, 2)).squeeze(1);
  // grad L = (2/N) sum_n J_n' r_n
  return 2 / n * p.gradients.sum(1) + weights.unsqueeze(1) * (8 / n) * (bent + pulled);
}

at::Tensor row_dot(const at::Tensor& a, const at::Tensor& b) { return (a * b).sum(1); }

/// ((2/N) J'J + mu)^-1 v.
at::Tensor damped_solve(const Linearisation& line, const at::Tensor& v, const at::Tensor& mu) {
  // By the eigenvectors of the range: 1 / (lambda + mu) there, 1 / mu across it.
  const at::Tensor along = line.range.transpose(1, 2).bmm(v.unsqueeze(2)).squeeze(2);
  const at::Tensor m = mu.unsqueeze(1);
  const at::Tensor normal = line.range.bmm((along / (line.values + m) - along / m).unsqueeze(2)).squeeze(2);
  return v / m + normal;
}

constexpr std::size_t kMemory = 12;
constexpr double kArmijo = 1e-4;
constexpr double kShortest = 0.01;  ///< share of a remembered step below which memory is given up

/// Pairs (step, change of the gradient) of the last iterations; a replica without a pair has inverse = 0 there.
struct Pair {
  at::Tensor step;
  at::Tensor change;
  at::Tensor inverse;  ///< 1 / step'change
};

/// The two loops of L-BFGS (Nocedal, Wright, Numerical Optimization, algorithm 7.4): approximate inverse Hessian times
/// v, with damped_solve as the first metric.
at::Tensor quasi_newton(const std::deque<Pair>& pairs, const Linearisation& line, const at::Tensor& mu, at::Tensor v) {
  // From the newest pair to the oldest.
  std::vector<at::Tensor> shares(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    shares[i] = pairs[i].inverse * row_dot(pairs[i].step, v);
    v = v - shares[i].unsqueeze(1) * pairs[i].change;
  }
  // The first metric between the two loops, then from the oldest to the newest.
  v = damped_solve(line, v, mu);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const at::Tensor back = pairs[i].inverse * row_dot(pairs[i].change, v);
    v = v + (shares[i] - back).unsqueeze(1) * pairs[i].step;
  }
  return v;
}

at::Tensor rows_of(const at::Tensor& mask, const at::Tensor& yes, const at::Tensor& no) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(yes.dim()), 1);
  shape[0] = -1;
  return at::where(mask.view(shape), yes, no);
}

/// Takes a pair into memory, of the replicas that took the step and whose gradient grew along it.
void remember(std::deque<Pair>& pairs, const at::Tensor& taken, const at::Tensor& step, const at::Tensor& change) {
  // Without positive curvature along the step the pair would spoil the inverse.
  const at::Tensor curvature = row_dot(step, change);
  const at::Tensor kept = taken & (curvature > 1e-12 * (row_dot(step, step) * row_dot(change, change)).sqrt());
  const at::Tensor zero = at::zeros_like(step);
  pairs.push_back({rows_of(kept, step, zero), rows_of(kept, change, zero),
                   rows_of(kept, 1 / curvature, at::zeros_like(curvature))});
  if (pairs.size() > kMemory) pairs.pop_front();
}

/// How far and how damped the next step is.
struct Caution {
  at::Tensor mu;     ///< damping; begins at the scale of the flat directions' curvature, weight F / |theta|^2
  at::Tensor share;  ///< of the quasi-Newton step that is tried
  at::Tensor stuck;  ///< so damped that rounding hides what is left
};

/// Where a step was no better: a shorter one; of what memory proposed only a few, then it is forgotten there; without
/// memory more damping. Once that is far beyond every curvature, rounding hides what is left.
void adapt(Caution& caution, std::deque<Pair>& pairs, const at::Tensor& moving, const at::Tensor& better,
           const Linearisation& line) {
  const at::Tensor failed = moving & ~better;
  at::Tensor remembers = at::zeros_like(failed);
  for (const Pair& pair : pairs) remembers = remembers | (pair.inverse > 0);

  // Memory first gets a shorter step.
  caution.share = rows_of(failed & remembers, caution.share / 4, at::ones_like(caution.share));
  // Where that has become too short it is forgotten.
  const at::Tensor forgotten = caution.share < kShortest;
  caution.share = rows_of(forgotten, at::ones_like(caution.share), caution.share);
  for (Pair& pair : pairs) pair.inverse = rows_of(forgotten, at::zeros_like(pair.inverse), pair.inverse);
  // And without memory there is more damping.
  const at::Tensor largest = line.values.select(1, line.values.size(1) - 1);
  caution.mu = rows_of(failed & ~remembers, 4 * caution.mu, rows_of(better, 0.8 * caution.mu, caution.mu));
  caution.stuck = caution.stuck | (caution.mu > 1e4 * largest);
}

}  // namespace

PenalisedLoss penalised_loss(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                             const at::Tensor& covariances, const at::Tensor& weights) {
  const Place p = place_at(engine, parameters, samples, covariances);
  return {p.loss, p.fluctuation, gradient_at(engine, p, parameters, samples, weights)};
}

EndPoint penalised_minimum(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                           const at::Tensor& covariances, const at::Tensor& weights, const EndPointOptions& options) {
  SHARPSEEK_ASSERT(engine.program().smooth() && samples.targets.dim() == 2);
  at::Tensor theta = parameters.clone();
  Place place = place_at(engine, theta, samples, covariances);
  at::Tensor value = place.loss + weights * place.fluctuation;
  at::Tensor gradient = gradient_at(engine, place, theta, samples, weights);
  std::deque<Pair> pairs;
  EndPoint result{theta, at::zeros({theta.size(0)}, at::kBool), 0};
  const at::Tensor mu = weights * place.fluctuation / theta.square().sum(1);
  Caution caution{mu, at::ones_like(mu), at::zeros({theta.size(0)}, at::kBool)};

  for (int i = 0; i < options.iterations; ++i) {
    // What memory proposes, or, where that is uphill, the damped step.
    at::Tensor step = -quasi_newton(pairs, place.line, caution.mu, gradient);
    const at::Tensor plain = -damped_solve(place.line, gradient, caution.mu);
    const at::Tensor downhill = row_dot(step, gradient) < 0;
    step = rows_of(downhill, step, plain);
    const at::Tensor promised = -row_dot(step, gradient);
    // Judged in a metric of its own: a step that memory has bent away from the gradient promises little anywhere.
    const at::Tensor flat = weights * place.fluctuation / theta.square().sum(1);
    result.converged =
        row_dot(damped_solve(place.line, gradient, flat), gradient) <= options.tolerance * weights * place.fluctuation;
    result.iterations = i;
    const at::Tensor moving = ~(result.converged | caution.stuck);
    if (!moving.any().item<bool>()) break;
    step = caution.share.unsqueeze(1) * rows_of(moving, step, at::zeros_like(step));

    // Armijo: as much better as a share of what the slope promised.
    const at::Tensor tried = theta + step;
    const Place there = place_at(engine, tried, samples, covariances);
    const at::Tensor reached = there.loss + weights * there.fluctuation;
    const at::Tensor better = moving & (reached <= value - kArmijo * caution.share * promised);
    const at::Tensor slope = gradient_at(engine, there, tried, samples, weights);
    adapt(caution, pairs, moving, better, place.line);
    remember(pairs, better, step, slope - gradient);

    // Replicas that did not get better stay where they are.
    theta = rows_of(better, tried, theta);
    value = rows_of(better, reached, value);
    gradient = rows_of(better, slope, gradient);
    place.line.values = rows_of(better, there.line.values, place.line.values);
    place.line.range = rows_of(better, there.line.range, place.line.range);
    place.fluctuation = rows_of(better, there.fluctuation, place.fluctuation);
  }
  result.parameters = theta;
  return result;
}

at::Tensor least_by_rescaling(const at::Tensor& squares, const std::vector<Rescaling>& rescalings) {
  constexpr int kSweeps = 10'000;
  at::Tensor current = squares.clone();
  at::Tensor factors = at::ones_like(squares);
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    // One group of factors after the other, each at its own minimum.
    double moved = 0;
    for (const Rescaling& group : rescalings) {
      const at::Tensor in = at::tensor(group.in);
      const at::Tensor out = at::tensor(group.out);
      // in / c^2 + out c^2 is least where c^4 = in / out.
      const at::Tensor c = (current.index_select(1, in).sum(1) / current.index_select(1, out).sum(1)).pow(0.25);
      const at::Tensor safe = at::where((c > 0) & at::isfinite(c), c, at::ones_like(c)).unsqueeze(1);
      moved = std::max(moved, safe.log().abs().max().item<double>());
      for (const auto& [index, factor] : {std::pair{in, safe}, std::pair{out, 1 / safe}}) {
        factors.index_copy_(1, index, factors.index_select(1, index) * factor);
        current.index_copy_(1, index, current.index_select(1, index) / factor.square());
      }
    }
    if (moved < 1e-13) break;
  }
  return factors;
}

Diagonals diagonals(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                    const at::Tensor& covariances) {
  const auto n = static_cast<double>(samples.inputs.size(0));
  const Place p = place_at(engine, parameters, samples, covariances);
  return {4 / n * ((p.coloured * p.jacobian).sum({1, 2}) + p.gradients.square().sum(1)),
          2 / n * p.jacobian.square().sum({1, 2})};
}

}  // namespace sharpseek
