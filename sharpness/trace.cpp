#include "sharpness/trace.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace sharpseek {

TraceEstimate hutchinson_trace(LinearOperator& op, std::int64_t probes, std::uint64_t seed) {
  require(probes >= 2, "trace: probes ", probes, " must be at least 2, to have a standard error");
  const std::int64_t dimension = op.dimension();
  std::vector<at::Tensor> samples;
  std::vector<std::uint32_t> bits(static_cast<std::size_t>((dimension + 31) / 32));
  std::vector<double> signs(static_cast<std::size_t>(dimension));
  for (std::int64_t probe = 0; probe < probes; ++probe) {
    random_words(seed, Stream::kProbe, 1, static_cast<std::uint32_t>(probe), bits);
    for (std::size_t i = 0; i < signs.size(); ++i) signs[i] = ((bits[i / 32] >> (i % 32)) & 1u) != 0 ? 1.0 : -1.0;
    const at::Tensor z = at::tensor(signs, at::kDouble).to(op.options()).expand({op.replicas(), 1, dimension});
    samples.push_back((op.apply(z.contiguous()) * z).to(at::kDouble).sum({1, 2}).to(at::kCPU));
  }
  const at::Tensor table = at::stack(samples);  // [probes, E]
  return {table.mean(0), table.std(0, /*unbiased=*/true) / std::sqrt(static_cast<double>(probes))};
}

TraceEstimate exact_trace(LinearOperator& op) {
  constexpr std::int64_t kVectors = 64;
  const std::int64_t dimension = op.dimension();
  const at::Tensor identity = at::eye(dimension, op.options());
  at::Tensor trace = at::zeros({op.replicas()}, at::kDouble);
  for (std::int64_t first = 0; first < dimension; first += kVectors) {
    const at::Tensor units =
        identity.narrow(0, first, std::min(kVectors, dimension - first)).unsqueeze(0).repeat({op.replicas(), 1, 1});
    trace += (op.apply(units) * units).to(at::kDouble).sum({1, 2}).to(at::kCPU);
  }
  return {trace, at::zeros_like(trace)};
}

}  // namespace sharpseek
