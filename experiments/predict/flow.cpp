#include "experiments/predict/flow.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/make_engine.h"
#include "sharpness/evaluation.h"
#include "sharpness/population.h"
#include "training/schedule.h"

namespace sharpseek {
namespace {

/// Key of the draw that all replicas start from.
constexpr std::uint64_t kCommonStart = 0;

std::unique_ptr<Engine> flow_engine(const Program& program) {
  return make_engine(program, {.device = "cpu", .dtype = "float64"});
}

/// Why training is not plain SGD under label noise that is drawn at every step; empty if it is.
std::string training_refusal(const Settings& settings) {
  if (settings.optimizer.kind != OptimizerKind::kSgd) {
    return concat("training.optimizer = ", name_of(settings.optimizer.kind),
                  ": the slow-manifold flow is that of plain sgd");
  }
  const std::pair<const char*, double> additions[] = {{"training.momentum", settings.momentum},
                                                      {"training.weight_decay", settings.weight_decay},
                                                      {"noise.heteroscedastic", settings.noise.heteroscedastic}};
  for (const auto& [key, value] : additions) {
    if (value == 0) continue;
    return concat(settings.written(key),
                  ": the slow-manifold flow is that of plain sgd under label noise of one covariance (0)");
  }
  if (!settings.optimizer.schedule.constant()) {
    return concat("training.schedule = ", settings.optimizer.schedule.text(),
                  ": the slow-manifold flow is that of a constant learning rate");
  }
  if (settings.noise.redraw != "fresh") {
    return concat("noise.redraw = ", settings.noise.redraw,
                  ": the slow-manifold flow needs label noise that is drawn at every step (fresh)");
  }
  return {};
}

/// Why these labels have no set of minima that all noise shares; empty if they do.
std::string labels_refusal(const LabelOptions& labels) {
  if (label_kind(labels.kind) != LabelKind::kSoft) return {};
  return concat("data.labels = ", labels.kind,
                ": the slow-manifold flow needs data.labels = values | sampled: the mean of soft labels, which the "
                "network would have to meet, depends on their noise");
}

/// Why the flow does not describe this replica; empty if it does.
std::string refusal(const Program& program, const Settings& settings) {
  if (std::string reason = labels_refusal(settings.task.labels); !reason.empty()) return reason;
  if (!program.smooth()) {
    return concat("model.activation = ", settings.model.activation,
                  ": the slow-manifold flow needs a smooth network (tanh, gelu): where a unit of relu switches the "
                  "Hessian jumps and has no derivative");
  }
  return training_refusal(settings);
}

/// Of samples with f* as targets: with mean labels, and the covariances that the flow of E replicas takes.
struct Target {
  Samples samples;
  at::Tensor covariances;
};

Target target_of(const PreparedGroup& prepared) {
  const Samples clean =
      evaluation_samples(*prepared.task, prepared.settings().measure.samples, at::TensorOptions().dtype(at::kDouble));
  if (!prepared.task->labels.distributions()) return {clean, covariance_tensor(prepared.noise)};
  const auto replicas = static_cast<std::int64_t>(prepared.noise.size());
  // Labels that are sampled have one mean, whatever the replica's noise, and exact moments: no nodes.
  Population labelled = population(training_problem(prepared), clean, prepared.task->seed, 1);
  Target target{labelled.samples, {}};
  if (labelled.noise.own.defined()) {
    const at::Tensor own = whitened_covariances(target.samples, labelled.noise.own);
    target.covariances = own.expand({replicas, own.size(1), own.size(2), own.size(3)}).contiguous();
  }
  return target;
}

void add_path(Predicted& predicted, const std::string& name, const SlowFlow& flow, const std::string& what) {
  const auto add = [&](const char* quantity, const at::Tensor& values, const std::string& definition) {
    const at::Tensor dense = values.contiguous();
    const double* first = dense.const_data_ptr<double>();
    predicted.paths.push_back({name + "_" + quantity, {first, first + dense.numel()}, "1", definition});
  };
  add("trace", flow.trace, "trace predicted by " + what);
  add("sharpness", flow.sharpness, "sharpness predicted by " + what);
  add("gradient_fluctuation", flow.gradient_fluctuation, "gradient fluctuation predicted by " + what);
  add("smallest_eigenvalue", flow.smallest, "smallest non-zero eigenvalue of the Hessian along " + what);
}

bool starts_on_manifold(const Settings& settings) { return settings.start == Start::kManifold; }

}  // namespace

std::string plain_sgd_refusal(const Settings& settings) {
  if (settings.loss != LossKind::kSquared) {
    return concat("training.loss = ", name_of(settings.loss), ": this theory is that of squared error");
  }
  return training_refusal(settings);
}

std::string rivals_refusal(const Program& program, const Settings& settings) {
  const bool flow = settings.loss == LossKind::kSquared && starts_on_manifold(settings);
  return flow ? refusal(program, settings) : plain_sgd_refusal(settings);
}

Samples interpolated_samples(const PreparedGroup& prepared) { return target_of(prepared).samples; }

GradientFlowLimit interpolating_weights(const PreparedGroup& prepared, const Samples& samples) {
  const std::unique_ptr<Engine> engine = flow_engine(prepared.program);
  GradientFlowLimit limit = gradient_flow_limit(*engine, initial_weights(prepared), samples);
  if (limit.arrived.all().item<bool>()) return limit;
  const Task& task = *prepared.task;
  throw UserError(concat(task.online() ? "data.samples = online" : concat("data.samples = ", samples.inputs.size(0)),
                         ": gradient flow does not reach weights that fit the ", samples.inputs.size(0), " samples (",
                         samples.targets.numel(), " outputs, ", prepared.program.parameter_count(),
                         " parameters; relative misfit ", limit.misfit.max().item<double>(), " after ",
                         limit.evaluations,
                         " Jacobians): without an exact fit there is no set of minima to move along; take fewer "
                         "samples or a wider network"));
}

void start_on_manifold(PreparedGroup& prepared) {
  using Initial = std::tuple<double, double>;  // what the common draw depends on
  std::map<Initial, std::vector<std::size_t>> starts;
  for (std::size_t e = 0; e < prepared.group.replicas.size(); ++e) {
    const Settings& settings = *prepared.group.replicas[e].settings;
    if (!starts_on_manifold(settings)) continue;
    const std::string labels = labels_refusal(settings.task.labels);
    require(labels.empty(), "model.init = manifold: ", labels);
    require(!prepared.task->online(),
            "model.init = manifold: needs a finite set of samples (data.samples = N), which the weights then fit");
    const InitialisationOptions& initial = settings.initialisation;
    starts[{initial.scale, initial.imbalance}].push_back(e);
  }
  if (starts.empty()) return;
  PreparedGroup drawn = prepared;
  drawn.weights.clear();
  for (const auto& [initial, replicas] : starts) {
    drawn.weights.push_back(initial_parameters(prepared.program,
                                               {.scale = std::get<0>(initial), .imbalance = std::get<1>(initial)},
                                               prepared.settings().seed, kCommonStart));
  }
  const at::Tensor found = interpolating_weights(drawn, interpolated_samples(prepared)).parameters;
  std::int64_t row = 0;
  for (const auto& [initial, replicas] : starts) {
    const at::Tensor weights = found[row++].contiguous();
    const double* first = weights.const_data_ptr<double>();
    for (std::size_t e : replicas) prepared.weights[e].assign(first, first + weights.numel());
  }
}

FlowPrediction predict_flow(const PreparedGroup& prepared, const std::vector<std::vector<double>>& times,
                            SlowDrive drive) {
  for (const Replica& replica : prepared.group.replicas) {
    const std::string reason = refusal(prepared.program, *replica.settings);
    require(reason.empty(), reason);
  }
  // Replicas that differ by their seed alone have one flow.
  using Case = std::tuple<std::vector<double>, std::vector<double>, std::vector<double>>;
  std::map<Case, std::int64_t> cases;
  PreparedGroup distinct = prepared;
  distinct.weights.clear();
  distinct.noise.clear();
  std::vector<std::vector<double>> distinct_times;
  std::vector<std::int64_t> row_of;
  for (std::size_t e = 0; e < prepared.noise.size(); ++e) {
    const Matrix& covariance = prepared.noise[e].covariance;
    const Case key{prepared.weights[e], {covariance.data(), covariance.data() + covariance.size()}, times[e]};
    const auto [entry, added] = cases.try_emplace(key, static_cast<std::int64_t>(cases.size()));
    row_of.push_back(entry->second);
    if (!added) continue;
    distinct.weights.push_back(prepared.weights[e]);
    distinct.noise.push_back(prepared.noise[e]);
    distinct_times.push_back(times[e]);
  }

  FlowPrediction prediction;
  const Target target = target_of(distinct);
  prediction.samples = target.samples;
  prediction.limit = interpolating_weights(distinct, prediction.samples);
  const std::unique_ptr<Engine> engine = flow_engine(prepared.program);
  SlowFlow flow = slow_flow(*engine, prediction.limit.parameters, prediction.samples, target.covariances,
                            distinct_times, {.drive = drive});
  const at::Tensor rows = at::tensor(row_of);
  prediction.start = prediction.limit.parameters.index_select(0, rows);
  for (at::Tensor* values : {&flow.parameters, &flow.trace, &flow.sharpness, &flow.smallest, &flow.gradient_fluctuation,
                             &flow.speed, &flow.length, &flow.sideways}) {
    *values = values->index_select(0, rows);
  }
  const auto spread = [&](auto& values) {
    auto all = values;
    all.clear();
    for (std::int64_t row : row_of) all.push_back(values[static_cast<std::size_t>(row)]);
    values = all;
  };
  spread(flow.status);
  spread(flow.stopped_at);
  spread(flow.rank);
  spread(flow.steps);
  spread(flow.largest_misfit);
  prediction.flow = std::move(flow);
  return prediction;
}

Predicted predict_flow_of_records(const PreparedGroup& prepared, const std::vector<std::int64_t>& steps) {
  Predicted predicted;
  std::vector<std::vector<double>> times;
  for (const Replica& replica : prepared.group.replicas) {
    const Settings& settings = *replica.settings;
    if (!starts_on_manifold(settings) || !refusal(prepared.program, settings).empty()) return predicted;
    times.emplace_back();
    for (std::int64_t step : steps) {
      times.back().push_back(rescaled_time(settings.learning_rate, settings.batch, step));
    }
  }
  const SlowFlow flow = predict_flow(prepared, times).flow;
  add_path(predicted, "flow", flow, "the slow-manifold flow (docs/flow.md): the limit of rate 0");
  if (prepared.settings().measure.rivals > 0) {
    add_path(predicted, "descent_flow", predict_flow(prepared, times, SlowDrive::kFluctuation).flow,
             "a rival of the flow that descends the gradient fluctuation and no more (docs/flow.md)");
    add_path(predicted, "isotropic_flow", predict_flow(prepared, times, SlowDrive::kTrace).flow,
             "a rival: the flow under isotropic noise of the same total, which descends the trace (docs/flow.md)");
  }
  std::vector<std::int64_t> status;
  std::vector<double> circulation;
  for (std::size_t e = 0; e < flow.status.size(); ++e) {
    status.push_back(static_cast<std::int64_t>(flow.status[e]));
    const auto row = static_cast<std::int64_t>(e);
    circulation.push_back((flow.sideways[row][-1] / flow.length[row][-1]).item<double>());
  }
  predicted.replicas.push_back(
      {"flow_status", status, "", "how far the flow could be integrated", {0, 1, 2}, "complete rank_changed stalled"});
  predicted.replicas.push_back({"flow_circulation", circulation, "1",
                                "share of the flow's length that runs across the gradient of the gradient "
                                "fluctuation: 0 where SGD descends the fluctuation"});
  return predicted;
}

}  // namespace sharpseek
