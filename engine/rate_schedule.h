#pragma once

#include <cstdint>
#include <string>

namespace sharpseek {

/// How the learning rate changes over a run: eta_t = eta x factor(t) at step t = 0, 1, ...
class RateSchedule {
 public:
  /// constant: 1 | linear:F, cosine:F: from 1 at step 0 to F at the last of `steps` | inverse:T: 1 / (1 + t / T).
  /// Throws UserError naming training.schedule.
  explicit RateSchedule(const std::string& specification = "constant", std::int64_t steps = 0);

  /// eta_t / eta.
  double factor(std::int64_t step) const;
  /// Sum of factor^2 over the steps first .. last - 1: rescaled time in units of eta^2 / batch.
  double squared_factors(std::int64_t first, std::int64_t last) const;

  bool constant() const { return kind_ == Kind::kConstant; }
  /// Whether the rate of a step is the same however long the run is.
  bool ignores_length() const { return kind_ == Kind::kConstant || kind_ == Kind::kInverse; }
  /// As it was specified.
  const std::string& text() const { return text_; }

 private:
  enum class Kind { kConstant, kLinear, kCosine, kInverse };

  std::string text_;
  Kind kind_ = Kind::kConstant;
  double parameter_ = 1;    ///< F or T
  std::int64_t steps_ = 0;  ///< of the run; linear and cosine need it
};

}  // namespace sharpseek
