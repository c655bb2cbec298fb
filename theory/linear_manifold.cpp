#include "theory/linear_manifold.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "theory/linear_chain.h"
#include "theory/runge_kutta.h"

namespace sharpseek {
namespace {

/// Eigenvalues of J J' below this share of the largest count as 0: the range of J there is smaller than outputs x n.
constexpr double kNullEigenvalue = 1e-13;

/// The Moore-Penrose inverse of J J' applied to dF.
Matrix solve_normal(const Eigen::SelfAdjointEigenSolver<Matrix>& normal, const Matrix& change) {
  const Eigen::Map<const Vector> flat(change.data(), change.size());
  // In the eigenbasis U of J J': U' dF, each over its eigenvalue.
  Vector coordinates = normal.eigenvectors().transpose() * flat;
  const double floor = kNullEigenvalue * normal.eigenvalues().maxCoeff();
  for (Eigen::Index a = 0; a < coordinates.size(); ++a) {
    const double eigenvalue = normal.eigenvalues()(a);
    coordinates(a) = eigenvalue > floor ? coordinates(a) / eigenvalue : 0;
  }
  // And back: what lies in the null space has been dropped.
  const Vector solved = normal.eigenvectors() * coordinates;
  return Eigen::Map<const Matrix>(solved.data(), change.rows(), change.cols());
}

/// (S kron I) U: S acts on the output index of rows ordered (output, input).
Matrix on_outputs(const Matrix& s, const Matrix& u) {
  const Eigen::Index inputs = u.rows() / s.rows();
  Matrix result = Matrix::Zero(u.rows(), u.cols());
  for (Eigen::Index o = 0; o < s.rows(); ++o) {
    for (Eigen::Index p = 0; p < s.rows(); ++p) {
      if (s(o, p) != 0) result.middleRows(o * inputs, inputs) += s(o, p) * u.middleRows(p * inputs, inputs);
    }
  }
  return result;
}

/// 4 Z' of the class comment. In the eigenbasis of J J' (g_a): Z_ab = 2 N_ab g_b / (g_a + g_b), N = Sigma_eps kron I.
Matrix contraction(const Eigen::SelfAdjointEigenSolver<Matrix>& normal, const Matrix& noise_covariance) {
  const Matrix& u = normal.eigenvectors();
  const Vector& g = normal.eigenvalues();
  // N in the eigenbasis.
  Matrix m = u.transpose() * on_outputs(noise_covariance, u);
  const double floor = kNullEigenvalue * g.maxCoeff();
  for (Eigen::Index a = 0; a < m.rows(); ++a) {
    for (Eigen::Index b = 0; b < m.cols(); ++b) m(a, b) *= g(a) > floor && g(b) > floor ? 8 * g(a) / (g(a) + g(b)) : 0;
  }
  return u * m * u.transpose();
}

/// The gradient of <M, dJ J'> with respect to W_1 .. W_D, by reverse accumulation through the partial products.
/// dJ J' = sum_i (dA_i A_i') kron (B_i R)'(B_i R) + (A_i A_i') kron d(B_i R)'(B_i R).
std::vector<Matrix> chain_gradient(const LinearChain& chain, const std::vector<Matrix>& weights, const Matrix& m) {
  const std::size_t depth = weights.size();
  const Eigen::Index outputs = chain.product.rows();
  const Eigen::Index inputs = chain.product.cols();
  std::vector<Matrix> above_bar(depth), below_bar(depth);
  for (std::size_t i = 0; i < depth; ++i) {
    // Partial traces of M with the other factor: what multiplies dA_i and d(B_i R).
    const Matrix left = chain.above[i] * chain.above[i].transpose();
    const Matrix right = chain.below[i].transpose() * chain.below[i];
    Matrix on_left(outputs, outputs);                // sum over inputs of M and right
    Matrix on_right = Matrix::Zero(inputs, inputs);  // sum over outputs of M and left
    for (Eigen::Index o = 0; o < outputs; ++o) {
      for (Eigen::Index p = 0; p < outputs; ++p) {
        const auto block = m.block(o * inputs, p * inputs, inputs, inputs);
        on_left(o, p) = block.cwiseProduct(right).sum();
        on_right += left(o, p) * block;
      }
    }
    above_bar[i] = on_left * chain.above[i];
    below_bar[i] = chain.below[i] * on_right.transpose();
  }

  // The partial products depend on the matrices: carry their gradients down the chain.
  std::vector<Matrix> gradient;
  for (const Matrix& w : weights) gradient.emplace_back(Matrix::Zero(w.rows(), w.cols()));
  // A_(i-1) = A_i W_i
  for (std::size_t i = 1; i < depth; ++i) {
    gradient[i] += chain.above[i].transpose() * above_bar[i - 1];
    above_bar[i] += above_bar[i - 1] * weights[i].transpose();
  }
  // B_(i+1) R = W_i B_i R
  for (std::size_t i = depth - 1; i > 0; --i) {
    gradient[i - 1] += below_bar[i] * chain.below[i - 1].transpose();
    below_bar[i - 1] += weights[i - 1].transpose() * below_bar[i];
  }
  return gradient;
}

void add(std::vector<Matrix>& to, double factor, const std::vector<Matrix>& change) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * change[i];
}

double largest_change(const MinimumReading& a, const MinimumReading& b) {
  return std::max({std::abs(a.trace / b.trace - 1), std::abs(a.sharpness / b.sharpness - 1),
                   std::abs(a.gradient_fluctuation / b.gradient_fluctuation - 1)});
}

/// The integration that both paths share. `visit(tau, weights)` returns whether to stop.
template <class Visit>
FlowStatus integrate(const LinearManifold& manifold, std::vector<Matrix>& weights, const SlowPathOptions& options,
                     const std::vector<double>* times, const Visit& visit) {
  if (!manifold.descend(weights)) return FlowStatus::kNoMinimum;

  // From the first minimum on, each accepted step is put back onto the set.
  const std::vector<Matrix> shapes = weights;
  RungeKutta flow([&](const Vector& y) { return flatten(manifold.drift(unflatten(y, shapes))); },
                  [&](Vector& y) {
                    std::vector<Matrix> w = unflatten(y, shapes);
                    manifold.retract(w);
                    y = flatten(w);
                  },
                  flatten(weights), options.tolerance);

  // With times: stop exactly at each of them; without: at every step.
  std::size_t next = 0;
  bool stopped = false;
  const auto arrive = [&] {
    weights = unflatten(flow.state(), shapes);
    stopped = visit(flow.time(), weights);
    if (times != nullptr) ++next;
  };
  if (times == nullptr || times->front() == 0) arrive();
  for (int step = 0; !stopped && (times == nullptr || next < times->size()); ++step) {
    if (step == options.most_steps) return FlowStatus::kTooManySteps;
    const double end = times != nullptr ? (*times)[next] : std::numeric_limits<double>::infinity();
    flow.advance(end);
    if (times == nullptr || flow.time() >= end) arrive();
  }
  return stopped ? FlowStatus::kStationary : FlowStatus::kTimeUp;
}

}  // namespace

LinearManifold::LinearManifold(LinearTask task) : task_(std::move(task)) {
  const Matrix& v = task_.teacher;
  require(task_.input_covariance.rows() == v.cols() && task_.input_covariance.cols() == v.cols() &&
              task_.noise_covariance.rows() == v.rows() && task_.noise_covariance.cols() == v.rows(),
          "slow manifold: teacher is ", v.rows(), " x ", v.cols(), ", input covariance ", task_.input_covariance.rows(),
          " x ", task_.input_covariance.cols(), ", noise covariance ", task_.noise_covariance.rows(), " x ",
          task_.noise_covariance.cols());
  require(v.cwiseAbs().maxCoeff() > 0, "slow manifold: the teacher is zero");
  // In whitened inputs x = R z the target of the product W_D .. W_1 R is V R, R = Sigma_x^(1/2).
  input_root_ = symmetric_power(task_.input_covariance, 0.5);
  target_ = v * input_root_;
}

std::vector<Matrix> LinearManifold::drift(const std::vector<Matrix>& weights) const {
  const LinearChain chain(weights, input_root_);
  const Eigen::SelfAdjointEigenSolver<Matrix> normal(chain.normal_matrix());
  // The gradient of <4 Z, dJ J'>, then its tangent part, with the sign and half of the flow.
  std::vector<Matrix> gradient = chain_gradient(chain, weights, contraction(normal, task_.noise_covariance));
  // P_T g = g - J' (J J')^-1 J g
  add(gradient, -1, chain.pull(solve_normal(normal, chain.push(gradient))));
  for (Matrix& g : gradient) g *= -0.5;
  return gradient;
}

bool LinearManifold::retract(std::vector<Matrix>& weights) const {
  double error = std::numeric_limits<double>::infinity();
  for (int iteration = 0; iteration < 20; ++iteration) {
    const LinearChain chain(weights, input_root_);
    const Matrix residual = target_ - chain.product;
    const double now = residual.norm() / target_.norm();
    // Newton converges quadratically: no better than before means that rounding is reached.
    if (now < 1e-13 || (now < 1e-11 && now >= error)) return true;
    error = now;
    const Eigen::SelfAdjointEigenSolver<Matrix> normal(chain.normal_matrix());
    // Gauss-Newton: the shortest change of the weights that makes up for the residual.
    add(weights, 1, chain.pull(solve_normal(normal, residual)));
  }
  return false;
}

bool LinearManifold::descend(std::vector<Matrix>& weights) const {
  // L = |F - V Sigma_x^(1/2)|^2 + Tr Sigma_eps, grad L = 2 J'(F - V Sigma_x^(1/2))
  const std::vector<Matrix> shapes = weights;
  const auto residual = [&](const Vector& y) {
    return (LinearChain(unflatten(y, shapes), input_root_).product - target_).norm() / target_.norm();
  };
  RungeKutta flow(
      [&](const Vector& y) {
        const LinearChain chain(unflatten(y, shapes), input_root_);
        return Vector(-flatten(chain.pull(2 * (chain.product - target_))));
      },
      [](Vector&) {}, flatten(weights), 1e-8);
  for (int step = 0; step < 100000 && flow.state().allFinite(); ++step) {
    // Close enough for Newton, which is exact from there on.
    if (residual(flow.state()) < 1e-7) {
      weights = unflatten(flow.state(), shapes);
      return retract(weights);
    }
    flow.advance(std::numeric_limits<double>::infinity());
  }
  return false;
}

MinimumReading LinearManifold::read(const std::vector<Matrix>& weights) const {
  const LinearCurvature curvature = linear_curvature(weights, task_.input_covariance);
  MinimumReading reading;
  reading.trace = curvature.trace;
  reading.sharpness = curvature.sharpness;
  reading.layer_fluctuation = linear_fluctuation(weights, task_.input_covariance, task_.noise_covariance);
  // The fluctuation is the sum over layers.
  for (double layer : reading.layer_fluctuation) reading.gradient_fluctuation += layer;
  reading.speed = flatten(drift(weights)).norm();
  return reading;
}

std::string to_string(FlowStatus status) {
  switch (status) {
    case FlowStatus::kStationary: return "stationary";
    case FlowStatus::kTimeUp: return "not stationary at the last time";
    case FlowStatus::kTooManySteps: return "not stationary in the allowed number of steps";
    case FlowStatus::kNoMinimum: return "no global minimum is reached from the initial weights";
  }
  return "";
}

SlowPath slow_path(const LinearManifold& manifold, std::vector<Matrix> weights, const std::vector<double>& times,
                   const SlowPathOptions& options) {
  SlowPath path;
  path.weights = std::move(weights);
  path.status = integrate(manifold, path.weights, options, &times, [&](double time, const std::vector<Matrix>& w) {
    path.time.push_back(time);
    path.readings.push_back(manifold.read(w));
    return false;
  });
  // Compare the end with the last reading at or before half of the time.
  for (std::size_t i = path.time.size(); path.status == FlowStatus::kTimeUp && i-- > 0;) {
    if (path.time[i] > path.time.back() / 2) continue;
    if (largest_change(path.readings[i], path.readings.back()) < options.stationary) {
      path.status = FlowStatus::kStationary;
    }
    break;
  }
  return path;
}

SlowPath slow_path_to_end(const LinearManifold& manifold, std::vector<Matrix> weights, const SlowPathOptions& options) {
  SlowPath path;
  path.weights = std::move(weights);
  // Readings at tau, 1.41 tau, 2 tau, ..: the end is compared with the one of half the time.
  std::vector<MinimumReading> seen;
  double due = 0;
  path.status = integrate(manifold, path.weights, options, nullptr, [&](double time, const std::vector<Matrix>& w) {
    if (time < due) return false;
    seen.push_back(manifold.read(w));
    due = time > 0 ? time * std::sqrt(2.0) : 1e-3;
    if (path.time.empty()) {
      path.time.push_back(0);
      path.readings.push_back(seen.back());
    }
    if (seen.size() < 4 || largest_change(seen[seen.size() - 3], seen.back()) > options.stationary) return false;
    path.time.push_back(time);
    path.readings.push_back(seen.back());
    return true;
  });
  return path;
}

Vector flatten(const std::vector<Matrix>& weights) {
  Eigen::Index size = 0;
  for (const Matrix& w : weights) size += w.size();
  Vector parameters(size);
  Eigen::Index offset = 0;
  for (const Matrix& w : weights) {
    parameters.segment(offset, w.size()) = Eigen::Map<const Vector>(w.data(), w.size());
    offset += w.size();
  }
  return parameters;
}

std::vector<Matrix> unflatten(const Vector& parameters, const std::vector<Matrix>& shapes) {
  std::vector<Matrix> weights;
  Eigen::Index offset = 0;
  for (const Matrix& shape : shapes) {
    weights.emplace_back(Eigen::Map<const Matrix>(parameters.data() + offset, shape.rows(), shape.cols()));
    offset += shape.size();
  }
  SHARPSEEK_ASSERT(offset == parameters.size());
  return weights;
}

std::vector<Matrix> linear_shapes(Eigen::Index inputs, Eigen::Index width, Eigen::Index outputs, int depth) {
  std::vector<Matrix> shapes;
  for (int i = 0; i < depth; ++i) {
    shapes.emplace_back(Matrix::Zero(i + 1 == depth ? outputs : width, i == 0 ? inputs : width));
  }
  return shapes;
}

}  // namespace sharpseek
