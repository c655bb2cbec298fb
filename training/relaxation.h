#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace sharpseek {

/// What the mean over the window, the last half of the records, still has to go to where the run is going, as a share
/// of that mean: (limit - mean) / |mean|, with its 95 % interval over seeds. NaN where it cannot be judged.
struct LeftToGo {
  double value = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();

  /// Whether the whole interval lies inside +- share.
  bool within(double share) const { return -share <= low && high <= share; }
};

/// Fewest records.
inline constexpr std::size_t kRelaxationRecords = 40;
/// Longest relaxation time that counts where none is known and none is shown, in lengths of the record.
inline constexpr double kRelaxationHorizon = 0.75;
/// How much slower than theory's slowest relaxation a run may be.
inline constexpr double kRelaxationSlack = 1.25;

/// What is left to go of the series [seed][record] at `time` [record] of replicas that differ in nothing but their
/// seed. `known`: the slowest relaxation time in the unit of `time`; NaN = not known. The model, the estimate and
/// which relaxation times count: analysis/sharpseek/relaxation.py, whose numbers these are; docs/sharpness.md. Cost: 57
/// relaxation times x seeds x records. NaN with no seed, with fewer than kRelaxationRecords, and where a fitted value
/// (after the first quarter) is not finite.
LeftToGo left_to_go(const std::vector<std::vector<double>>& series, std::span<const double> time,
                    double known = std::numeric_limits<double>::quiet_NaN());

/// The relaxation time of a single series, in the unit of `time`, with a 95 % interval.
struct RelaxationTime {
  double value = std::numeric_limits<double>::quiet_NaN();  ///< NaN = no relaxation is seen
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();  ///< infinite = a straight line fits as well
};

/// Least squares of T + A exp(-t / tau) through kRelaxationBlocks block means of the last three quarters of a series,
/// tau from a grid that is 10 % wide. The interval holds every tau whose sum of squares passes the F test against the
/// best; NaN where a constant does so at 0.5 %. One series sees little: the mean over seeds sees more
/// (sharpseek.relaxation).
RelaxationTime relaxation_time(std::span<const double> series, std::span<const double> time);

inline constexpr std::size_t kRelaxationBlocks = 16;

/// The value that Student's t with `degrees` >= 1 degrees of freedom exceeds with probability 0 < level < 1/2; to
/// rounding, from the closed form of the distribution at whole degrees (Abramowitz and Stegun 26.7.3, 26.7.4).
double student_upper_quantile(double level, std::int64_t degrees);

}  // namespace sharpseek
