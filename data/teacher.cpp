#include "data/teacher.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "data/covariance.h"
#include "models/initialisation.h"

namespace sharpseek {
namespace {

std::vector<double> flat(const Matrix& m) { return {m.data(), m.data() + m.size()}; }

/// V [outputs, n] of the kinds that have one matrix; `normals` holds outputs x n standard normals.
Matrix teacher_matrix(const TeacherOptions& options, int n, int outputs, const std::vector<double>& normals) {
  const std::string& kind = options.specification;
  if (kind == "generic" || kind == "tanh") {
    return Eigen::Map<const Matrix>(normals.data(), outputs, n) * (options.scale / std::sqrt(n));
  }
  if (kind.starts_with("file:")) {
    const Matrix v = read_matrix(kind.substr(5));
    require(v.rows() == outputs && v.cols() == n, kind.substr(5), ": a teacher must be ", outputs, " x ", n,
            " (data.outputs x inputs of a sample), is ", v.rows(), " x ", v.cols());
    return v * options.scale;
  }
  const int rank = std::min(outputs, n);
  std::vector<double> diagonal(static_cast<std::size_t>(rank));
  if (kind == "aligned") {
    for (int i = 0; i < rank; ++i) {
      diagonal[static_cast<std::size_t>(i)] = 1.5 * std::pow(0.7 / 1.5, rank > 1 ? double(i) / (rank - 1) : 0.0);
    }
  } else if (kind == "identity") {
    std::ranges::fill(diagonal, 1.0);
  } else {
    require(kind.starts_with("diagonal:"), "data.teacher = ", kind,
            ": must be aligned | identity | generic | tanh | mlp | network | fit | diagonal:a,b,.. | file:V.csv");
    diagonal = parse_numbers("data.teacher", kind.substr(9));
    require(static_cast<int>(diagonal.size()) == rank, "data.teacher = ", kind, ": has ", diagonal.size(),
            " values, needs ", rank);
  }
  Matrix v = Matrix::Zero(outputs, n);
  for (int i = 0; i < rank; ++i) v(i, i) = options.scale * diagonal[static_cast<std::size_t>(i)];
  return v;
}

/// The students' architecture at the teacher's width.
Teacher network_teacher(const TeacherOptions& options, std::uint64_t seed) {
  ModelOptions model = options.network;
  const bool residual = model.kind == "transformer" || model.kind == "residual-mlp";
  (residual ? model.mlp_width : model.width) = options.width;
  Teacher teacher;
  teacher.program = make_model(model);
  teacher.parameters = initial_parameters(teacher.program, {}, seed, 0, Stream::kTeacher);
  const auto& blocks = teacher.program.parameters();
  const auto last = std::find_if(blocks.rbegin(), blocks.rend(), [](const Parameter& block) { return block.scaled; });
  const auto first = teacher.parameters.begin() + last->offset;
  std::for_each(first, first + last->size(), [&](double& w) { w *= options.scale; });
  teacher.linear = model.kind == "linear" && !model.bias;
  if (!teacher.linear) return teacher;
  // V = W_D ... W_1
  teacher.matrix = Matrix::Identity(blocks.front().columns, blocks.front().columns);
  for (const Parameter& block : blocks) {
    const Eigen::Map<const Matrix> weight(teacher.parameters.data() + block.offset, block.rows, block.columns);
    teacher.matrix = Matrix(weight * *teacher.matrix);
  }
  return teacher;
}

}  // namespace

Teacher make_teacher(const TeacherOptions& options, int tokens, int inputs, int outputs, std::uint64_t seed) {
  require(std::isfinite(options.scale) && options.scale > 0, "data.teacher_scale = ", options.scale,
          ": must be finite and above 0");
  require(options.width >= 1, "data.teacher_width = ", options.width, ": must be at least 1");
  if (options.specification == "network") return network_teacher(options, seed);
  const int n = tokens * inputs;
  const bool two_layers = options.specification == "mlp";
  const int width = two_layers ? options.width : outputs;
  std::vector<double> normals(static_cast<std::size_t>(width) * n + (two_layers ? std::size_t(outputs) * width : 0));
  standard_normals(seed, Stream::kTeacher, 0, 0, normals);

  ProgramBuilder program({tokens, inputs});
  const ValueId x = tokens > 1 ? program.flatten(program.input()) : program.input();
  Teacher teacher;
  if (two_layers) {
    const ValueId h = program.tanh(program.linear(x, program.matrix("V_1", width, n)));
    const ValueId y = program.linear(h, program.matrix("V_2", outputs, width));
    for (std::size_t i = 0; i < normals.size(); ++i) {
      normals[i] *= i < std::size_t(width) * n ? 1 / std::sqrt(n) : options.scale / std::sqrt(width);
    }
    teacher.parameters = std::move(normals);
    teacher.program = std::move(program).finish(y);
    return teacher;
  }
  teacher.matrix = teacher_matrix(options, n, outputs, normals);
  teacher.parameters = flat(*teacher.matrix);
  teacher.linear = options.specification != "tanh";
  const ValueId y = program.linear(x, program.matrix("V", outputs, n));
  teacher.program = std::move(program).finish(teacher.linear ? y : program.tanh(y));
  return teacher;
}

}  // namespace sharpseek
