#pragma once

#include "sharpness/linear_operator.h"

namespace sharpseek {

/// Trace [E] with its standard error [E] (0 where exact), float64 on the CPU.
struct TraceEstimate {
  at::Tensor trace;
  at::Tensor standard_error;
};

/// Hutchinson's estimator with `probes` >= 2 Rademacher vectors (Stream::kProbe of `seed`, shared by replicas): the
/// mean of z' A z, unbiased; its standard error is the sample standard deviation over probes / sqrt(probes). Cost:
/// `probes` products. (Hutchinson, Commun. Statist. Simula. 18, 1989.) Throws UserError for fewer than 2 probes.
TraceEstimate hutchinson_trace(LinearOperator& op, std::int64_t probes, std::uint64_t seed);

/// The trace by P products with unit vectors; standard error 0. NaN where the operator is not finite.
TraceEstimate exact_trace(LinearOperator& op);

}  // namespace sharpseek
