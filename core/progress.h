#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sharpseek {

/// Shows how far long work is.
class Progress {
 public:
  virtual ~Progress() = default;
  /// `done` of the total.
  virtual void update(std::int64_t done) = 0;
  /// Ends the display.
  virtual void finish() = 0;
};

/// Starts a display headed by `what`, of `total` units called `unit`.
using ProgressDisplay =
    std::function<std::unique_ptr<Progress>(const std::string& what, std::int64_t total, const std::string& unit)>;

/// Shows nothing.
std::unique_ptr<Progress> no_progress(const std::string& what, std::int64_t total, const std::string& unit);

}  // namespace sharpseek
