#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace sharpseek {

/// What a run has recorded so far, variable by variable [replica, time].
class RecordedSeries {
 public:
  virtual ~RecordedSeries() = default;
  /// Records so far.
  virtual std::int64_t records() const = 0;
  virtual bool has_series(std::string_view variable) const = 0;
  /// Calls visit(replica, series [records()]) for every replica of a variable [replica, time].
  virtual void for_each_series(
      const std::string& variable,
      const std::function<void(std::size_t replica, std::span<const double> series)>& visit) = 0;
};

}  // namespace sharpseek
