#include "data/labels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "data/batch.h"
#include "data/csv_file.h"
#include "data/noise.h"
#include "data/task.h"

namespace sharpseek {
namespace {

std::string refusal(const LabelOptions& options, int outputs = 3) {
  try {
    make_labels(options, outputs);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

Vector softmax(const Vector& f) {
  const Vector e = f.array().exp();
  return e / e.sum();
}

TEST(Labels, RefuseWhatMeansNothing) {
  EXPECT_EQ(refusal({.kind = "hard"}), "data.labels = hard: must be values | sampled | soft");
  EXPECT_EQ(refusal({.kind = "soft", .smoothing = 1}), "data.smoothing = 1: must be at least 0 and below 1");
  EXPECT_EQ(refusal({.kind = "soft", .smoothing = -0.5}), "data.smoothing = -0.5: must be at least 0 and below 1");
  EXPECT_EQ(refusal({.kind = "sampled", .class_weights = "1,2"}),
            "data.class_weights = 1,2: has 2 values, needs 3, one for each output");
  EXPECT_EQ(refusal({.kind = "sampled", .class_weights = "1,0,2"}),
            "data.class_weights = 1,0,2: must be finite and above 0");
  EXPECT_EQ(refusal({.kind = "sampled", .class_weights = "1,x,2"}), "data.class_weights: 'x' is not a finite number");
  EXPECT_EQ(refusal({.kind = "values", .smoothing = 0.1}),
            "data.smoothing = 0.1: needs data.labels = sampled | soft, which are distributions over the outputs");
  EXPECT_EQ(refusal({.kind = "values", .class_weights = "1,1,1"}),
            "data.class_weights = 1,1,1: needs data.labels = sampled | soft, which are distributions over the outputs");
  EXPECT_EQ(refusal({.kind = "sampled"}, 1), "data.outputs = 1: data.labels = sampled needs at least 2, one a class");
}

TEST(Labels, SampledClassesAreAsFrequentAsSoftmaxSays) {
  const std::vector<double> logits{0.3, -1.2, 2.0, -40.0};
  const Labels labels = make_labels({.kind = "sampled"}, 4);
  constexpr std::uint32_t kDraws = 200000;
  std::vector<double> counts(4);
  for (std::uint32_t step = 0; step < kDraws / 4; ++step) {
    std::uint32_t words[4];
    random_words(3, Stream::kLabels, 5, step, words);
    for (const std::uint32_t word : words) {
      std::vector<double> y{label_uniform<double>(word), 0, 0, 0};
      label_samples<double>(labels, 4, logits, y);
      EXPECT_EQ(std::accumulate(y.begin(), y.end(), 0.0), 1);
      for (std::size_t c = 0; c < 4; ++c) counts[c] += y[c];
    }
  }
  const Vector p = softmax(Eigen::Map<const Vector>(logits.data(), 4));
  for (Eigen::Index c = 0; c < 4; ++c) {
    const double deviation = std::sqrt(kDraws * p(c) * (1 - p(c)));
    EXPECT_NEAR(counts[static_cast<std::size_t>(c)], kDraws * p(c), 4 * deviation) << c;
  }
}

TEST(Labels, AnImpossibleClassIsNeverDrawnWhateverTheWord) {
  const Labels labels = make_labels({.kind = "sampled"}, 3);
  for (const auto& logits : {std::vector<float>{-1e4f, 1e4f, -1e4f}, {1e4f, -1e4f, -1e4f}, {-1e4f, -1e4f, 1e4f}}) {
    for (const std::uint32_t word : {0u, 1u, 1u << 31, 0xffffffffu}) {
      std::vector<float> y{label_uniform<float>(word), 0, 0};
      EXPECT_TRUE(y[0] > 0 && y[0] < 1);
      label_samples<float>(labels, 3, logits, y);
      for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(y[c], logits[c] > 0 ? 1 : 0);
    }
  }
}

TEST(Labels, SmoothingAndWeightsChangeEveryLabelAlike) {
  const Labels labels = make_labels({.kind = "soft", .smoothing = 0.25, .class_weights = "2,1,4"}, 3);
  const std::vector<double> logits{0.5, -1, 2};
  std::vector<double> y{0.1, 0.7, -0.3};
  const Vector p = softmax(Vector{{0.6, -0.3, 1.7}});
  label_samples<double>(labels, 3, logits, y);
  const double weights[] = {2, 1, 4};
  for (Eigen::Index c = 0; c < 3; ++c) {
    EXPECT_NEAR(y[static_cast<std::size_t>(c)], weights[c] * (0.75 * p(c) + 0.25 / 3), 1e-15);
  }
}

/// Two tokens of two classes each, all labels that they can have together with their probabilities.
struct JointLabels {
  Vector mean = Vector::Zero(4);
  Matrix second = Matrix::Zero(4, 4);
  void add(const Vector& first, const Vector& last, double probability) {
    Vector y(4);
    y << first, last;
    mean += probability * y;
    second += probability * y * y.transpose();
  }
};

TEST(Labels, OfTokensAreDrawnIndependentlyOfEachOther) {
  const Matrix logits{{0.4, -0.9, 1.3, 0.2}};
  const auto own = [](const Vector& y) { return Vector{{3 * (0.75 * y(0) + 0.125), 0.5 * (0.75 * y(1) + 0.125)}}; };
  for (const char* kind : {"sampled", "soft"}) {
    const Labels labels = make_labels({.kind = kind, .smoothing = 0.25, .class_weights = "3,0.5"}, 4, 2);
    NoiseOptions options;
    options.total = 2.5;
    options.condition = 4;
    options.distribution = "rademacher";
    options.tokens = 2;
    const Noise noise = make_noise(options, 4, nullptr, 1);
    JointLabels exact;
    if (labels.kind == LabelKind::kSampled) {
      const Vector p = softmax(logits.row(0).head(2)), q = softmax(logits.row(0).tail(2));
      for (int a = 0; a < 2; ++a) {
        for (int b = 0; b < 2; ++b) exact.add(own(Vector::Unit(2, a)), own(Vector::Unit(2, b)), p(a) * q(b));
      }
    } else {
      for (int signs = 0; signs < 16; ++signs) {
        Vector f = logits.row(0).transpose();
        const double deviations[] = {std::sqrt(0.5), std::sqrt(2), std::sqrt(0.5), std::sqrt(2)};
        for (int o = 0; o < 4; ++o) f(o) += ((signs >> o & 1) != 0 ? 1 : -1) * deviations[o];
        exact.add(own(softmax(f.head(2))), own(softmax(f.tail(2))), 1.0 / 16);
      }
    }
    const LabelMoments found = label_moments(labels, noise, 1, Matrix::Ones(1, 3), logits, 2);
    const Vector mean = found.mean.row(0).transpose();
    const Matrix root = Eigen::Map<const Matrix>(found.roots.row(0).data(), 4, 4);
    EXPECT_LT((mean - exact.mean).cwiseAbs().maxCoeff(), 1e-14) << kind;
    EXPECT_LT((root * root.transpose() + mean * mean.transpose() - exact.second).cwiseAbs().maxCoeff(), 1e-14) << kind;
  }
}

/// Mean and second moment E y y' of given labels.
struct Moments {
  Vector mean = Vector::Zero(3);
  Matrix second = Matrix::Zero(3, 3);
  void add(const Vector& y, double probability) {
    mean += probability * y;
    second += probability * y * y.transpose();
  }
};

void expect_moments(const LabelMoments& found, Eigen::Index n, const Moments& exact, double tolerance) {
  const Vector mean = found.mean.row(n).transpose();
  const Matrix root = Eigen::Map<const Matrix>(found.roots.row(n).data(), 3, 3);
  EXPECT_LT((mean - exact.mean).cwiseAbs().maxCoeff(), tolerance);
  EXPECT_LT((root * root.transpose() + mean * mean.transpose() - exact.second).cwiseAbs().maxCoeff(), tolerance);
}

TEST(LabelMoments, OfSampledLabelsEqualTheSumOverClasses) {
  const Labels labels = make_labels({.kind = "sampled", .smoothing = 0.2, .class_weights = "2,1,0.5"}, 3);
  const Matrix logits{{0.3, -1, 2}, {0, 0, 0}, {30, -30, 0}};
  const LabelMoments found = label_moments(labels, {}, 1, Matrix::Ones(3, 2), logits, 2);
  EXPECT_EQ(found.standard_error, 0);
  for (Eigen::Index n = 0; n < 3; ++n) {
    const Vector p = softmax(logits.row(n).transpose());
    Moments exact;
    for (Eigen::Index c = 0; c < 3; ++c) {
      Vector y = Vector::Constant(3, 0.2 / 3);
      y(c) += 0.8;
      exact.add(y.cwiseProduct(Vector{{2, 1, 0.5}}), p(c));
    }
    expect_moments(found, n, exact, 1e-14);
  }
}

TEST(LabelMoments, OfSoftLabelsWithSignsEqualTheSumOverSigns) {
  const Labels labels = make_labels({.kind = "soft", .smoothing = 0.1, .class_weights = "1,3,1"}, 3);
  Noise noise = make_noise({.condition = 5, .rotation = "random", .distribution = "rademacher"}, 3, nullptr, 1);
  noise.heteroscedastic = 0.6;
  const Matrix logits{{0.3, -1, 2}, {0, 1, 0}};
  const Matrix inputs{{-1, 4}, {2, 5}};
  const LabelMoments found = label_moments(labels, noise, 1, inputs, logits, 2);
  EXPECT_EQ(found.standard_error, 0);
  for (Eigen::Index n = 0; n < 2; ++n) {
    Moments exact;
    for (int signs = 0; signs < 8; ++signs) {
      Vector z(3);
      for (int k = 0; k < 3; ++k) {
        const double variance = 1 + 0.6 * (inputs(n, 0) < 0 ? -1 : 1) * (k % 2 == 0 ? 1 : -1);
        z(k) = (signs >> k & 1 ? 1 : -1) * std::sqrt(variance);
      }
      const Vector p = softmax(logits.row(n).transpose() + noise.factor * z);
      exact.add((0.9 * p.array() + 0.1 / 3).matrix().cwiseProduct(Vector{{1, 3, 1}}), 1.0 / 8);
    }
    expect_moments(found, n, exact, 1e-13);
  }
}

TEST(LabelMoments, OfSoftLabelsWithGaussianNoiseAreOffByTheirStandardError) {
  // Of two classes only the difference of the logits counts: one integral, by the trapezoidal rule.
  const Labels labels = make_labels({.kind = "soft"}, 2);
  const Noise noise = make_noise({.total = 4, .condition = 3}, 2, nullptr, 1);
  Matrix logits(400, 2);
  for (Eigen::Index n = 0; n < 400; ++n) logits.row(n) << std::sin(static_cast<double>(n)), 0.3;
  const LabelMoments found = label_moments(labels, noise, 1, Matrix::Ones(400, 1), logits, 200);
  double squares = 0;
  for (Eigen::Index n = 0; n < 400; ++n) {
    double mean = 0;
    for (int i = -4000; i <= 4000; ++i) {
      const double z = 0.002 * i;
      const double density = std::exp(-z * z / 2) / std::sqrt(2 * 3.14159265358979323846) * 0.002;
      mean += density / (1 + std::exp(-(logits(n, 0) - logits(n, 1) + 2 * z)));
    }
    squares += std::pow(found.mean(n, 0) - mean, 2);
  }
  EXPECT_GT(found.standard_error, 0);
  EXPECT_NEAR(std::sqrt(squares / 400) / found.standard_error, 1, 0.15);
}

TEST(Task, SoftLabelsOfADataSetTakeItsMeasuredOutputs) {
  const CsvFile file("0.1,0.2,1,0,0\n-1,0.5,0,1,0\n2,1,0,0,1\n");
  TaskOptions options;
  options.inputs = 2;
  options.dataset = "file:" + file.path();
  options.labels.kind = "soft";
  const Task task = make_task(options, 1);
  EXPECT_EQ(task.logits, Matrix::Identity(3, 3));
  EXPECT_EQ(teacher_outputs(task, task.dataset), Matrix::Zero(3, 3));
  options.teacher.specification = "generic";
  EXPECT_THROW(make_task(options, 1), UserError);
  options.labels.kind = "sampled";
  EXPECT_EQ(make_task(options, 1).logits.rows(), 0);
}

TEST(Teacher, OutputsAreThoseOfItsFormula) {
  TaskOptions options;
  options.teacher = {.specification = "mlp", .width = 2};
  options.inputs = 3;
  options.outputs = 2;
  const Task task = make_task(options, 5);
  const std::vector<double>& w = task.teacher.parameters;
  const Matrix x{{0.3, -1, 2}};
  const Matrix f = teacher_outputs(task, x);
  for (std::size_t o = 0; o < 2; ++o) {
    double sum = 0;
    for (std::size_t h = 0; h < 2; ++h) {
      sum += w[6 + 2 * o + h] * std::tanh(w[3 * h] * 0.3 - w[3 * h + 1] + w[3 * h + 2] * 2);
    }
    EXPECT_NEAR(f(0, static_cast<Eigen::Index>(o)), sum, 1e-14);
  }
}

}  // namespace
}  // namespace sharpseek
