#include "data/task.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "core/random.h"
#include "data/covariance.h"
#include "data/images.h"

namespace sharpseek {
namespace {

/// data.teacher = fit: made of the data set.
constexpr std::string_view kFitted = "fit";
/// data.teacher = measured: the outputs of the data set themselves.
constexpr std::string_view kMeasuredOutputs = "measured";

/// Rows of standard normals [count, size]: row n is step n of the stream.
Matrix normal_rows(std::uint64_t seed, Stream stream, std::int64_t count, int size) {
  Matrix rows(count, size);
  for (std::int64_t n = 0; n < count; ++n) {
    standard_normals(seed, stream, 0, static_cast<std::uint32_t>(n), std::span(rows.row(n).data(), rows.cols()));
  }
  return rows;
}

/// Each token of each row times Sigma_x^(1/2).
Matrix colour(const Matrix& white, const Task& task) {
  if (task.identity_inputs) return white;
  Matrix rows = white;
  for (Eigen::Index t = 0; t < task.tokens; ++t) {
    rows.middleCols(t * task.inputs, task.inputs) = white.middleCols(t * task.inputs, task.inputs) * task.input_factor;
  }
  return rows;
}

/// Before `what`, of so many numbers, is allocated: `key` says how large it is.
void require_memory(const char* key, std::int64_t value, double numbers, const std::string& what) {
  const double bytes = 8 * numbers;
  const auto memory = static_cast<double>(available_memory());
  require(memory <= 0 || bytes < memory / 2, key, " = ", value, ": ", what, " take ", bytes / 1e9,
          " GB, more than half of the ", memory / 1e9, " GB of memory that are available");
}

void require_room(const char* key, std::int64_t samples, int numbers) {
  require_memory(key, samples, static_cast<double>(samples) * numbers, concat("samples of ", numbers, " numbers"));
}

/// The file of data.dataset.
std::string dataset_file(const TaskOptions& options) {
  require(options.dataset.starts_with("file:"), "data.dataset = ", options.dataset,
          ": must be file:D.csv | digits | idx:DIR");
  return options.dataset.substr(5);
}

/// Images and, one for each class, outputs that are 1 for the image's class and 0 for the others, for every token that
/// has outputs.
Matrix rows_of(const Images& images, const TaskOptions& options) {
  const std::string what = "data.dataset = " + options.dataset;
  const Eigen::Index n = images.pixels.cols();
  require(n == std::int64_t{options.inputs} * options.sequence, what, ": its images have ", n,
          " pixels, which must be data.inputs x data.sequence, ", options.inputs, " x ", options.sequence);
  const int classes = 1 + *std::max_element(images.classes.begin(), images.classes.end());
  const int outputs = options.outputs / options.output_tokens;
  require(classes <= outputs, what, ": has ", classes, " classes, more than data.outputs = ", outputs);
  Matrix rows = Matrix::Zero(images.pixels.rows(), n + options.outputs);
  rows.leftCols(n) = images.pixels;
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const Eigen::Index first = n + images.classes[static_cast<std::size_t>(i)];
    for (Eigen::Index t = 0; t < options.output_tokens; ++t) rows(i, first + t * outputs) = 1;
  }
  return rows;
}

/// Images that training may see: those of digits that are no test images.
std::int64_t training_images(const TaskOptions& options) {
  return count_images(options.dataset) - (options.dataset == "digits" ? options.test : 0);
}

Matrix image_rows(const TaskOptions& options) {
  const std::int64_t most = training_images(options);
  require(most >= 1, "data.test = ", options.test, ": leaves none of the ", count_images(options.dataset),
          " images of data.dataset = ", options.dataset, " to training");
  require(options.samples <= most, "data.samples = ", options.samples, ": data.dataset = ", options.dataset, " has ",
          most, " images", most < count_images(options.dataset) ? " besides those of data.test" : "");
  return rows_of(read_images(options.dataset, options.samples > 0 ? options.samples : most), options);
}

/// The rows of data.dataset: inputs and, if they were measured, outputs.
Matrix dataset_rows(const TaskOptions& options) {
  if (names_images(options.dataset)) return image_rows(options);
  const std::string file = dataset_file(options);
  require(options.samples == 0, "data.samples = ", options.samples, ": must be online with data.dataset");
  return read_matrix(file);
}

/// The linear teacher nearest to the measured outputs, of those the smallest: y - V x has no part that x explains.
void fit_teacher(const Matrix& inputs, const Matrix& outputs, Task& task) {
  task.teacher.matrix = inputs.completeOrthogonalDecomposition().solve(outputs).transpose();
  task.teacher.parameters.assign(task.teacher.matrix->data(),
                                 task.teacher.matrix->data() + task.teacher.matrix->size());
}

/// The user's samples; task has its sizes and teacher.
void read_dataset(const TaskOptions& options, Task& task) {
  const bool images = names_images(options.dataset);
  const std::string file = images ? "data.dataset = " + options.dataset : dataset_file(options);
  require(options.input_covariance == "identity", "data.input_covariance = ", options.input_covariance,
          ": must not be given with data.dataset, which has its own");
  const Matrix rows = dataset_rows(options);
  const int n = task.input_size();
  require(rows.cols() == n || rows.cols() == n + task.outputs, file, ": has ", rows.cols(), " columns, needs ", n,
          " (inputs of a sample), or ", n + task.outputs, " with measured outputs");
  require(rows.rows() >= 2, file, ": has ", rows.rows(), " row; needs at least 2");
  const std::string& teacher = options.teacher.specification;
  const bool measured = teacher == kMeasuredOutputs;
  const bool measured_labels = measured || (rows.cols() > n && task.labels.kind == LabelKind::kSoft);
  require(!measured || rows.cols() > n, "data.teacher = measured: ", file, " has no measured outputs");
  require(!measured || task.labels.kind != LabelKind::kSampled,
          "data.teacher = measured: needs data.labels = values | soft, not sampled");
  task.dataset = rows.leftCols(n);
  if (options.test > 0) {
    const Matrix test = rows_of(read_test_images(options.dataset, options.test), options);
    task.test = test.leftCols(n);
    if (measured_labels) task.test_logits = test.rightCols(task.outputs);
  }
  task.measured = true;
  const Eigen::Map<const Matrix> tokens(task.dataset.data(), rows.rows() * task.tokens, task.inputs);
  task.input_covariance = tokens.transpose() * tokens / static_cast<double>(tokens.rows());
  task.identity_inputs = false;
  task.input_factor = symmetric_square_root(task.input_covariance);
  if (measured_labels) {
    require(measured || teacher == TeacherOptions().specification, "data.teacher = ", teacher,
            ": is not used where data.labels = soft takes the measured outputs of ", file);
    task.logits = rows.rightCols(task.outputs);
    std::fill(task.teacher.parameters.begin(), task.teacher.parameters.end(), 0.0);
    task.teacher.matrix->setZero();
    task.teacher.linear = task.teacher.linear && !measured;  // no matrix gives these labels
    return;
  }
  const bool fit = teacher == kFitted;
  require(!fit || rows.cols() > n, "data.teacher = fit: ", file, " has no measured outputs to fit");
  if (rows.cols() == n || !task.teacher.linear) return;
  if (fit) fit_teacher(task.dataset, rows.rightCols(task.outputs), task);
  if (task.labels.distributions()) return;
  Matrix residuals = rows.rightCols(task.outputs) - task.dataset * task.teacher.matrix->transpose();
  task.residual_mean = residuals.colwise().mean().transpose();
  residuals.rowwise() -= task.residual_mean.transpose();
  const Matrix covariance = residuals.transpose() * residuals / static_cast<double>(rows.rows());
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(covariance);
  const bool singular = eigen.eigenvalues()(0) <= 1e-12 * eigen.eigenvalues()(task.outputs - 1);
  if (singular && images) return;  // outputs of no class; then there is no measured noise
  require(!singular, file, ": the residuals of the measured outputs have a singular covariance (smallest eigenvalue ",
          eigen.eigenvalues()(0), ")");
  task.residuals = residuals * eigen.operatorInverseSqrt();
  const Vector deviation = covariance.diagonal().cwiseSqrt();
  if ((task.residual_mean.cwiseAbs().array() <= 1e-9 * deviation.array()).all()) task.residual_mean.setZero();
}

}  // namespace

Matrix Task::signal() const {
  SHARPSEEK_ASSERT(teacher.matrix.has_value());
  if (!measured || tokens == 1) return colour(*teacher.matrix, *this);
  // The tokens of a data set may depend on each other.
  return *teacher.matrix * symmetric_square_root(dataset.transpose() * dataset / static_cast<double>(dataset.rows()));
}

Matrix teacher_outputs(const Task& task, const Matrix& inputs) {
  if (task.teacher.matrix) {
    const Matrix signal = inputs * task.teacher.matrix->transpose();
    return task.teacher.linear ? signal : Matrix(signal.array().tanh());
  }
  // V2 tanh(V1 x), in parameter order.
  const Eigen::Index width = static_cast<Eigen::Index>(task.teacher.parameters.size()) / (inputs.cols() + task.outputs);
  const double* first = task.teacher.parameters.data();
  const Eigen::Map<const Matrix> in(first, width, inputs.cols());
  const Eigen::Map<const Matrix> out(first + in.size(), task.outputs, width);
  return Matrix((inputs * in.transpose()).array().tanh()) * out.transpose();
}

std::string removed_mean(const Task& task) {
  if (task.residual_mean.size() == 0 || task.residual_mean.isZero(0)) return {};
  std::string values;
  for (double m : task.residual_mean) values += concat(values.empty() ? "" : ", ", m);
  return concat("data.dataset: measured outputs less the teacher's have mean ", values,
                "; label noise has mean zero by definition, so this mean was removed (no network has to learn it)");
}

std::int64_t dataset_size(const TaskOptions& options) {
  if (!names_images(options.dataset)) return read_matrix(dataset_file(options)).rows();
  return options.samples > 0 ? options.samples : training_images(options);
}

Matrix mean_noise_covariance(const Task& task, const Noise& noise) {
  if (noise.heteroscedastic == 0 || task.online()) return noise.covariance;
  Vector squares = Vector::Zero(noise.factor.cols());
  for (Eigen::Index row = 0; row < task.dataset.rows(); ++row) {
    for (Eigen::Index k = 0; k < squares.size(); ++k) {
      const double scale = noise_scale(noise.heteroscedastic, task.dataset(row, 0), static_cast<int>(k));
      squares(k) += scale * scale / static_cast<double>(task.dataset.rows());
    }
  }
  return noise.factor * squares.asDiagonal() * noise.factor.transpose();
}

Task make_task(const TaskOptions& options, std::uint64_t seed) {
  require(options.inputs >= 1, "data.inputs = ", options.inputs, ": must be at least 1");
  require(options.outputs >= 1, "data.outputs = ", options.outputs, ": must be at least 1");
  require(options.sequence >= 1, "data.sequence = ", options.sequence, ": must be at least 1");
  require(options.samples >= 0 && options.samples <= std::numeric_limits<std::uint32_t>::max(),
          "data.samples = ", options.samples, ": must be online or a number from 1 to 4294967295");
  require(options.test >= 0, "data.test = ", options.test, ": must be at least 0");
  require(options.test == 0 || names_images(options.dataset), "data.test = ", options.test,
          ": needs images, data.dataset = digits | idx:DIR");
  // The covariance of the inputs, its root, and what finding that takes.
  require_memory("data.inputs", options.inputs, 4.0 * options.inputs * options.inputs, "covariances of its inputs");
  Task task;
  task.tokens = options.sequence;
  task.inputs = options.inputs;
  task.outputs = options.outputs;
  task.input_covariance = input_covariance(options.input_covariance, options.inputs);
  task.identity_inputs = task.input_covariance.isIdentity(0);
  task.input_factor = symmetric_square_root(task.input_covariance);
  task.labels = make_labels(options.labels, options.outputs, options.output_tokens);
  TeacherOptions teacher = options.teacher;
  if (teacher.specification == kFitted || teacher.specification == kMeasuredOutputs) {
    require(!options.dataset.empty(), "data.teacher = ", teacher.specification,
            ": needs data.dataset with measured outputs");
    teacher.specification = TeacherOptions().specification;  // until the data are there
  }
  task.teacher = make_teacher(teacher, options.sequence, options.inputs, options.outputs, seed);
  task.replacement = options.replacement;
  task.seed = seed;
  if (!options.dataset.empty()) {
    read_dataset(options, task);
    return task;
  }
  require_room("data.samples", options.samples, task.input_size());
  task.dataset = colour(normal_rows(seed, Stream::kDataset, options.samples, task.input_size()), task);
  return task;
}

Matrix evaluation_inputs(const Task& task, std::int64_t count) {
  const int n = task.input_size();
  require(count > n, "measure.samples = ", count, ": must be above the ", n, " inputs of a sample");
  require_room("measure.samples", count, n);
  Matrix x = normal_rows(task.seed, Stream::kEvaluation, count, n);
  x.rowwise() -= x.colwise().mean().eval();
  // Second moment M = R'R / count; x R^-1 sqrt(...) has exactly the identity. Twice, because once leaves rounding of
  // the size of M's condition number.
  for (int pass = 0; pass < 2; ++pass) {
    const Eigen::LLT<Matrix> factor(Matrix(x.transpose() * x / double(count)));
    x = factor.matrixL().solve(x.transpose()).transpose().eval();
  }
  return colour(x, task);
}

}  // namespace sharpseek
