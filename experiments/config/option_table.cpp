#include "experiments/config/option_table.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/kernels/loss_traits.h"
#include "engine/kernels/optimizer_traits.h"
#include "models/model.h"
#include "models/op.h"

namespace sharpseek {
namespace {

constexpr auto kText = OptionType::kText;
constexpr auto kNumber = OptionType::kNumber;
constexpr auto kInteger = OptionType::kInteger;
constexpr auto kBoolean = OptionType::kBoolean;
constexpr auto kSingle = SweepKind::kSingle;
constexpr auto kReplica = SweepKind::kReplica;
constexpr auto kGroup = SweepKind::kGroup;

constexpr std::array kOptions{
    ConfigOption{"experiment.name", kText, "run", kSingle, "name of the experiment"},
    ConfigOption{"experiment.title", kText, "", kSingle, "one line for the report"},
    ConfigOption{"experiment.claims", kText, "", kSingle, "claims that it bears on: C1,C2,.."},
    ConfigOption{"experiment.seed", kInteger, "1", kSingle, "base of all random numbers"},
    ConfigOption{"experiment.replicas", kInteger, "8", kSingle, "seeds per sweep point"},
    ConfigOption{"experiment.zip", kText, "", kSingle,
                 "KEY,KEY,..: swept keys whose values are taken together, not in all combinations; several such lists "
                 "are separated by blanks"},
    ConfigOption{"experiment.from", kText, "", kSingle,
                 "NAME[@STEP] | DIR[@STEP]: start from the weights of another run, at its end or at a recorded step"},
    ConfigOption{"data.inputs", kInteger, "4", kGroup, "features of a token"},
    ConfigOption{"data.outputs", kInteger, "3", kGroup, "outputs, of each token where all are read out"},
    ConfigOption{"data.sequence", kInteger, "1", kGroup, "tokens of a sample"},
    ConfigOption{"data.input_covariance", kText, "identity", kGroup, "identity | diagonal:a,b,.. | file:M.csv"},
    ConfigOption{"data.teacher", kText, "aligned", kGroup,
                 "aligned | identity | generic | tanh | mlp | network (of the model's architecture) | diagonal:a,b,.. "
                 "| file:V.csv | "
                 "fit (least squares on data.dataset) | measured (the outputs of data.dataset)"},
    ConfigOption{"data.teacher_scale", kNumber, "1", kGroup, "s: scales the teacher"},
    ConfigOption{"data.teacher_width", kInteger, "8", kGroup, "hidden features of the mlp and network teachers"},
    ConfigOption{"data.samples", kText, "online", kGroup,
                 "online | N inputs drawn once, or the first N images of data.dataset"},
    ConfigOption{"data.replacement", kBoolean, "true", kGroup,
                 "finite set: draw with replacement, or in a new random order each epoch"},
    ConfigOption{"data.dataset", kText, "", kGroup,
                 "file:D.csv: a row per sample, its inputs, then its measured outputs | digits | idx:DIR: images"},
    ConfigOption{"data.test", kInteger, "0", kGroup,
                 "images held out, on which is measured: the last N of digits, the first N of idx:DIR's t10k files; "
                 "0 = on those of training"},
    ConfigOption{
        "data.labels", kText, "values", kGroup,
        "values | sampled | soft: teacher plus noise; a class from softmax(teacher); softmax(teacher plus noise), "
        "or of a data set's measured outputs plus noise; one for each token that is read out"},
    ConfigOption{"data.smoothing", kNumber, "0", kGroup,
                 "s in [0, 1): sampled and soft labels y <- (1 - s) y + s / outputs"},
    ConfigOption{"data.class_weights", kText, "", kGroup,
                 "w1,w2,..: sampled and soft labels y_c <- w_c y_c, one for each output; empty = all 1"},
    ConfigOption{"noise.total", kNumber, "3", kReplica, "trace of the label noise covariance (noise.normalise)"},
    ConfigOption{"noise.normalise", kText, "total", kReplica,
                 "total | largest: what noise.total is, the sum of the variances or the largest of them"},
    ConfigOption{"noise.profile", kText, "geometric", kReplica,
                 "geometric | groups:K: variances in between, or K of the largest and the others of the smallest"},
    ConfigOption{"noise.condition", kNumber, "1", kReplica, "kappa: largest over smallest noise variance, >= 1"},
    ConfigOption{"noise.rotation", kText, "axes", kReplica,
                 "axes | teacher | teacher-reversed | teacher:DEGREES | random | file:M.csv"},
    ConfigOption{"noise.distribution", kText, "gaussian", kReplica,
                 "gaussian | rademacher | measured (residuals of data.dataset)"},
    ConfigOption{"noise.covariance", kText, "", kReplica,
                 "diagonal:a,b,.. | file:S.csv: replaces total, condition and rotation"},
    ConfigOption{"noise.redraw", kText, "fresh", kReplica, "fresh | fixed (once per sample of a finite set)"},
    ConfigOption{"noise.heteroscedastic", kNumber, "0", kReplica,
                 "a in [0, 1]: alternate noise directions have variance 1 + a or 1 - a by the sign of the first input"},
    ConfigOption{
        "noise.antithetic", kBoolean, "false", kReplica,
        "pairs of replicas with the same inputs and opposite label noise; a pair is one seed (docs/random.md)"},
    ConfigOption{"model.kind", kText, "linear", kGroup, model_names()},
    ConfigOption{"model.width", kInteger, "8", kGroup, "features of hidden values"},
    ConfigOption{"model.depth", kInteger, "2", kGroup,
                 "linear, mlp: matrices; gated-mlp: layers; rnn: stacked layers; residual-mlp, transformer: blocks"},
    ConfigOption{"model.activation", kText, "tanh", kGroup,
                 "mlp, gated-mlp, residual-mlp, transformer: " SHARPSEEK_ACTIVATION_NAMES "identity"},
    ConfigOption{"model.heads", kInteger, "1", kGroup, "transformer: attention heads"},
    ConfigOption{"model.mlp_width", kInteger, "0", kGroup,
                 "residual-mlp, transformer: hidden features of a block; 0 = width"},
    ConfigOption{"model.layer_norm", kBoolean, "false", kGroup, "transformer: layer norm before attention and MLP"},
    ConfigOption{"model.bias", kBoolean, "false", kGroup, "all but transformer: offsets, initially zero"},
    ConfigOption{
        "model.readout", kText, "", kGroup,
        "transformer: mean (default) | last | tokens (each token has outputs of its own); rnn: the same, last by "
        "default"},
    ConfigOption{"model.initialisation", kText, "lecun", kGroup,
                 "lecun: variance 1 / fan-in | kaiming: 2 / fan-in where an activation follows"},
    ConfigOption{"model.init", kText, "random", kReplica,
                 "random | limit (linear: where theory says that small rates end) | closed-form (linear: the minimal "
                 "fluctuation) "
                 "| manifold (weights that fit the samples)"},
    ConfigOption{"model.init_scale", kNumber, "1", kReplica, "multiplies the initial weights"},
    ConfigOption{"model.init_imbalance", kNumber, "1", kReplica,
                 "r: last matrix times r, first one divided by r: a sharper start"},
    ConfigOption{"training.loss", kText, "squared", kGroup, loss_names()},
    ConfigOption{"training.optimizer", kText, "sgd", kGroup, optimizer_names()},
    ConfigOption{"training.learning_rate", kNumber, "0.002", kReplica, "eta"},
    ConfigOption{"training.batch", kInteger, "1", kGroup, "samples per step; gd takes all samples instead"},
    ConfigOption{"training.steps", kInteger, "100000", kGroup, "SGD steps"},
    ConfigOption{"training.time", kNumber, "0", kGroup,
                 "rescaled time eta^2 steps / batch instead of steps; 0 = use steps"},
    ConfigOption{"training.momentum", kNumber, "0", kReplica, "mu: velocity v <- mu v + g; sgd, gd and sam"},
    ConfigOption{"training.betas", kText, "0.9,0.999", kGroup, betas_help()},
    ConfigOption{"training.weight_decay", kNumber, "0", kReplica, "lambda: w <- w - eta lambda w at every step"},
    ConfigOption{"training.sam_radius", kNumber, "0.05", kReplica, "sam: rho, length of the step uphill"},
    ConfigOption{"training.schedule", kText, "constant", kGroup,
                 "constant | linear:F | cosine:F | inverse:T: how the learning rate changes"},
    ConfigOption{"training.until", kText, "steps", kSingle,
                 "steps | stationary: stop earlier, once the replicas have become stationary"},
    ConfigOption{"measure.every", kInteger, "0", kSingle,
                 "steps between records; 0 = so many that measure.records come out"},
    ConfigOption{
        "measure.records", kInteger, "100", kSingle,
        "records after the start where every = 0; as near to this number as equal intervals of whole steps can come"},
    ConfigOption{"measure.eigenvalues", kInteger, "5", kSingle, "largest Hessian eigenvalues recorded"},
    ConfigOption{"measure.trace_products", kInteger, "0", kSingle,
                 "products of the trace's estimate; 0 = exact up to 512 parameters, 64 beyond"},
    ConfigOption{"measure.samples", kInteger, "256", kSingle, "size of the evaluation set"},
    ConfigOption{"measure.quantities", kText, "", kSingle, "comma-separated; empty = the standard ones"},
    ConfigOption{"measure.warm_start", kBoolean, "false", kSingle,
                 "track the largest eigenvalues from those of the record before: the same values to the tolerance, for "
                 "fewer products; above 64 parameters"},
    ConfigOption{
        "measure.rivals", kInteger, "0", kSingle,
        "seeds of each sweep point for which rival predictors of the end are computed (docs/flow.md); 0 = none"},
    ConfigOption{"measure.keep_parameters", kBoolean, "false", kSingle, "store the weights at every record"},
    ConfigOption{"measure.keep_vectors", kBoolean, "false", kSingle,
                 "store the eigenvectors of the largest eigenvalues at every record (quantity eigenvectors)"},
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

}  // namespace

std::span<const ConfigOption> option_table() { return kOptions; }

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const auto best = std::min_element(candidates.begin(), candidates.end(), [&](const auto& a, const auto& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  if (best == candidates.end() || edit_distance(word, *best) > std::max<std::size_t>(2, word.size() / 3)) return {};
  return *best;
}

const ConfigOption& find_option(std::string_view key, std::string_view where) {
  const auto found =
      std::find_if(kOptions.begin(), kOptions.end(), [&](const auto& option) { return option.key == key; });
  if (found != kOptions.end()) return *found;
  std::vector<std::string> keys;
  for (const ConfigOption& option : kOptions) keys.emplace_back(option.key);
  const std::string meant = nearest(key, keys);
  throw UserError(concat(where, ": unknown key ", key,
                         meant.empty() ? "; `sharpseek list --options` shows all" : ", did you mean " + meant + "?"));
}

}  // namespace sharpseek
