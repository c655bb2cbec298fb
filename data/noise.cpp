#include "data/noise.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "data/covariance.h"

namespace sharpseek {
namespace {

/// A Haar-distributed rotation: Q of the QR decomposition of a Gaussian matrix with R's diagonal made positive
/// (Mezzadri, "How to generate random matrices from the classical compact groups", 2007).
Matrix random_rotation(int size, std::uint64_t seed) {
  std::vector<double> normals(static_cast<std::size_t>(size) * size);
  standard_normals(seed, Stream::kRotation, 0, 0, normals);
  const Matrix gaussian = Eigen::Map<const Matrix>(normals.data(), size, size);
  const Eigen::HouseholderQR<Matrix> qr(gaussian);
  Matrix q = qr.householderQ();
  for (int i = 0; i < size; ++i) {
    if (qr.matrixQR()(i, i) < 0) q.col(i) *= -1;
  }
  return q;
}

/// What M'M may differ from the identity by: rounding to float32, which is undone, and to float64, which is not.
constexpr double kRotationError = 1e-6;
constexpr double kExactRotation = 1e-12;

/// The orthogonal matrix that differs least from m (the orthogonal factor of its polar decomposition).
Matrix nearest_rotation(const Matrix& m) {
  const Eigen::JacobiSVD<Matrix> svd(m, Eigen::ComputeFullU | Eigen::ComputeFullV);
  return svd.matrixU() * svd.matrixV().transpose();
}

constexpr std::string_view kTurned = "teacher:";

/// Directions, of which the first and the last are turned by an angle in their plane, the first towards the last.
Matrix turned(const Matrix& directions, double degrees) {
  const double angle = degrees * std::numbers::pi / 180;
  Matrix result = directions;
  result.col(0) = std::cos(angle) * directions.col(0) + std::sin(angle) * directions.rightCols(1);
  result.rightCols(1) = std::cos(angle) * directions.rightCols(1) - std::sin(angle) * directions.col(0);
  return result;
}

Matrix noise_directions(const std::string& rotation, int outputs, const Matrix* signal, std::uint64_t seed) {
  if (rotation == "axes") return Matrix::Identity(outputs, outputs);
  if (rotation == "random") return random_rotation(outputs, seed);
  if (rotation.starts_with("file:")) {
    const std::string file = rotation.substr(5);
    const Matrix m = read_matrix(file);
    require(m.rows() == outputs && m.cols() == outputs, file, ": a rotation must be ", outputs, " x ", outputs, ", is ",
            m.rows(), " x ", m.cols());
    const double error = (m.transpose() * m - Matrix::Identity(outputs, outputs)).cwiseAbs().maxCoeff();
    require(error < kRotationError, file, ": not orthogonal: M'M differs from the identity by ", error, ", more than ",
            kRotationError);
    return error < kExactRotation ? m : nearest_rotation(m);
  }
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const double angle =
      rotation.starts_with(kTurned) ? parse_double(rotation.substr(kTurned.size())).value_or(kNone) : kNone;
  require(rotation == "teacher" || rotation == "teacher-reversed" || std::isfinite(angle),
          "noise.rotation = ", rotation,
          ": must be axes | teacher | teacher-reversed | teacher:DEGREES | random | file:M.csv");
  require(signal != nullptr, "noise.rotation = ", rotation,
          ": needs a teacher with one matrix, not data.teacher = mlp or a data set's measured outputs as labels");
  const Eigen::JacobiSVD<Matrix> svd(*signal, Eigen::ComputeFullU);
  if (rotation == "teacher") return svd.matrixU();
  if (std::isfinite(angle)) return turned(svd.matrixU(), angle);
  return svd.matrixU().rowwise().reverse();
}

/// K of the profile groups:K; nothing for the geometric one.
std::optional<int> large_variances(const std::string& profile, int outputs) {
  if (profile == "geometric") return std::nullopt;
  constexpr std::string_view kGroups = "groups:";
  const std::optional<double> count =
      profile.starts_with(kGroups) ? parse_double(profile.substr(kGroups.size())) : std::nullopt;
  require(count && *count == std::floor(*count) && *count >= 1 && *count <= outputs, "noise.profile = ", profile,
          ": must be geometric | groups:K, K from 1 to the ", outputs, " outputs");
  return static_cast<int>(*count);
}

/// I_tokens kron m.
Matrix for_each_token(const Matrix& m, int tokens) {
  if (tokens == 1) return m;
  Matrix whole = Matrix::Zero(tokens * m.rows(), tokens * m.cols());
  for (int t = 0; t < tokens; ++t) whole.block(t * m.rows(), t * m.cols(), m.rows(), m.cols()) = m;
  return whole;
}

}  // namespace

Vector noise_variances(const NoiseOptions& options, int outputs) {
  const auto& [total, condition] = std::pair(options.total, options.condition);
  require(std::isfinite(total) && total >= 0, "noise.total = ", total, ": must be finite and at least 0");
  require(std::isfinite(condition) && condition >= 1, "noise.condition = ", shortest(condition),
          ": must be finite and at least 1 (largest over smallest variance)");
  require(outputs > 1 || condition == 1, "noise.condition = ", condition, ": must be 1 when there is one output");
  require(options.normalise == "total" || options.normalise == "largest", "noise.normalise = ", options.normalise,
          ": must be total | largest");
  const std::optional<int> large = large_variances(options.profile, outputs);
  Vector variances(outputs);
  for (int o = 0; o < outputs; ++o) {
    const double place = large ? (o < outputs - *large ? 0 : 1) : outputs > 1 ? double(o) / (outputs - 1) : 0;
    variances(o) = std::pow(condition, place);
  }
  return variances * (total / (options.normalise == "total" ? variances.sum() : variances.maxCoeff()));
}

Noise make_noise(const NoiseOptions& options, int outputs, const Matrix* signal, std::uint64_t seed) {
  SHARPSEEK_ASSERT(outputs % options.tokens == 0);
  const int own = outputs / options.tokens;  // outputs of a token
  require(options.tokens == 1 || (options.heteroscedastic == 0 && !options.rotation.starts_with("teacher")),
          "model.readout = tokens: every token has the same noise, which noise.heteroscedastic = ",
          shortest(options.heteroscedastic), " with noise.rotation = ", options.rotation,
          " is not; must be 0 and a rotation other than the teacher's");
  Noise noise;
  if (options.distribution == "rademacher") {
    noise.distribution = NoiseDistribution::kRademacher;
  } else if (options.distribution == "measured") {
    noise.distribution = NoiseDistribution::kMeasured;
  } else {
    require(options.distribution == "gaussian", "noise.distribution = ", options.distribution,
            ": must be gaussian | rademacher | measured");
  }
  require(options.redraw == "fresh" || options.redraw == "fixed", "noise.redraw = ", options.redraw,
          ": must be fresh | fixed");
  noise.fixed = options.redraw == "fixed";
  require(options.heteroscedastic >= 0 && options.heteroscedastic <= 1,
          "noise.heteroscedastic = ", shortest(options.heteroscedastic), ": must be from 0 to 1");
  noise.heteroscedastic = options.heteroscedastic;
  if (!options.covariance.empty()) {
    const bool diagonal = options.covariance.starts_with("diagonal:");
    require(diagonal || options.covariance.starts_with("file:"), "noise.covariance = ", options.covariance,
            ": must be diagonal:a,b,.. | file:S.csv");
    const Eigen::SelfAdjointEigenSolver<Matrix> eigen(
        diagonal ? diagonal_covariance("noise.covariance", options.covariance, own, "data.outputs",
                                       /*may_be_singular=*/true)
                 : read_covariance(options.covariance.substr(5), own, /*may_be_singular=*/true));
    noise.factor = eigen.eigenvectors() * eigen.eigenvalues().cwiseMax(0).cwiseSqrt().asDiagonal();
  } else {
    const Vector variances = noise_variances(options, own);
    noise.factor = noise_directions(options.rotation, own, signal, seed) * variances.cwiseSqrt().asDiagonal();
  }
  noise.factor = for_each_token(noise.factor, options.tokens);
  noise.covariance = noise.factor * noise.factor.transpose();
  if (noise.distribution == NoiseDistribution::kMeasured) noise.factor = symmetric_square_root(noise.covariance);
  return noise;
}

}  // namespace sharpseek
