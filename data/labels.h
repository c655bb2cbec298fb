#pragma once

#include <cstdint>
#include <string>

#include "core/matrix.h"
#include "data/label_kind.h"

namespace sharpseek {

/// The data.labels, data.smoothing and data.class_weights keys.
struct LabelOptions {
  std::string kind = "values";     ///< values | sampled | soft
  double smoothing = 0;            ///< s
  std::string class_weights = {};  ///< "w1,w2,..", one for each output; empty: all 1
};

/// What the labels y [outputs] of a sample are, f* being the teacher's outputs.
///  - values: y = f* + eps, eps the label noise (data/noise.h)
///  - sampled: 1 for a class that is drawn from softmax(f*), 0 for the others; the noise's covariance is not used
///  - soft: softmax(f* + eps); of a data set with measured outputs these stand for f*
/// The last two are distributions over the outputs: y_c <- w_c ((1 - s) y_c + s / outputs) with the smoothing s and the
/// class weights w. They are drawn at every use, or once (noise.redraw = fixed). Where every token has outputs of its
/// own (model.readout = tokens), all this is one token's: labels of a sample's tokens are drawn independently.
struct Labels {
  LabelKind kind = LabelKind::kValues;
  Vector scale;    ///< [outputs of a token] w_c (1 - s); empty for values
  Vector offset;   ///< [outputs of a token] w_c s / outputs; empty for values
  int tokens = 1;  ///< of an output, each of which has its distribution; values: 1

  bool distributions() const { return are_distributions(kind); }
};

/// "values", "sampled", "soft".
const char* name_of(LabelKind kind);

/// The kind of this name. Throws UserError naming data.labels.
LabelKind label_kind(const std::string& name);

/// "sampled | soft", the names of those that are distributions, or those of the others.
std::string label_names(bool distributions);

/// One line for result files.
const char* definition_of(LabelKind kind);

/// Of this many outputs of all tokens. Throws UserError naming the key.
Labels make_labels(const LabelOptions& options, int outputs, int tokens = 1);

struct Noise;
struct Task;

/// Moments of the labels of N samples, given their inputs: what remains when the labels are integrated out.
struct LabelMoments {
  Matrix mean;                ///< [N, outputs] q_n = E y
  Matrix roots;               ///< [N, outputs x outputs] L_n with Cov y = L_n L_n'
  double standard_error = 0;  ///< of an element of `mean`, root mean square over samples and outputs; 0: exact
};

/// Nodes that the noise of soft labels is averaged over for each of N samples: the fewer the more samples there are, as
/// their errors are independent.
int label_nodes(std::int64_t samples);

/// Of labels that are distributions. Sampled ones: exact. Soft ones: the mean over `nodes` values of the noise that
/// belong to the sample for good, in pairs z and -z: Stream::kLabelNodes of `seed`, replica key 0, sample n = step n;
/// Rademacher noise of up to 8 outputs over all its values, exactly. `logits` [N, outputs] are f*, `inputs` [N, n].
/// Token t of sample n is treated as sample n x tokens + t: its noise does not depend on the other tokens'.
LabelMoments label_moments(const Labels& labels, const Noise& noise, std::uint64_t seed, const Matrix& inputs,
                           const Matrix& logits, int nodes);

}  // namespace sharpseek
