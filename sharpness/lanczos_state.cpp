#include "sharpness/lanczos_state.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "core/random.h"

namespace sharpseek {
namespace {

/// Frugal: products with the basis are kept up to so many bytes.
constexpr std::int64_t kKeptBytes = std::int64_t{512} << 20;

}  // namespace

at::Tensor norms(const at::Tensor& x) { return x.square().sum(-1).sqrt(); }

LanczosState::LanczosState(LinearOperator& matrix, const LanczosOptions& wanted)
    : op(matrix),
      options(wanted),
      sign(wanted.end == SpectrumEnd::kSmallest ? -1.0 : 1.0),
      replicas(matrix.replicas()),
      dimension(matrix.dimension()),
      epsilon(matrix.options().dtype() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                      : double{std::numeric_limits<float>::epsilon()}),
      keeping(wanted.frugal && replicas == 1 &&
              std::max(wanted.basis, 2 * wanted.count + 4) * dimension * matrix.options().dtype().itemsize() <=
                  kKeptBytes),
      panels(replicas, matrix.options()),
      finite(static_cast<std::size_t>(replicas), 1),
      norm(static_cast<std::size_t>(replicas), 0) {}

at::Tensor LanczosState::product(const at::Tensor& x) {
  ++matvecs;
  const at::Tensor w = op.apply(x.unsqueeze(1)).squeeze(1);
  return sign < 0 ? -w : w.contiguous();
}

at::Tensor LanczosState::random(std::uint32_t index) const {
  std::vector<double> normals(static_cast<std::size_t>(dimension));
  standard_normals(options.seed, Stream::kProbe, 0, index, normals);
  return at::tensor(normals, at::kDouble).to(op.options()).repeat({replicas, 1});
}

}  // namespace sharpseek
