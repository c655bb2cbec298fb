#include "sharpness/population.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "data/labels.h"

namespace sharpseek {
namespace {

Matrix matrix_of(const at::Tensor& rows) {
  const at::Tensor dense = rows.flatten(1).to(at::kCPU, at::kDouble).contiguous();
  return Eigen::Map<const Matrix>(dense.const_data_ptr<double>(), dense.size(0), dense.size(1));
}

at::Tensor tensor_of(const Matrix& matrix, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<double*>(matrix.data()), sizes, at::kDouble).clone();
}

/// Whether labels drawn with either noise have the same moments.
bool same(const Noise& a, const Noise& b) {
  return a.factor == b.factor && a.distribution == b.distribution && a.heteroscedastic == b.heteroscedastic;
}

}  // namespace

Population population(const TrainingProblem& problem, const Samples& clean, std::uint64_t seed, int nodes) {
  const at::TensorOptions options = clean.targets.options();
  const Labels& labels = problem.task->labels;
  if (!labels.distributions()) return {clean, noise_factors(problem.noise, options), {}};

  // Moments of each noise, computed once; of sampled labels, which have none, once for all replicas.
  const Matrix inputs = matrix_of(clean.inputs);
  const Matrix logits = matrix_of(clean.targets);
  const std::int64_t count = logits.rows();
  const std::int64_t outputs = logits.cols();
  const std::size_t distinct = labels.kind == LabelKind::kSampled ? 1 : problem.noise.size();
  std::vector<at::Tensor> means, roots;
  std::vector<double> errors;
  for (std::size_t e = 0; e < distinct; ++e) {
    const auto end = problem.noise.begin() + static_cast<std::ptrdiff_t>(e);
    const auto known = std::find_if(problem.noise.begin(), end, [&](const Noise& other) { return same(other, *end); });
    if (known != end) {
      const auto at = static_cast<std::size_t>(known - problem.noise.begin());
      means.push_back(means[at]);
      roots.push_back(roots[at]);
      errors.push_back(errors[at]);
      continue;
    }
    const LabelMoments moments = label_moments(labels, problem.noise[e], seed, inputs, logits, nodes);
    means.push_back(tensor_of(moments.mean, {count, outputs}));
    roots.push_back(tensor_of(moments.roots, {count, outputs, outputs}));
    errors.push_back(moments.standard_error);
  }

  // Labels that were drawn once do not vary.
  std::vector<double> varies;
  for (const Noise& noise : problem.noise) varies.push_back(noise.fixed ? 0 : 1);
  at::Tensor own = at::stack(roots);
  const bool none = std::count(varies.begin(), varies.end(), 1.0) == 0;
  const bool all = std::count(varies.begin(), varies.end(), 0.0) == 0;
  if (!all) own = own * at::tensor(varies, at::kDouble).view({-1, 1, 1, 1});
  // Means of sampled labels are shared by all replicas; others are each replica's own.
  Population result{{clean.inputs, distinct == 1 ? means.front() : at::stack(means), problem.loss}, {}, {}};
  result.samples.targets = result.samples.targets.to(options);
  if (!none) result.noise.own = own.to(options);
  if (labels.kind == LabelKind::kSoft) result.standard_error = at::tensor(errors, at::kDouble);
  return result;
}

}  // namespace sharpseek
