#pragma once

#include <cstdint>
#include <vector>

#include "engine/linear_operator.h"

namespace sharpseek {

/// Trace [E] with its errors, float64 on the CPU.
struct TraceEstimate {
  at::Tensor trace;           ///< [E]
  at::Tensor standard_error;  ///< [E]; 0 where exact
  at::Tensor half_width;      ///< [E] of the 95 % interval: Student's t for the number of probes; 0 where exact
  at::Tensor matvecs;         ///< [E] products
};

enum class TraceMethod {
  kHutchinson,  ///< mean of z' A z over Rademacher vectors z; error ~ |A|_F / sqrt(products)
  kHutchPlus,   ///< Hutch++: the part on a sketched range exactly, Hutchinson on the rest; error ~ 1 / products
  kXTrace,      ///< every vector serves both purposes, by leave-one-out; error ~ 1 / products and below Hutch++'s
};

struct TraceOptions {
  TraceMethod method = TraceMethod::kHutchinson;
  std::int64_t products = 64;            ///< of the first estimate
  double relative_error = 0;             ///< stop when standard error <= this x |trace|; 0: do not look
  std::int64_t most = 4096;              ///< products are doubled up to this many
  std::uint64_t seed = 0;                ///< of Stream::kProbe
  std::vector<std::uint64_t> keys = {};  ///< [E]: each replica has probes of its own; empty: they are shared
  at::Tensor known = {};                 ///< [E] float64: added to the trace, without error; undefined: 0
};

/// Estimates the trace without bias. Hutchinson: Commun. Statist. Simula. 18, 1989. Hutch++: Meyer, Musco, Musco and
/// Woodruff, SOSA 2021, a third of the products for each of sketch, range and rest. XTrace: Epperly, Tropp and Webber,
/// SIAM J. Matrix Anal. Appl. 45, 2024, n = products / 2 test vectors; its error is 1.3 times the standard deviation of
/// the n leave-one-out estimates over sqrt(n) (why: trace.cpp). As many products as P give the exact trace by P
/// products instead. With relative_error > 0 products double until each replica is there; a replica keeps its first
/// estimate that was, so that it depends on no other. (Stopping when the error looks small makes it a little too small:
/// coverage is tested.) Throws UserError for products < 4 (Hutchinson: < 2) or relative_error < 0.
TraceEstimate estimate_trace(LinearOperator& op, const TraceOptions& options);

/// Hutchinson's estimator with `probes` >= 2 vectors.
TraceEstimate hutchinson_trace(LinearOperator& op, std::int64_t probes, std::uint64_t seed);

/// Traces of diagonal blocks of these sizes, which lie one after the other and fill P: [E, blocks] in place of [E]. The
/// same random signs serve all blocks (z_b' (A z)_b), so that they cost what one trace by Hutchinson's estimator costs;
/// with as many products as P they are exact. Of the options, products, seed and keys count. Throws UserError.
TraceEstimate block_traces(LinearOperator& op, const std::vector<std::int64_t>& sizes, const TraceOptions& options);

/// The trace by P products with unit vectors; errors 0. NaN where the operator is not finite.
TraceEstimate exact_trace(LinearOperator& op);

/// 97.5 % quantile of Student's t with this many degrees of freedom: what 95 % intervals of a mean use. Hill's
/// expansion (Commun. ACM 13, 1970), better than 1e-3 from 3 degrees on, exact for 1 and 2.
double student_quantile(std::int64_t degrees);

}  // namespace sharpseek
