#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

namespace sharpseek {

/// Has the Python package write DIR/report.html of what has finished while the rest of a reproduction trains.
class InterimReport {
 public:
  explicit InterimReport(std::string directory) : directory_(std::move(directory)) {}
  /// Stops one that is being written.
  ~InterimReport();
  InterimReport(const InterimReport&) = delete;
  InterimReport& operator=(const InterimReport&) = delete;

  /// Begins a report, unless one is being written, one could not be written, or the last took more than a tenth of the
  /// time since then. Returns whether the first has just been finished.
  bool offer();

 private:
  /// Takes notice of a report that has ended; returns whether it was written.
  bool collect();

  std::string directory_;
  pid_t child_ = 0;  ///< 0: none is being written
  bool told_ = false, failed_ = false;
  double began_ = 0, ended_ = 0;  ///< seconds of a steady clock
};

}  // namespace sharpseek
