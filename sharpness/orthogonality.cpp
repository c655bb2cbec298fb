#include "sharpness/orthogonality.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace sharpseek {

OrthogonalityEstimate::OrthogonalityEstimate(double epsilon) : epsilon_(epsilon) {}

bool OrthogonalityEstimate::lost(double alpha, double beta) {
  const std::size_t j = alpha_.size();
  const double last = j > 0 ? beta_.back() : 0;
  norm_ = std::max(norm_, std::abs(alpha) + beta + last);
  const double rounding = epsilon_ * norm_;

  // beta_j w(j+1,k) = beta_k w(j,k+1) + (alpha_k - alpha_j) w(j,k) + beta_(k-1) w(j,k-1) - beta_(j-1) w(j-1,k)
  std::vector<double> next(j + 1, rounding / beta);
  double worst = 0;
  for (std::size_t k = 0; k + 1 < j; ++k) {
    double sum = beta_[k] * now_[k + 1] + (alpha_[k] - alpha) * now_[k] - last * before_[k];
    if (k > 0) sum += beta_[k - 1] * now_[k - 1];
    next[k] = (sum + std::copysign(2 * rounding, sum)) / beta;
    worst = std::max(worst, std::abs(next[k]));
    if (!std::isfinite(next[k])) worst = next[k];
  }
  alpha_.push_back(alpha);
  beta_.push_back(beta);
  before_ = std::exchange(now_, std::move(next));
  return next_ || !(worst <= std::sqrt(epsilon_) / 3);
}

void OrthogonalityEstimate::restored(double beta) {
  // The recurrence reaches two vectors back, so that the next one is treated alike (Simon).
  next_ = !next_;
  beta_.back() = beta;
  std::fill(now_.begin(), now_.end(), epsilon_);
}

}  // namespace sharpseek
