#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sharpseek {

/// "12.3 s", "4 min 05 s", "3 h 20 min".
std::string duration_text(double seconds);
/// A number of things a second with its prefix: "3.2 ", "160.4 k", "1.20 M".
std::string rate_text(double rate);

/// Shows how far long work is, on standard error: a bar with rate and time left on a terminal, a plain line every ten
/// seconds otherwise, nothing when quiet. NO_COLOR in the environment turns colour off.
class Progress {
 public:
  /// `what` heads the line; `total` units of `unit` make 100 %.
  Progress(std::string what, std::int64_t total, std::string unit, bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::int64_t done);
  /// Ends the display with a line that states the time taken.
  void finish();

 private:
  void draw(std::int64_t done, bool last);

  std::string what_;
  std::int64_t total_;
  std::string unit_;
  bool quiet_;
  bool terminal_;
  bool colour_;
  bool finished_ = false;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace sharpseek
