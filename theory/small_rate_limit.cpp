#include "theory/small_rate_limit.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "theory/closed_form.h"
#include "theory/linear_chain.h"

namespace sharpseek {
namespace {

constexpr int kMostIterations = 200;
/// Of differences of the flow, relative to |theta|: makes the Jacobian good to about 1e-7, which costs Newton's
/// iteration nothing but a step.
constexpr double kDifference = 1e-7;
/// A Newton step below this share of |theta| is the end.
constexpr double kConverged = 1e-11;
/// And the undamped one below this: where the flow is slow, rounding in it makes more of a step.
constexpr double kNewtonConverged = 1e-7;

/// d theta of rotating hidden frame i (between W_i and W_(i+1), counted from 0) by the antisymmetric `omega`.
std::vector<Matrix> rotate(const std::vector<Matrix>& weights, std::size_t i, const Matrix& omega) {
  std::vector<Matrix> change;
  for (const Matrix& w : weights) change.emplace_back(Matrix::Zero(w.rows(), w.cols()));
  change[i] = omega * weights[i];
  change[i + 1] = -weights[i + 1] * omega;
  return change;
}

/// Directions at a minimum: those of frame rotations with the (frame, row, column) that makes each, and an orthonormal
/// basis of the horizontal space.
struct Directions {
  Matrix rotations;  ///< [P, G]
  std::vector<std::pair<std::size_t, Matrix>> generators;
  Matrix horizontal;  ///< [P, m]
};

Directions directions(const LinearManifold& manifold, const std::vector<Matrix>& weights) {
  Directions result;
  std::vector<Vector> rotations;
  for (std::size_t i = 0; i + 1 < weights.size(); ++i) {
    const Eigen::Index width = weights[i].rows();
    // Antisymmetric matrices are spanned by e_a e_b' - e_b e_a', a > b.
    for (Eigen::Index a = 0; a < width; ++a) {
      for (Eigen::Index b = 0; b < a; ++b) {
        Matrix omega = Matrix::Zero(width, width);
        omega(a, b) = 1;
        omega(b, a) = -1;
        rotations.push_back(flatten(rotate(weights, i, omega)));
        result.generators.emplace_back(i, std::move(omega));
      }
    }
  }

  // Horizontal = across the gradients of the constraints F = V R and across all rotations.
  const Eigen::Index parameters = flatten(weights).size();
  const Matrix& teacher = manifold.task().teacher;
  const LinearChain chain(weights, symmetric_power(manifold.task().input_covariance, 0.5));
  Matrix constraints(parameters, teacher.size() + static_cast<Eigen::Index>(rotations.size()));
  result.rotations.resize(parameters, static_cast<Eigen::Index>(rotations.size()));
  for (Eigen::Index k = 0; k < teacher.size(); ++k) {
    Matrix unit = Matrix::Zero(teacher.rows(), teacher.cols());
    unit.data()[k] = 1;
    constraints.col(k) = flatten(chain.pull(unit));
  }
  for (std::size_t g = 0; g < rotations.size(); ++g) {
    result.rotations.col(static_cast<Eigen::Index>(g)) = rotations[g];
    constraints.col(teacher.size() + static_cast<Eigen::Index>(g)) = rotations[g];
  }

  // Their orthogonal complement: the last columns of Q, beyond the rank.
  Eigen::ColPivHouseholderQR<Matrix> qr(constraints);
  qr.setThreshold(1e-9);
  const Matrix q = qr.householderQ();
  result.horizontal = q.rightCols(parameters - qr.rank());
  return result;
}

/// The flow seen modulo rotations at a minimum.
struct Linearisation {
  Directions at;
  Vector rotation;  ///< [G] coefficients of the generators in the flow
  Vector residual;  ///< [m] the horizontal part of the flow
  Matrix jacobian;  ///< [m, m] its derivative along horizontal directions, the rotation subtracted
};

Linearisation linearise(const LinearManifold& manifold, const std::vector<Matrix>& weights) {
  Linearisation result;
  result.at = directions(manifold, weights);
  // The flow as a rotation plus a horizontal remainder, which is 0 at the limit.
  const Vector flow = flatten(manifold.drift(weights));
  result.rotation = result.at.rotations.cols() > 0
                        ? Vector(result.at.rotations.completeOrthogonalDecomposition().solve(flow))
                        : Vector();
  result.residual = result.at.horizontal.transpose() * flow;

  // v(theta) - Omega theta vanishes at the limit as a field, so that its derivative is that of the flow modulo
  // rotations. Along tangent directions the derivative does not depend on how drift() continues the flow outside the
  // minima.
  const Vector theta = flatten(weights);
  const auto horizontal_flow = [&](const Vector& at) {
    const std::vector<Matrix> moved = unflatten(at, weights);
    Vector v = flatten(manifold.drift(moved));
    for (std::size_t g = 0; g < result.at.generators.size(); ++g) {
      const auto& [frame, omega] = result.at.generators[g];
      v -= result.rotation(static_cast<Eigen::Index>(g)) * flatten(rotate(moved, frame, omega));
    }
    return Vector(result.at.horizontal.transpose() * v);
  };

  // Forward differences, one horizontal direction at a time.
  const double h = kDifference * theta.norm();
  result.jacobian.resize(result.residual.size(), result.residual.size());
  for (Eigen::Index k = 0; k < result.residual.size(); ++k) {
    result.jacobian.col(k) = (horizontal_flow(theta + h * result.at.horizontal.col(k)) - result.residual) / h;
  }
  return result;
}

double largest_real_part(const Matrix& jacobian) {
  if (jacobian.size() == 0) return -std::numeric_limits<double>::infinity();
  return Eigen::EigenSolver<Matrix>(jacobian, false).eigenvalues().real().maxCoeff();
}

/// The same network with one more hidden unit, of zero weights, above W_i (counted from 0).
std::vector<Matrix> with_spare_unit(std::vector<Matrix> weights, std::size_t i) {
  Matrix& below = weights[i];
  Matrix& above = weights[i + 1];
  below.conservativeResizeLike(Matrix::Zero(below.rows() + 1, below.cols()));
  above.conservativeResizeLike(Matrix::Zero(above.rows(), above.cols() + 1));
  return weights;
}

/// Where the flow modulo rotations led to.
struct Search {
  std::vector<Matrix> weights;
  Linearisation end;
  int iterations = 0;
  bool converged = false;
};

/// Follows the flow by implicit Euler steps of length `pause`, (1/pause - Jacobian) step = flow, which become Newton's
/// as the pause grows.
Search follow(const LinearManifold& manifold, std::vector<Matrix> start) {
  Search search;
  search.weights = std::move(start);
  // The start lies on the set only to rounding.
  manifold.retract(search.weights);
  search.end = linearise(manifold, search.weights);
  // A first step that is short against the fastest relaxation.
  double pause = 0.3 / std::max(search.end.jacobian.norm(), 1e-300);
  for (; search.iterations < kMostIterations; ++search.iterations) {
    const Linearisation& here = search.end;
    const Eigen::Index m = here.residual.size();
    // (1/pause - Jacobian) step = flow
    const Vector step = (Matrix::Identity(m, m) / pause - here.jacobian).partialPivLu().solve(here.residual);
    const Vector theta = flatten(search.weights);
    if (step.norm() < kConverged * theta.norm()) {
      // A short pause makes a short step too: only Newton's own says that this is the end.
      search.converged = here.jacobian.partialPivLu().solve(here.residual).norm() < kNewtonConverged * theta.norm();
      if (search.converged) break;
      pause *= 1e3;
      continue;
    }
    std::vector<Matrix> next = unflatten(theta + here.at.horizontal * step, search.weights);
    // Too far for the linearisation, or off the set: shorter.
    if (step.norm() > 0.2 * theta.norm() || !manifold.retract(next)) {
      pause /= 4;
      continue;
    }
    Linearisation there = linearise(manifold, next);
    // The flow may grow on the way around a bend, but not by much.
    if (there.residual.norm() > 2 * here.residual.norm()) {
      pause /= 4;
      continue;
    }
    // The nearer to the limit, the longer the pause: Newton's step in the end.
    pause *= std::clamp(here.residual.norm() / there.residual.norm(), 2.0, 1e6);
    search.weights = std::move(next);
    search.end = std::move(there);
  }
  return search;
}

}  // namespace

std::string to_string(LimitStatus status) {
  switch (status) {
    case LimitStatus::kConverged: return "converged";
    case LimitStatus::kUnstable: return "unstable";
    case LimitStatus::kNotConverged: return "not converged";
  }
  return "";
}

SmallRateLimit small_rate_limit(int depth, int width, const LinearTask& task) {
  const LinearManifold manifold(task);
  const ClosedForm flattest = closed_form(depth, task.teacher, task.input_covariance,
                                          Matrix::Identity(task.teacher.rows(), task.teacher.rows()));
  require(width >= flattest.rank, "small-rate limit: width ", width, " is below the teacher's rank ", flattest.rank);

  // The minimal-fluctuation solution is nearest, but far off or none where some output has hardly any noise.
  Search search;
  if (!is_singular(task.noise_covariance)) {
    search = follow(manifold, closed_form(depth, task.teacher, task.input_covariance, task.noise_covariance).weights);
  }
  if (!search.converged) search = follow(manifold, flattest.weights);

  // What the end says: weights, reading, and the rotation that is left of the flow there.
  SmallRateLimit limit;
  limit.weights = std::move(search.weights);
  limit.iterations = search.iterations;
  limit.reading = manifold.read(limit.weights);
  for (std::size_t i = 0; i + 1 < limit.weights.size(); ++i) {
    limit.rotation.emplace_back(Matrix::Zero(limit.weights[i].rows(), limit.weights[i].rows()));
  }
  for (std::size_t g = 0; g < search.end.at.generators.size(); ++g) {
    const auto& [frame, omega] = search.end.at.generators[g];
    limit.rotation[frame] += search.end.rotation(static_cast<Eigen::Index>(g)) * omega;
  }
  if (!search.converged) return limit;

  // Every deviation must decay, spare hidden units among them.
  double growth = largest_real_part(search.end.jacobian);
  const bool full_rank = flattest.rank == std::min(task.teacher.rows(), task.teacher.cols());
  for (std::size_t i = 0; width > flattest.rank && full_rank && i + 1 < limit.weights.size(); ++i) {
    growth = std::max(growth, largest_real_part(linearise(manifold, with_spare_unit(limit.weights, i)).jacobian));
  }
  limit.relaxation_rate = -growth;
  limit.status = growth < 0 ? LimitStatus::kConverged : LimitStatus::kUnstable;
  return limit;
}

}  // namespace sharpseek
