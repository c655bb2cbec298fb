#pragma once

#include <span>

namespace sharpseek {

/// The last half of a recorded series, judged.
struct Stationarity {
  bool stationary = false;  ///< see assess_stationarity
  double mean = 0;          ///< over the window
  double standard_error =
      0;             ///< of the mean, from batch means; counts correlation in time, not differences between seeds
  double drift = 0;  ///< mean of the window's second half minus its first half's
  double drift_standard_error = 0;
};

/// Fewest records in the window for a verdict.
inline constexpr int kStationarityRecords = 20;
/// Batches in each half of the window.
inline constexpr int kStationarityBatches = 5;
/// Largest |drift| in standard errors.
inline constexpr double kStationarityErrors = 3.5;
/// Largest standard error of the drift, as a share of |mean|.
inline constexpr double kStationarityNoise = 0.1;

/// The window is the last half of `series`. It is stationary if the means of its two halves differ by no more than
/// kStationarityErrors standard errors *and* that standard error is no larger than kStationarityNoise of the mean.
/// Standard errors come from the means of kStationarityBatches equal batches in each half, which absorb correlation
/// shorter than a batch. The second rule refuses runs so noisy that the first one sees nothing. What a single series is
/// too noisy to show, the mean over seeds shows: whoever has several asks how far they have to go as well
/// (training/relaxation.h). A window shorter than
/// kStationarityRecords, or one that holds a value that is not finite, is not stationary. False-alarm and miss rates on
/// synthetic series: tests/training/stationarity_test.cpp.
Stationarity assess_stationarity(std::span<const double> series);

}  // namespace sharpseek
