#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/interruption.h"
#include "engine/linear_operator.h"

namespace sharpseek {

/// What became of one replica's eigenvalues.
enum class SpectrumStatus : std::int32_t {
  kConverged = 0,     ///< every residual is within the tolerance
  kNotConverged = 1,  ///< the step limit or an interruption came first; the residuals say how far
  kNotFinite = 2,     ///< the operator returned NaN or infinity; the values are NaN
};

/// Which end of the spectrum.
enum class SpectrumEnd { kLargest, kSmallest };

struct LanczosOptions {
  std::int64_t count = 5;                   ///< k: eigenvalues wanted, 1 <= k <= P
  SpectrumEnd end = SpectrumEnd::kLargest;  ///< algebraically largest, or smallest (most negative)
  double tolerance = 1e-5;                  ///< of residual / largest |Ritz value|; float32 reaches 3e-7
  std::int64_t steps = 300;                 ///< most Lanczos steps of one pass
  std::int64_t basis = 64;                  ///< vectors held before a thick restart; at least 2 x wanted + 4
  std::uint64_t seed = 0;                   ///< start vectors come from Stream::kProbe of this seed
  bool vectors = false;                     ///< return eigenvectors
  bool multiplicities = true;               ///< prove with further passes that no copy of a wanted value is missing
  /// Reorthogonalisation where it is needed alone (sharpness/orthogonality.h), a look at every step of a large matrix,
  /// and residuals from kept products with the basis, up to 512 MiB of them, which one product confirms: cheaper, with
  /// other rounding. For one replica, best on the CPU; results of runs do without, so that their bits stay.
  bool frugal = false;
  at::Tensor start;  ///< warm start: [E, any, P], vectors near the wanted ones, such as those of the previous weights
  /// Tracking: [E, any, P], the wanted vectors of a nearby matrix, such as that of the record before. They are improved
  /// instead of found anew; those that are missing, not finite or dependent are random at first. Undefined: no
  /// tracking.
  at::Tensor previous = {};
  Interruption interrupted = never_interrupted;  ///< asked at each step: whether to return what there is
};

/// Eigenvalues of E replicas. All tensors float64 on the CPU but `vectors`.
struct Spectrum {
  at::Tensor values;         ///< [E, k], from the wanted end inwards
  at::Tensor residuals;      ///< [E, k] |A y - lambda y| / |y| by products of the operator, not the recurrence's bound
  at::Tensor vectors;        ///< [E, k, P] unit eigenvectors, the operator's options; undefined unless asked for
  std::int64_t matvecs = 0;  ///< products per replica
  std::vector<SpectrumStatus> status;  ///< [E]
};

/// The k eigenvalues at an end of the spectrum by thick-restart Lanczos (Wu and Simon, SIAM J. Matrix Anal. Appl. 22,
/// 2000) with full reorthogonalisation (two passes of one product each with the whole basis; Parlett,
/// The Symmetric Eigenvalue Problem, ch. 13) on all replicas at once. Every few steps, and only then, numbers come to
/// the host: the projected problems are solved in float64, and a replica whose wanted pairs all have |beta_m s_mi| <=
/// tolerance x largest |Ritz value| is done: its result depends on no other replica. When an invariant subspace is
/// exhausted (beta at O(eps)|A|) the recurrence continues from a fresh orthogonal vector with beta = 0.
///
/// A Krylov space holds one vector of each eigenspace, so that a repeated eigenvalue (deep linear nets have them) shows
/// once. Therefore converged pairs are locked, and further passes run orthogonally to them until a pass finds nothing
/// beyond the k-th value: then the k values are the right ones, multiplicities included. Cost: products of the first
/// pass, and a shorter pass for each repetition and for the proof. Memory: (basis + 1 + wanted) vectors of P.
///
/// With `previous` the first pass is another one: generalised Davidson without preconditioner (Morgan and Scott, SIAM
/// J. Sci. Stat. Comput. 7, 1986), which begins in the space of the given vectors and at each step adds the largest
/// residual of the wanted Ritz pairs. Its products with the basis give the products with the vectors found, so that
/// their residuals cost nothing. Copies are looked for as always.
///
/// Interrupted, it returns the best pairs so far with their true residuals (k products more), as not converged: copies
/// may be missing.
///
/// Throws UserError for k < 1 or k > P. Not converging is a status.
Spectrum lanczos(LinearOperator& op, const LanczosOptions& options);

}  // namespace sharpseek
