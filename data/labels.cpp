#include "data/labels.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "data/covariance.h"
#include "data/noise.h"

namespace sharpseek {
namespace {

/// Rademacher noise of so many outputs is averaged over all 2^outputs values.
constexpr Eigen::Index kMostExactSigns = 8;

Vector softmax(const Vector& logits) {
  const Vector e = (logits.array() - logits.maxCoeff()).exp();
  return e / e.sum();
}

/// Values of z [outputs], one a column, that stand for its distribution at sample n: each is followed by its negative.
Matrix noise_nodes(const Noise& noise, std::uint64_t seed, Eigen::Index n, Eigen::Index outputs, int count) {
  const bool signs = noise.distribution == NoiseDistribution::kRademacher;
  if (signs && outputs <= kMostExactSigns) {
    Matrix nodes(outputs, Eigen::Index{1} << outputs);
    for (Eigen::Index i = 0; i < nodes.cols() / 2; ++i) {
      for (Eigen::Index o = 0; o < outputs; ++o) nodes(o, 2 * i) = (i >> o & 1) != 0 ? 1 : -1;
      nodes.col(2 * i + 1) = -nodes.col(2 * i);
    }
    return nodes;
  }
  const int pairs = std::max(1, count / 2);
  std::vector<double> z(static_cast<std::size_t>(outputs * pairs));
  standard_normals(seed, Stream::kLabelNodes, 0, static_cast<std::uint32_t>(n), std::span<double>(z));
  Matrix nodes(outputs, 2 * pairs);
  for (Eigen::Index i = 0; i < pairs; ++i) {
    for (Eigen::Index o = 0; o < outputs; ++o) {
      const double value = z[static_cast<std::size_t>(i * outputs + o)];
      nodes(o, 2 * i) = !signs ? value : value < 0 ? -1 : 1;
    }
    nodes.col(2 * i + 1) = -nodes.col(2 * i);
  }
  return nodes;
}

/// F D(x) of data/noise.h.
Matrix factor_at(const Noise& noise, double first) {
  Matrix factor = noise.factor;
  for (Eigen::Index k = 0; k < factor.cols() && noise.heteroscedastic > 0; ++k) {
    factor.col(k) *= noise_scale(noise.heteroscedastic, first, static_cast<int>(k));
  }
  return factor;
}

/// diag(p) - p p' = R R' with R = diag(sqrt p) - p sqrt(p)'.
Matrix class_root(const Vector& p) {
  const Vector root = p.cwiseSqrt();
  return Matrix(root.asDiagonal()) - p * root.transpose();
}

/// Mean and covariance of softmax(logits + factor z) over nodes z, and the squared standard errors of the mean.
struct SoftMoments {
  Vector mean;
  Matrix covariance;
  Vector squared_errors;
};
SoftMoments soft_moments(const Vector& logits, const Matrix& factor, const Matrix& nodes, bool exact) {
  const Eigen::Index outputs = logits.size();
  const Eigen::Index pairs = nodes.cols() / 2;
  Matrix labels(outputs, nodes.cols());
  for (Eigen::Index i = 0; i < nodes.cols(); ++i) labels.col(i) = softmax(logits + factor * nodes.col(i));
  SoftMoments moments;
  moments.squared_errors = Vector::Zero(outputs);
  moments.mean = labels.rowwise().mean();
  const Matrix centred = labels.colwise() - moments.mean;
  moments.covariance = centred * centred.transpose() / static_cast<double>(nodes.cols());
  if (exact || pairs < 2) return moments;
  for (Eigen::Index i = 0; i < pairs; ++i) {
    moments.squared_errors += (0.5 * (centred.col(2 * i) + centred.col(2 * i + 1))).cwiseAbs2();
  }
  moments.squared_errors /= static_cast<double>(pairs * (pairs - 1));
  return moments;
}

}  // namespace

const char* name_of(LabelKind kind) {
  switch (kind) {
    case LabelKind::kValues: return "values";
    case LabelKind::kSampled: return "sampled";
    case LabelKind::kSoft: return "soft";
  }
  return nullptr;
}

const char* definition_of(LabelKind kind) {
  switch (kind) {
    case LabelKind::kValues: return "f*(x) + noise";
    case LabelKind::kSampled:
      return "1 for a class drawn from softmax(f*(x)), 0 for the others, then data.smoothing and data.class_weights";
    case LabelKind::kSoft:
      return "softmax(f*(x) + noise), measured outputs in the place of f*(x) where data.dataset has them, then "
             "data.smoothing and data.class_weights";
  }
  return nullptr;
}

LabelKind label_kind(const std::string& name) {
  for (const LabelKind kind : kLabelKinds) {
    if (name == name_of(kind)) return kind;
  }
  throw UserError(concat("data.labels = ", name, ": must be ", label_names(false), " | ", label_names(true)));
}

std::string label_names(bool distributions) {
  std::string names;
  for (const LabelKind kind : kLabelKinds) {
    if (are_distributions(kind) == distributions) names += (names.empty() ? "" : " | ") + std::string(name_of(kind));
  }
  return names;
}

Labels make_labels(const LabelOptions& options, int all_outputs, int tokens) {
  const int outputs = all_outputs / tokens;
  Labels labels;
  labels.kind = label_kind(options.kind);
  require(options.smoothing >= 0 && options.smoothing < 1, "data.smoothing = ", shortest(options.smoothing),
          ": must be at least 0 and below 1");
  if (!labels.distributions()) {
    require(options.smoothing == 0, "data.smoothing = ", shortest(options.smoothing),
            ": needs data.labels = ", label_names(true), ", which are distributions over the outputs");
    require(options.class_weights.empty(), "data.class_weights = ", options.class_weights,
            ": needs data.labels = ", label_names(true), ", which are distributions over the outputs");
    return labels;
  }
  labels.tokens = tokens;
  require(outputs >= 2, "data.outputs = ", outputs, ": data.labels = ", options.kind, " needs at least 2, one a class");
  Vector weights = Vector::Ones(outputs);
  if (!options.class_weights.empty()) {
    const std::vector<double> given = parse_numbers("data.class_weights", options.class_weights);
    require(given.size() == static_cast<std::size_t>(outputs), "data.class_weights = ", options.class_weights, ": has ",
            given.size(), " values, needs ", outputs, ", one for each output");
    for (const double weight : given) {
      require(std::isfinite(weight) && weight > 0, "data.class_weights = ", options.class_weights,
              ": must be finite and above 0");
    }
    weights = Eigen::Map<const Vector>(given.data(), outputs);
  }
  labels.scale = weights * (1 - options.smoothing);
  labels.offset = weights * (options.smoothing / outputs);
  return labels;
}

int label_nodes(std::int64_t samples) {
  constexpr std::int64_t kNodesOfAll = std::int64_t{1} << 18;
  return static_cast<int>(std::clamp<std::int64_t>(kNodesOfAll / std::max<std::int64_t>(samples, 1), 32, 1024));
}

LabelMoments label_moments(const Labels& labels, const Noise& noise, std::uint64_t seed, const Matrix& inputs,
                           const Matrix& logits, int nodes) {
  SHARPSEEK_ASSERT(labels.distributions() && inputs.rows() == logits.rows());
  const Eigen::Index tokens = labels.tokens;
  const Eigen::Index all = logits.cols();
  const Eigen::Index outputs = all / tokens;
  const Eigen::Index count = logits.rows() * tokens;
  LabelMoments moments{Matrix(logits.rows(), all), Matrix::Zero(logits.rows(), all * all), 0};
  double squared_error = 0;
  // Token t of sample n: its part of the mean, and its block on the diagonal of the root.
  const auto store = [&](Eigen::Index at, const Vector& mean, const Matrix& root) {
    const Eigen::Index n = at / tokens;
    const Eigen::Index first = at % tokens * outputs;
    moments.mean.row(n).segment(first, outputs) = (labels.scale.cwiseProduct(mean) + labels.offset).transpose();
    Eigen::Map<Matrix>(moments.roots.row(n).data(), all, all).block(first, first, outputs, outputs) =
        labels.scale.asDiagonal() * root;
  };
  for (Eigen::Index n = 0; n < count; ++n) {
    const Vector f = logits.row(n / tokens).segment(n % tokens * outputs, outputs).transpose();
    if (labels.kind == LabelKind::kSampled) {
      const Vector p = softmax(f);
      store(n, p, class_root(p));
      continue;
    }
    const bool exact = noise.distribution == NoiseDistribution::kRademacher && outputs <= kMostExactSigns;
    const Matrix factor = factor_at(noise, inputs(n / tokens, 0)).topLeftCorner(outputs, outputs);  // of any token
    const SoftMoments soft = soft_moments(f, factor, noise_nodes(noise, seed, n, outputs, nodes), exact);
    store(n, soft.mean, symmetric_square_root(soft.covariance));
    squared_error += labels.scale.cwiseAbs2().dot(soft.squared_errors);
  }
  moments.standard_error = std::sqrt(squared_error / static_cast<double>(count * outputs));
  return moments;
}

}  // namespace sharpseek
