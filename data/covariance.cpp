#include "data/covariance.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "core/text_file.h"

namespace sharpseek {

namespace {

/// What rounding of numbers to float32 (half a unit is 6e-8 of them) may do to symmetry and definiteness: covariances
/// often come from float32 data.
constexpr double kRounding = 1e-6;

double read_number(const std::string& field, const std::string& file, int row, std::size_t column) {
  const std::optional<double> value = parse_double(field);
  if (value && std::isfinite(*value)) return *value;
  const std::string text = trimmed(field);
  const bool separated = text.find_first_of("; \t") != std::string::npos;
  throw UserError(concat(file, ": row ", row, ", column ", column, ": '", text, "' is not a ", value ? "finite " : "",
                         "number", separated ? "; commas separate the numbers of a row" : ""));
}

/// Throws UserError unless m is symmetric up to rounding: of an entry to float32, measured by the standard deviations
/// of its row and column, or of the largest entry to float64.
void require_symmetric(const Matrix& m, const std::string& file) {
  const double least = 1e-12 * m.cwiseAbs().maxCoeff();
  for (Eigen::Index i = 0; i < m.rows(); ++i) {
    for (Eigen::Index j = 0; j < i; ++j) {
      const double difference = std::abs(m(i, j) - m(j, i));
      const double allowed = std::max(least, kRounding * std::sqrt(std::abs(m(i, i) * m(j, j))));
      require(difference <= allowed, file, ": not symmetric: row ", i + 1, ", column ", j + 1, " is ",
              shortest(m(i, j)), ", row ", j + 1, ", column ", i + 1, " is ", shortest(m(j, i)), ": they differ by ",
              difference, ", more than ", allowed);
    }
  }
}

}  // namespace

Matrix read_matrix(const std::string& file) {
  std::vector<std::vector<double>> rows;
  int number = 0;
  for (const std::string& line : split(read_text_file(file), '\n')) {
    ++number;
    if (trimmed(line).empty()) continue;
    std::vector<double> row;
    for (const std::string& field : split(line, ',')) {
      row.push_back(read_number(field, file, number, row.size() + 1));
    }
    require(rows.empty() || rows.front().size() == row.size(), file, ": row ", number, " has ", row.size(),
            " values, the first one has ", rows.empty() ? 0 : rows.front().size());
    rows.push_back(std::move(row));
  }
  require(!rows.empty(), file, ": holds no numbers");
  Matrix matrix(rows.size(), rows.front().size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      matrix(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(c)) = rows[r][c];
    }
  }
  return matrix;
}

Matrix read_covariance(const std::string& file, int size, bool may_be_singular) {
  Matrix m = read_matrix(file);
  require(m.rows() == m.cols(), file, ": a covariance must be square, this is ", m.rows(), " x ", m.cols());
  require(m.rows() == size, file, ": must be ", size, " x ", size, ", is ", m.rows(), " x ", m.cols());
  require_symmetric(m, file);
  m = (m + m.transpose()).eval() / 2;
  const double smallest = Eigen::SelfAdjointEigenSolver<Matrix>(m, Eigen::EigenvaluesOnly).eigenvalues().minCoeff();
  const double scale = m.cwiseAbs().maxCoeff();
  require(smallest > (may_be_singular ? -kRounding : 1e-14) * scale, file, ": not positive ",
          may_be_singular ? "semidefinite" : "definite", ": the smallest eigenvalue is ", smallest,
          ", the largest entry ", scale);
  return m;
}

Matrix diagonal_covariance(const std::string& key, const std::string& specification, int size,
                           const std::string& size_key, bool may_be_singular) {
  const std::vector<double> variances = parse_numbers(key, specification.substr(specification.find(':') + 1));
  require(static_cast<int>(variances.size()) == size, key, " = ", specification, ": has ", variances.size(),
          " variances, ", size_key, " is ", size);
  for (double v : variances) {
    require(may_be_singular ? v >= 0 : v > 0, key, " = ", specification, ": variance ", v, " must ",
            may_be_singular ? "not be below 0" : "be above 0");
  }
  require(*std::max_element(variances.begin(), variances.end()) > 0, key, " = ", specification,
          ": some variance must be above 0");
  return Eigen::Map<const Vector>(variances.data(), size).asDiagonal();
}

Matrix input_covariance(const std::string& specification, int inputs) {
  if (specification == "identity") return Matrix::Identity(inputs, inputs);
  if (specification.starts_with("file:")) return read_covariance(specification.substr(5), inputs);
  require(specification.starts_with("diagonal:"), "data.input_covariance = ", specification,
          ": must be identity | diagonal:a,b,.. | file:M.csv");
  return diagonal_covariance("data.input_covariance", specification, inputs, "data.inputs");
}

Matrix symmetric_square_root(const Matrix& covariance) {
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(covariance);
  if (eigen.eigenvalues().minCoeff() >= 0) return eigen.operatorSqrt();
  // Singular: zeros that rounding made negative.
  const Vector roots = eigen.eigenvalues().cwiseMax(0).cwiseSqrt();
  return eigen.eigenvectors() * roots.asDiagonal() * eigen.eigenvectors().transpose();
}

}  // namespace sharpseek
