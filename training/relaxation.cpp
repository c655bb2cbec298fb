#include "training/relaxation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>
#include <span>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

/// One-sided levels of the intervals over seeds, and at which a line through the records shows a relaxation.
constexpr double kLevel = 0.025;
constexpr double kShown = 0.0025;
/// Share of the records that is left out at the front.
constexpr double kFirst = 0.25;
/// Relaxation times that are tried, in lengths of the record: 1/16 to 16, the last one a straight line in all but name.
constexpr std::size_t kTimes = 57;

/// Fewest seeds whose spread is the error, and blocks of records that stand in for seeds where there are fewer.
constexpr std::size_t kFewestSeeds = 4;
constexpr std::size_t kBlocks = 12;

double tried_time(std::size_t i) { return std::exp2(-4 + 8 * static_cast<double>(i) / (kTimes - 1)); }

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Without their mean; twice, because what rounding leaves of it is not small against the square of a slow wave.
std::vector<double> centred(std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  for (int again = 0; again < 2; ++again) {
    const double center = mean(result);
    for (double& value : result) value -= center;
  }
  return result;
}

std::size_t first_fitted(std::size_t records) {
  return static_cast<std::size_t>(std::ceil(kFirst * static_cast<double>(records)));
}

/// Weights of the fitted records.
struct Weights {
  std::vector<double> left;      ///< of what is left to go
  std::vector<double> residual;  ///< of what the fit leaves along the change that another relaxation time makes
};

/// At relaxation time tau; t from 0 to 1.
Weights weights(std::span<const double> t, double tau) {
  const std::size_t first = first_fitted(t.size());
  // exp(-t / tau) and its derivative by log tau.
  std::vector<double> wave;
  for (double at : t) wave.push_back(std::exp(-at / tau));
  // Its mean over the window is 1, so that its coefficient is mean - limit.
  const double scale = mean(std::span(wave).last(t.size() / 2));
  std::vector<double> change;
  for (std::size_t i = 0; i < t.size(); ++i) {
    wave[i] /= scale;
    change.push_back(t[i] / tau * wave[i]);  // d/d(log tau)
  }

  // Of the fitted records only, with the constant and then the wave itself projected out.
  wave = centred(std::span(wave).subspan(first));
  change = centred(std::span(change).subspan(first));
  const double square = dot(wave, wave);
  for (int again = 0; again < 2; ++again) {
    const double share = dot(change, wave) / square;
    for (std::size_t i = 0; i < wave.size(); ++i) change[i] -= share * wave[i];
  }

  // As weights: minus the coefficient of the wave, and a unit vector along the rest.
  const double norm = std::sqrt(dot(change, change));
  for (std::size_t i = 0; i < wave.size(); ++i) {
    wave[i] /= -square;
    change[i] /= norm;
  }
  return {wave, change};
}

struct Interval {
  double value;
  double low;
  double high;
};

/// Squares of what each block of records adds to a weighted sum beyond the fit of `wave`, over blocks and seeds.
double squares_in_time(const std::vector<std::vector<double>>& use, std::span<const double> weight,
                       std::span<const double> wave) {
  double squares = 0;
  for (const std::vector<double>& series : use) {
    // What the fit leaves of this seed.
    const std::vector<double> own = centred(series);
    const double share = dot(own, wave) / dot(wave, wave);
    for (std::size_t b = 0; b < kBlocks; ++b) {
      double sum = 0;
      for (std::size_t i = b * own.size() / kBlocks; i < (b + 1) * own.size() / kBlocks; ++i)
        sum += (own[i] - share * wave[i]) * weight[i];
      squares += sum * sum;
    }
  }
  return squares;
}

/// Mean over seeds of a weighted sum of records use [seed][record] with Student's interval at a one-sided level.
/// `wave`: what is fitted where errors come from time.
Interval interval(const std::vector<std::vector<double>>& use, std::span<const double> weight,
                  std::span<const double> wave, double level) {
  std::vector<double> values;
  values.reserve(use.size());
  for (const std::vector<double>& own : use) values.push_back(dot(own, weight));
  const double center = mean(values);

  // The spread over seeds is the error, or that over blocks of records where there are too few seeds.
  const auto seeds = static_cast<double>(use.size());
  double error = 0;
  auto degrees = static_cast<std::int64_t>(use.size()) - 1;
  if (use.size() >= kFewestSeeds) {
    double squares = 0;
    for (double value : values) squares += (value - center) * (value - center);
    error = std::sqrt(squares / (seeds - 1)) / std::sqrt(seeds);
  } else {
    // Constant and wave cost two degrees of freedom of each series.
    degrees = static_cast<std::int64_t>(use.size() * (kBlocks - 2));
    error = std::sqrt(squares_in_time(use, weight, wave) * kBlocks / (kBlocks - 2)) / seeds;
  }
  const double half = student_upper_quantile(level, degrees) * error;
  return {center, center - half, center + half};
}

/// Times from 0 to 1.
std::vector<double> stretched(std::span<const double> time) {
  std::vector<double> t;
  for (double at : time) t.push_back((at - time.front()) / (time.back() - time.front()));
  return t;
}

/// Index of the smallest |residual| among those that are chosen.
std::size_t best(const std::vector<Interval>& residual, const std::array<bool, kTimes>& chosen) {
  std::size_t found = kTimes;
  for (std::size_t i = 0; i < kTimes; ++i) {
    if (chosen[i] && (found == kTimes || std::abs(residual[i].value) < std::abs(residual[found].value))) found = i;
  }
  return found;
}

/// The relaxation times that the data allow: the residual has 0 in its interval, or changes sign there.
std::array<bool, kTimes> allowed_times(const std::vector<Interval>& residual) {
  std::array<bool, kTimes> allowed{};
  for (std::size_t i = 0; i < kTimes; ++i) {
    if (residual[i].low <= 0 && residual[i].high >= 0) allowed[i] = true;
    if (i + 1 < kTimes && residual[i].value * residual[i + 1].value <= 0) allowed[i] = allowed[i + 1] = true;
  }
  // Where none is, the best one is all that can be said.
  if (std::none_of(allowed.begin(), allowed.end(), [](bool one) { return one; })) {
    std::array<bool, kTimes> all{};
    all.fill(true);
    allowed[best(residual, all)] = true;
  }
  return allowed;
}

/// Weights of the fitted records for half of the drift: the mean over the window's second half less that over its
/// first.
std::vector<double> half_drift(std::size_t records) {
  std::vector<double> weight(records - first_fitted(records), 0.0);
  const std::size_t window = records / 2;
  const std::size_t half = window / 2;
  for (std::size_t i = 0; i < half; ++i) {
    // From the end of the window, and from its beginning.
    weight[weight.size() - 1 - i] += 0.5 / static_cast<double>(half);
    weight[weight.size() - window + i] -= 0.5 / static_cast<double>(half);
  }
  return weight;
}

/// Sum of squares that T + A exp(-t / tau) leaves of `values` at times t; of T alone where tau is 0.
double remaining_squares(std::span<const double> values, std::span<const double> t, double tau) {
  const std::vector<double> y = centred(values);
  if (tau == 0) return dot(y, y);
  std::vector<double> wave;
  for (double at : t) wave.push_back(std::exp(-at / tau));
  wave = centred(wave);
  // The least squares fit of A, then what is left.
  const double slope = dot(y, wave) / dot(wave, wave);
  double squares = 0;
  for (std::size_t i = 0; i < y.size(); ++i) squares += (y[i] - slope * wave[i]) * (y[i] - slope * wave[i]);
  return squares;
}

}  // namespace

LeftToGo left_to_go(const std::vector<std::vector<double>>& series, std::span<const double> time, double known) {
  const std::size_t records = time.size();
  if (series.empty() || records < kRelaxationRecords) return {};
  const std::size_t first = first_fitted(records);
  for (const std::vector<double>& own : series) {
    SHARPSEEK_ASSERT(own.size() == records);
    if (!std::all_of(own.begin() + static_cast<std::ptrdiff_t>(first), own.end(),
                     [](double x) { return std::isfinite(x); }))
      return {};
  }

  // What is fitted, in units of the mean over the window.
  double size = 0;
  for (const std::vector<double>& own : series) size += mean(std::span(own).last(records / 2));
  size = std::abs(size / static_cast<double>(series.size()));
  std::vector<std::vector<double>> use;
  for (const std::vector<double>& own : series) {
    use.emplace_back(own.begin() + static_cast<std::ptrdiff_t>(first), own.end());
    for (double& value : use.back()) value /= size;
  }

  // What is left, and what the fit leaves, at every relaxation time.
  const std::vector<double> t = stretched(time);
  std::vector<Interval> left;
  std::vector<Interval> residual;
  Weights at;
  for (std::size_t i = 0; i < kTimes; ++i) {
    at = weights(t, tried_time(i));
    left.push_back(interval(use, at.left, at.left, kLevel));
    residual.push_back(interval(use, at.residual, at.left, kLevel));
  }
  const Interval line = interval(use, at.left, at.left, kShown);
  const bool shown = line.low > 0 || line.high < 0;

  // The relaxation times that count.
  const bool theory = std::isfinite(known);
  const double longest = theory ? kRelaxationSlack * known / (time.back() - time.front()) : kRelaxationHorizon;
  std::array<bool, kTimes> counts{};
  for (std::size_t i = 0; i < kTimes; ++i) counts[i] = tried_time(i) <= std::max(longest, tried_time(0));
  if (shown) {
    const std::array<bool, kTimes> allowed = allowed_times(residual);
    std::array<bool, kTimes> both{};
    for (std::size_t i = 0; i < kTimes; ++i) both[i] = allowed[i] && counts[i];
    // Data that contradict theory are believed.
    counts = theory && std::any_of(both.begin(), both.end(), [](bool one) { return one; }) ? both : allowed;
  }

  // The value at the best of them, and the hull with half of the drift.
  const Interval half = interval(use, half_drift(records), at.left, kLevel);
  LeftToGo result{.value = 0, .low = half.low, .high = half.high};
  for (std::size_t i = 0; i < kTimes; ++i) {
    if (!counts[i]) continue;
    result.value = left[i].value;
    result.low = std::min(result.low, left[i].low);
    result.high = std::max(result.high, left[i].high);
  }
  if (shown) result.value = left[best(residual, counts)].value;
  return result;
}

RelaxationTime relaxation_time(std::span<const double> series, std::span<const double> time) {
  if (series.size() < kRelaxationRecords) return {};
  const std::size_t size = (series.size() - first_fitted(series.size())) / kRelaxationBlocks;
  const std::span<const double> fitted = series.last(size * kRelaxationBlocks);
  if (!std::all_of(fitted.begin(), fitted.end(), [](double x) { return std::isfinite(x); })) return {};
  const std::vector<double> t = stretched(time);
  std::vector<double> values;
  std::vector<double> at;

  // Means over blocks, whose errors are nearly independent.
  for (std::size_t b = 0; b < kRelaxationBlocks; ++b) {
    values.push_back(mean(fitted.subspan(b * size, size)));
    at.push_back(mean(std::span(t).last(fitted.size()).subspan(b * size, size)));
  }

  // The best relaxation time, and how much worse a rival may be: an F test of one parameter.
  std::array<double, kTimes> squares{};
  for (std::size_t i = 0; i < kTimes; ++i) squares[i] = remaining_squares(values, at, tried_time(i));
  const std::size_t found =
      static_cast<std::size_t>(std::min_element(squares.begin(), squares.end()) - squares.begin());
  constexpr std::int64_t kDegrees = static_cast<std::int64_t>(kRelaxationBlocks) - 3;
  const auto passes = [&](double rival, double level) {
    const double quantile = student_upper_quantile(level, kDegrees);
    return rival <= squares[found] * (1 + quantile * quantile / kDegrees);
  };
  // A constant that fits as well means that no relaxation is shown.
  if (passes(remaining_squares(values, at, 0), kShown)) return {};

  const double length = time.back() - time.front();
  const auto in_time = [&](std::size_t i) {
    return i + 1 < kTimes ? length * tried_time(i) : std::numeric_limits<double>::infinity();
  };
  // One more on each side: the grid may be wider than the interval.
  std::size_t shortest = found;
  std::size_t longest = found;
  for (std::size_t i = 0; i < kTimes; ++i) {
    if (!passes(squares[i], kLevel)) continue;
    shortest = std::min(shortest, i);
    longest = std::max(longest, i);
  }
  return {in_time(found), in_time(shortest > 0 ? shortest - 1 : 0), in_time(std::min(longest + 1, kTimes - 1))};
}

double student_upper_quantile(double level, std::int64_t degrees) {
  SHARPSEEK_ASSERT(level > 0 && level < 0.5 && degrees >= 1);
  // P(|t| < sqrt(degrees) tan(angle)) is a finite sum of powers of the cosine.
  const auto inside = [degrees](double angle) {
    const double c = std::cos(angle);
    const bool odd = degrees % 2 == 1;
    double term = odd ? c : 1;
    double sum = degrees == 1 ? 0 : term;
    for (std::int64_t k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
      term *= c * c * static_cast<double>(k - 1) / static_cast<double>(k);
      sum += term;
    }
    return odd ? 2 / std::numbers::pi * (angle + std::sin(angle) * sum) : std::sin(angle) * sum;
  };
  // Bisection: the probability grows with the angle.
  double low = 0;
  double high = std::numbers::pi / 2;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (inside(middle) < 1 - 2 * level ? low : high) = middle;
  }
  return std::sqrt(static_cast<double>(degrees)) * std::tan(low);
}

}  // namespace sharpseek
