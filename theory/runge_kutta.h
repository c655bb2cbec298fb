#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/matrix.h"

namespace sharpseek {

/// The classical Runge-Kutta method of order 4 with adaptive steps for dy/dt = f(y), t forward. Its error estimate is
/// h/6 |k4 - f(y_new)|, the distance to a companion of order 3 with weights (1, 2, 2, 0, 1)/6 on (k1 .. k4, f(y_new)):
/// four evaluations a step. `settle(y)` is applied to every accepted y: the retraction onto a manifold, or nothing.
template <class Field, class Settle>
class RungeKutta {
 public:
  /// `tolerance`: error of a step relative to |y|.
  RungeKutta(Field field, Settle settle, Vector start, double tolerance)
      : field_(std::move(field)), settle_(std::move(settle)), y_(std::move(start)), tolerance_(tolerance) {
    slope_ = field_(y_);
    step_ = 1e-3 * y_.norm() / std::max(slope_.norm(), 1e-300);
  }

  double time() const { return time_; }
  const Vector& state() const { return y_; }

  /// One accepted step, not beyond `end`.
  void advance(double end) {
    while (true) {
      const bool last = time_ + step_ >= end;
      const double h = last ? end - time_ : step_;
      // k1 is the slope at the end of the step before.
      const Vector k2 = field_(y_ + h / 2 * slope_);
      const Vector k3 = field_(y_ + h / 2 * k2);
      const Vector k4 = field_(y_ + h * k3);
      Vector next = y_ + h / 6 * (slope_ + 2 * k2 + 2 * k3 + k4);
      settle_(next);
      Vector slope = field_(next);
      // The companion of order 3 differs in its last slope only.
      const double error = h / 6 * (k4 - slope).norm() / (tolerance_ * next.norm());
      // The error goes as h^4; 0.9 leaves some room.
      const double factor = std::isfinite(error) ? std::clamp(0.9 * std::pow(error, -0.25), 0.2, 4.0) : 0.2;
      if (error <= 1) {
        time_ = last ? end : time_ + h;
        y_ = std::move(next);
        slope_ = std::move(slope);
        // A step cut short by `end` says nothing about longer ones.
        if (!last || factor < 1) step_ = h * factor;
        return;
      }
      step_ = h * std::min(factor, 0.9);
    }
  }

 private:
  Field field_;
  Settle settle_;
  Vector y_;
  Vector slope_;
  double tolerance_;
  double time_ = 0;
  double step_ = 0;
};

}  // namespace sharpseek
