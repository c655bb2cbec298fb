#include "training/stationarity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace sharpseek {
namespace {

struct Mean {
  double value;
  double standard_error;
};

/// The mean over `batches` equal batches (the remainder is dropped at the front) and its standard error.
Mean batch_mean(std::span<const double> series, int batches) {
  // Batches long enough to be independent tell the error of a correlated series.
  const std::size_t size = series.size() / static_cast<std::size_t>(batches);
  series = series.last(size * static_cast<std::size_t>(batches));
  std::vector<double> means;
  for (std::size_t first = 0; first < series.size(); first += size) {
    const auto batch = series.subspan(first, size);
    means.push_back(std::accumulate(batch.begin(), batch.end(), 0.0) / static_cast<double>(size));
  }
  const double mean = std::accumulate(means.begin(), means.end(), 0.0) / batches;
  double squares = 0;
  for (double m : means) squares += (m - mean) * (m - mean);
  return {mean, std::sqrt(squares / (batches - 1) / batches)};
}

}  // namespace

Stationarity assess_stationarity(std::span<const double> series) {
  const auto window = series.last(series.size() / 2);
  const bool finite = std::all_of(window.begin(), window.end(), [](double x) { return std::isfinite(x); });
  Stationarity result;
  if (window.size() < kStationarityRecords || !finite) {
    // Too short or not finite: not judged, and not stationary.
    result.mean = result.standard_error = result.drift = result.drift_standard_error =
        std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  // The window's mean, and the means of its halves.
  const Mean whole = batch_mean(window, 2 * kStationarityBatches);
  const Mean first = batch_mean(window.first(window.size() / 2), kStationarityBatches);
  const Mean second = batch_mean(window.last(window.size() / 2), kStationarityBatches);
  result.mean = whole.value;
  result.standard_error = whole.standard_error;
  result.drift = second.value - first.value;
  result.drift_standard_error = std::hypot(first.standard_error, second.standard_error);

  // No drift beyond its error, and an error that is small enough to have seen one.
  result.stationary = std::abs(result.drift) <= kStationarityErrors * result.drift_standard_error &&
                      result.drift_standard_error <= kStationarityNoise * std::abs(result.mean);
  return result;
}

}  // namespace sharpseek
