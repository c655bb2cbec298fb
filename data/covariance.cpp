#include "data/covariance.h"

#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"

namespace sharpseek {

Matrix read_matrix(const std::string& file) {
  std::ifstream in(file);
  require(in.good(), file, ": cannot be read");
  std::vector<std::vector<double>> rows;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (trimmed(line).empty()) continue;
    std::vector<double> row;
    for (const std::string& field : split(line, ',')) {
      const std::optional<double> value = parse_double(field);
      require(value.has_value(), file, ": row ", number, ", column ", row.size() + 1, ": '", trimmed(field),
              "' is not a number");
      require(std::isfinite(*value), file, ": row ", number, ", column ", row.size() + 1, ": ", *value,
              " is not finite");
      row.push_back(*value);
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
  const double scale = m.cwiseAbs().maxCoeff();
  for (Eigen::Index i = 0; i < m.rows(); ++i) {
    for (Eigen::Index j = 0; j < i; ++j) {
      require(std::abs(m(i, j) - m(j, i)) <= 1e-12 * scale, file, ": not symmetric: row ", i + 1, ", column ", j + 1,
              " is ", m(i, j), ", row ", j + 1, ", column ", i + 1, " is ", m(j, i));
    }
  }
  m = (m + m.transpose()).eval() / 2;
  const double smallest = Eigen::SelfAdjointEigenSolver<Matrix>(m, Eigen::EigenvaluesOnly).eigenvalues().minCoeff();
  require(smallest > (may_be_singular ? -1e-14 : 1e-14) * scale, file, ": not positive ",
          may_be_singular ? "semidefinite" : "definite", ": the smallest eigenvalue is ", smallest);
  return m;
}

Matrix input_covariance(const std::string& specification, int inputs) {
  if (specification == "identity") return Matrix::Identity(inputs, inputs);
  if (specification.starts_with("file:")) return read_covariance(specification.substr(5), inputs);
  require(specification.starts_with("diagonal:"), "data.input_covariance = ", specification,
          ": must be identity | diagonal:a,b,.. | file:M.csv");
  const std::vector<double> variances = parse_numbers("data.input_covariance", specification.substr(9));
  require(static_cast<int>(variances.size()) == inputs, "data.input_covariance = ", specification, ": has ",
          variances.size(), " variances, data.inputs is ", inputs);
  for (double v : variances) {
    require(v > 0, "data.input_covariance = ", specification, ": variance ", v, " must be above 0");
  }
  return Eigen::Map<const Vector>(variances.data(), inputs).asDiagonal();
}

Matrix symmetric_square_root(const Matrix& covariance) {
  return Eigen::SelfAdjointEigenSolver<Matrix>(covariance).operatorSqrt();
}

}  // namespace sharpseek
