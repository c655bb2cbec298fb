#include "experiments/predict/linear_theory.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/not_measured.h"

namespace sharpseek {
namespace {

/// Horizontal directions times (outputs n)^3: minutes of work.
constexpr double kMostWork = 1e9;

bool is_linear(const ModelOptions& model) {
  return model.kind == "linear" || (model.kind == "mlp" && model.activation == "identity");
}

/// Computes the small-rate limit, or says why there is none.
void add_limit(Prediction& prediction, const ModelOptions& model, const LinearTask& task, int rank) {
  const double directions = (model.depth - 1) * rank * (rank + 1) / 2.0;
  if (sharpens_without_bound(task.teacher, task.input_covariance, task.noise_covariance)) {
    prediction.warnings.push_back("small_lr_limit: none, sharpness grows without bound (docs/beyond.md)");
  } else if (directions * std::pow(task.teacher.size(), 3) > kMostWork) {
    prediction.warnings.push_back("small_lr_limit is not computed: too expensive at this size");
  } else {
    SmallRateLimit limit = small_rate_limit(model.depth, model.width, task);
    if (limit.status == LimitStatus::kConverged) {
      prediction.limit = std::move(limit);
    } else {
      prediction.warnings.push_back("small_lr_limit: " + to_string(limit.status));
    }
  }
}

std::string last_warning(const Prediction& prediction) {
  return prediction.warnings.empty() ? "" : prediction.warnings.back();
}

/// Weights whose hidden width is the teacher's rank as parameters [P] of a network that may be wider.
std::vector<double> in_first_units(const ModelOptions& model, const std::vector<Matrix>& narrow) {
  std::vector<Matrix> weights = linear_shapes(model.inputs, model.width, model.outputs, model.depth);
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i].topLeftCorner(narrow[i].rows(), narrow[i].cols()) = narrow[i];
  const Vector parameters = flatten(weights);
  return {parameters.begin(), parameters.end()};
}

bool theory_applies(const PreparedGroup& prepared) {
  return linear_theory_refusal(prepared.settings().model, *prepared.task).empty();
}

}  // namespace

std::string linear_theory_refusal(const Task& task, const Noise& noise) {
  if (noise.heteroscedastic == 0 || task.online()) return {};
  return concat(
      "noise.heteroscedastic = ", noise.heteroscedastic,
      ": this theory needs noise whose covariance is uncorrelated with the inputs' squares, which holds online, "
      "but not on a data set");
}

std::string linear_theory_refusal(const ModelOptions& model, const Task& task) {
  if (task.labels.distributions()) {
    return concat("data.labels = ", name_of(task.labels.kind), ": this theory is for squared error, not cross-entropy");
  }
  if (!is_linear(model)) return concat("model.kind = ", model.kind, ": this theory is for linear networks");
  if (model.depth < 2) {
    return concat("model.depth = ", model.depth, ": this theory needs at least 2 (one matrix has a single minimum)");
  }
  if (model.bias) return "model.bias = true: this theory is for networks without offsets";
  if (!task.teacher.linear) return "data.teacher: this theory needs a linear teacher";
  if (task.tokens != 1) return concat("data.sequence = ", task.tokens, ": this theory is for one token");
  if (!task.exact_inputs()) {
    return concat("data.samples = ", task.dataset.rows(),
                  ": this theory is for fresh samples (online) or a data set of one's own");
  }
  return {};
}

Prediction predict(const ModelOptions& model, const Task& task, const Noise& noise) {
  const std::string reason = linear_theory_refusal(model, task);
  require(reason.empty(), reason);
  Prediction prediction;
  if (const std::string mean = removed_mean(task);
      noise.distribution == NoiseDistribution::kMeasured && !mean.empty()) {
    prediction.warnings.push_back(mean);
  }
  if (const std::string refused = linear_theory_refusal(task, noise); !refused.empty()) {
    prediction.warnings.push_back(refused);
    return prediction;
  }
  if (noise.fixed) {
    prediction.warnings.push_back(
        "noise.redraw = fixed: this theory is for noise that is drawn at every step; SGD fits noise that is drawn "
        "once");
  }
  const Matrix& teacher = *task.teacher.matrix;
  const LinearTask linear{teacher, task.input_covariance, noise.covariance};
  if (is_singular(task.input_covariance)) {
    prediction.warnings.push_back("the input covariance is singular: some direction of the inputs is never seen");
    return prediction;
  }
  if (noise.covariance.isZero(0)) {
    prediction.warnings.push_back("there is no label noise: SGD stays at the minimum that it comes to");
    return prediction;
  }
  // The closed form of isotropic noise knows the rank, whatever the noise.
  const bool noiseless = is_singular(noise.covariance);
  ClosedForm closed = closed_form(model.depth, teacher, task.input_covariance,
                                  noiseless ? Matrix::Identity(task.outputs, task.outputs) : noise.covariance);
  prediction.commutes = commutes(teacher, task.input_covariance, noise.covariance);
  if (!std::isfinite(closed.trace) || !std::isfinite(closed.sharpness) || !std::isfinite(closed.gradient_fluctuation)) {
    prediction.warnings.push_back("the closed form is not finite: teacher, inputs or noise are too large or too small");
    return prediction;
  }
  if (model.width < closed.rank) {
    prediction.warnings.push_back(concat("model.width = ", model.width, " is below the teacher's rank ", closed.rank,
                                         ": no global minimum fits the teacher"));
    return prediction;
  }
  const int full = std::min(task.outputs, task.inputs);
  if (closed.rank < full) {
    prediction.warnings.push_back(concat("the teacher has rank ", closed.rank, " of ", full,
                                         ": zero singular values are dropped; valid for hidden width ", closed.rank));
  }
  if (noiseless) {
    prediction.warnings.push_back(
        "the noise covariance is singular: some output has no noise, the minimum of the fluctuation is not attained");
  } else if (!prediction.commutes) {
    prediction.warnings.push_back("noise and signal do not commute: SGD settles at small_lr_limit, not at closed_form");
  }
  add_limit(prediction, model, linear, closed.rank);
  if (!noiseless) prediction.closed_form = std::move(closed);
  return prediction;
}

std::vector<Prediction> predict(const ModelOptions& model, const Task& task, const std::vector<Noise>& noise) {
  std::vector<Prediction> predictions;
  // By what predict() looks at: seeds share it.
  std::map<std::tuple<std::vector<double>, double, NoiseDistribution>, std::size_t> known;
  for (std::size_t e = 0; e < noise.size(); ++e) {
    const Matrix& covariance = noise[e].covariance;
    const auto [first, fresh] =
        known.try_emplace({std::vector<double>(covariance.data(), covariance.data() + covariance.size()),
                           noise[e].heteroscedastic, noise[e].distribution},
                          e);
    predictions.push_back(fresh ? predict(model, task, noise[e]) : predictions[first->second]);
  }
  return predictions;
}

std::vector<double> limit_parameters(const ModelOptions& model, const Prediction* prediction) {
  SHARPSEEK_ASSERT(prediction != nullptr);
  require(prediction->limit.has_value(), "model.init = limit: there is none: ", last_warning(*prediction));
  return in_first_units(model, prediction->limit->weights);
}

std::vector<double> closed_form_parameters(const ModelOptions& model, const Prediction* prediction) {
  SHARPSEEK_ASSERT(prediction != nullptr);
  require(prediction->closed_form.has_value(), "model.init = closed-form: there is none: ", last_warning(*prediction));
  return in_first_units(model, prediction->closed_form->weights);
}

Predicted predict_linear(const PreparedGroup& prepared) {
  Predicted predicted;
  if (!theory_applies(prepared)) return predicted;
  const ModelOptions& model = prepared.settings().model;
  const Task& task = *prepared.task;
  std::map<std::string, std::vector<double>> closed;
  std::map<std::string, std::vector<double>> limit;
  std::vector<std::int64_t> commutes;
  // Minimal fluctuation under isotropic noise is the flattest minimum.
  const double flattest_sharpness = closed_form(model.depth, *task.teacher.matrix, task.input_covariance,
                                                Matrix::Identity(task.outputs, task.outputs))
                                        .sharpness;
  for (const Prediction& prediction : predict(model, task, prepared.noise)) {
    const std::optional<ClosedForm>& form = prediction.closed_form;
    closed["trace"].push_back(form ? form->trace : kNotMeasured);
    closed["sharpness"].push_back(form ? form->sharpness : kNotMeasured);
    closed["gradient_fluctuation"].push_back(form ? form->gradient_fluctuation : kNotMeasured);
    closed["flattest_trace"].push_back(form ? form->flattest_trace : kNotMeasured);
    closed["flattest_sharpness"].push_back(form ? flattest_sharpness : kNotMeasured);
    const std::optional<SmallRateLimit>& end = prediction.limit;
    limit["trace"].push_back(end ? end->reading.trace : kNotMeasured);
    limit["sharpness"].push_back(end ? end->reading.sharpness : kNotMeasured);
    limit["gradient_fluctuation"].push_back(end ? end->reading.gradient_fluctuation : kNotMeasured);
    limit["circulation"].push_back(end ? end->reading.speed : kNotMeasured);
    limit["relaxation_rate"].push_back(end ? end->relaxation_rate : kNotMeasured);
    commutes.push_back(prediction.commutes ? 1 : 0);
  }
  for (const auto& [name, values] : closed) {
    predicted.replicas.push_back(
        {"closed_form_" + name, values, "1", "minimal-fluctuation solution in closed form (docs/theory.md)"});
  }
  for (const auto& [name, values] : limit) {
    const bool per_time = name == "circulation" || name == "relaxation_rate";
    predicted.replicas.push_back(
        {"small_lr_limit_" + name, values, per_time ? "1 / rescaled time" : "1",
         "where SGD ends as the learning rate goes to 0 (docs/theory.md); NaN = no limit found"});
  }
  predicted.replicas.push_back(
      {"commutes", commutes, "", "1 where noise and signal commute, so that SGD goes to the closed form as eta -> 0"});
  return predicted;
}

std::vector<double> known_relaxation_times(const PreparedGroup& prepared) {
  const std::vector<Replica>& replicas = prepared.group.replicas;
  std::vector<double> times(replicas.size(), kNotMeasured);
  if (!theory_applies(prepared)) return times;
  const std::vector<Prediction> predictions = predict(prepared.settings().model, *prepared.task, prepared.noise);
  for (std::size_t e = 0; e < replicas.size(); ++e) {
    const Settings& settings = *replicas[e].settings;
    const bool plain = settings.optimizer.kind == OptimizerKind::kSgd && settings.optimizer.schedule.constant() &&
                       settings.momentum == 0 && settings.weight_decay == 0;
    if (plain && predictions[e].limit && predictions[e].limit->relaxation_rate > 0)
      times[e] = 1 / predictions[e].limit->relaxation_rate;
  }
  return times;
}

}  // namespace sharpseek
