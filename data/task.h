#pragma once

#include <cstdint>
#include <string>

#include "core/matrix.h"
#include "data/labels.h"
#include "data/noise.h"
#include "data/teacher.h"

namespace sharpseek {

/// The [data] section: what a sample is.
struct TaskOptions {
  int inputs = 4;                             ///< features of a token
  int outputs = 3;                            ///< of all tokens of an output
  int output_tokens = 1;                      ///< tokens that have outputs of their own
  int sequence = 1;                           ///< tokens of a sample, independent of each other
  std::string input_covariance = "identity";  ///< of one token: identity | diagonal:a,b,.. | file:M.csv
  TeacherOptions teacher;
  LabelOptions labels;
  std::int64_t samples = 0;  ///< 0: online, every sample is new; N: a finite set of N inputs drawn once
  bool replacement = true;   ///< finite set: drawn with replacement, or by a new random order each epoch
  /// file:D.csv, a row per sample: its inputs, then its measured outputs; digits | idx:DIR, images (data/images.h)
  /// whose measured outputs are 1 for their class and 0 for the others. Replaces samples, which of images takes the
  /// first N.
  std::string dataset;
  /// Images that measurements see instead of those of training: the last N of digits, which training then leaves out;
  /// the first N test images of idx:DIR. 0: they see those of training.
  std::int64_t test = 0;
};

/// y = f*(x) + eps, or what data/labels.h makes of the two, x [tokens, inputs] with independent tokens ~ N(0, Sigma_x).
/// Shared by all replicas of a group; the noise is each replica's own.
struct Task {
  int tokens = 1;
  int inputs = 0;
  int outputs = 0;
  Matrix input_covariance;      ///< Sigma_x [inputs, inputs]; of a data set the second moment, mean over its tokens
  Matrix input_factor;          ///< symmetric square root of Sigma_x
  bool identity_inputs = true;  ///< Sigma_x = I: engines skip the product
  Teacher teacher;
  Matrix dataset;  ///< [N, tokens x inputs] of a finite set; empty when online
  /// [N, outputs] of a data set with measured outputs y and a linear teacher: S^(-1/2) (y_n - V x_n - m), m the mean of
  /// y_n - V x_n and S its covariance, so that these have mean 0 and covariance I exactly; otherwise empty.
  Matrix residuals;
  /// m [outputs]: label noise has mean zero by definition, so that it is removed. 0 where it is rounding.
  Vector residual_mean;
  bool measured = false;  ///< the finite set is the user's; input_covariance is its second moment, where tokens = 1
  bool replacement = true;
  std::uint64_t seed = 0;
  Labels labels;
  /// [N, outputs] of a data set with measured outputs whose labels are soft, or whose teacher is `measured`: these,
  /// which stand for f*; the teacher's matrix is then 0. Otherwise empty.
  Matrix logits;
  Matrix test;         ///< [N, tokens x inputs] of the samples that measurements see instead of `dataset`; may be empty
  Matrix test_logits;  ///< their `logits`

  int input_size() const { return tokens * inputs; }
  bool online() const { return dataset.rows() == 0; }
  /// Whether the second moment of the inputs that training sees is exactly input_covariance.
  bool exact_inputs() const { return online() || measured; }
  /// V M^(1/2) [outputs, n]: the signal as seen by whitened inputs. M is I_tokens kron Sigma_x, or the second moment of
  /// the flattened samples of a data set. Requires teacher.matrix.
  Matrix signal() const;
};

/// f*(x) [count, outputs] of these inputs [count, tokens x inputs], but for `logits`.
Matrix teacher_outputs(const Task& task, const Matrix& inputs);

/// One line that says what mean was removed from the measured noise; empty where there was none.
std::string removed_mean(const Task& task);

/// Samples of data.dataset that training sees. Throws UserError naming the key or file.
std::int64_t dataset_size(const TaskOptions& options);

/// Mean over the task's inputs of the label noise's covariance: noise.covariance, but for noise that depends on the
/// input on a finite set, where as many inputs may not begin with a positive number as with a negative one.
Matrix mean_noise_covariance(const Task& task, const Noise& noise);

/// Throws UserError naming the key. A finite set is drawn from Stream::kDataset (step n = sample n, replica key 0).
Task make_task(const TaskOptions& options, std::uint64_t seed);

/// Inputs [count, tokens x inputs] of the evaluation set: Stream::kEvaluation (step n = sample n), re-whitened so that
/// the mean is zero and the second moment of the flattened sample is exactly I_tokens kron Sigma_x (to rounding).
/// Throws UserError unless count > tokens x inputs.
Matrix evaluation_inputs(const Task& task, std::int64_t count);

}  // namespace sharpseek
