#pragma once

#include <vector>

namespace sharpseek {

/// How far Lanczos vectors may have lost their orthogonality, without a look at them: the recurrence of their overlaps
/// (Simon, Math. Comp. 42, 1984). While none passes a third of sqrt(eps), the projected matrix is right to rounding,
/// and the three-term recurrence is enough; two vectors in a row are then made orthogonal to all earlier ones. For a
/// tridiagonal projected matrix: not after a thick restart.
class OrthogonalityEstimate {
 public:
  /// `epsilon` of the vectors' type.
  explicit OrthogonalityEstimate(double epsilon);

  /// Step j gave alpha_j and beta_j: whether vector j + 1 needs the earlier ones subtracted.
  bool lost(double alpha, double beta);
  /// They were; this is left of beta_j.
  void restored(double beta);

 private:
  double epsilon_;
  double norm_ = 0;    ///< of the projected matrix, about
  bool next_ = false;  ///< the next vector follows one that was made orthogonal alone
  std::vector<double> alpha_;
  std::vector<double> beta_;
  std::vector<double> before_;  ///< overlaps of vector j with 0..j - 1
  std::vector<double> now_;     ///< of vector j + 1 with 0..j
};

}  // namespace sharpseek
