#include "experiments/flow.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.h"
#include "sharpness/evaluation.h"

namespace sharpseek {
namespace {

/// Key of the draw that all replicas start from.
constexpr std::uint64_t kCommonStart = 0;

std::unique_ptr<Engine> flow_engine(const Program& program) {
  return make_engine(program, {.device = "cpu", .dtype = "float64"});
}

at::Tensor stacked(const std::vector<std::vector<double>>& rows) {
  std::vector<at::Tensor> all;
  for (const std::vector<double>& row : rows) all.push_back(at::tensor(row, at::kDouble));
  return at::stack(all);
}

/// Why the flow does not describe this replica; empty if it does.
std::string refusal(const Program& program, const Point& point) {
  if (!program.smooth()) {
    return concat("model.activation = ", point.text("model.activation"),
                  ": the slow-manifold flow needs a smooth network (tanh, gelu): where a unit of relu switches the "
                  "Hessian jumps and has no derivative");
  }
  return plain_sgd_refusal(point);
}

void record_path(RunRecord& record, const std::string& name, const SlowFlow& flow, const std::string& what) {
  const auto write = [&](const char* quantity, const at::Tensor& values, const std::string& definition) {
    const at::Tensor dense = values.contiguous();
    record.time_variable(name + "_" + quantity, dense.const_data_ptr<double>(), "1", definition);
  };
  write("trace", flow.trace, "trace predicted by " + what);
  write("sharpness", flow.sharpness, "sharpness predicted by " + what);
  write("gradient_fluctuation", flow.gradient_fluctuation, "gradient fluctuation predicted by " + what);
}

bool starts_on_manifold(const Point& point) { return point.text("model.init") == "manifold"; }

}  // namespace

std::string plain_sgd_refusal(const Point& point) {
  if (point.text("training.optimizer") != "sgd") {
    return concat("training.optimizer = ", point.text("training.optimizer"),
                  ": the slow-manifold flow is that of plain sgd");
  }
  for (const char* key : {"training.momentum", "training.weight_decay", "noise.heteroscedastic"}) {
    if (point.number(key) != 0) {
      return concat(key, " = ", point.text(key),
                    ": the slow-manifold flow is that of plain sgd under label noise of one "
                    "covariance (0)");
    }
  }
  if (point.text("training.schedule") != "constant") {
    return concat("training.schedule = ", point.text("training.schedule"),
                  ": the slow-manifold flow is that of a constant learning rate");
  }
  if (point.text("noise.redraw") != "fresh") {
    return concat("noise.redraw = ", point.text("noise.redraw"),
                  ": the slow-manifold flow needs label noise that is drawn at every step (fresh)");
  }
  return {};
}

std::string rivals_refusal(const Program& program, const Point& point) {
  return starts_on_manifold(point) ? refusal(program, point) : plain_sgd_refusal(point);
}

Samples interpolated_samples(const PreparedGroup& prepared) {
  return evaluation_samples(*prepared.task, prepared.group.point().integer("measure.samples"),
                            at::TensorOptions().dtype(at::kDouble));
}

GradientFlowLimit interpolating_weights(const PreparedGroup& prepared, const Samples& samples) {
  const std::unique_ptr<Engine> engine = flow_engine(prepared.program);
  GradientFlowLimit limit = gradient_flow_limit(*engine, stacked(prepared.weights), samples);
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
    const Point& point = prepared.group.replicas[e].point;
    if (!starts_on_manifold(point)) continue;
    require(!prepared.task->online(),
            "model.init = manifold: needs a finite set of samples (data.samples = N), which the weights then fit");
    const InitialisationOptions initial = point.initialisation();
    starts[{initial.scale, initial.imbalance}].push_back(e);
  }
  if (starts.empty()) return;
  PreparedGroup drawn = prepared;
  drawn.weights.clear();
  for (const auto& [initial, replicas] : starts) {
    drawn.weights.push_back(initial_parameters(prepared.program,
                                               {.scale = std::get<0>(initial), .imbalance = std::get<1>(initial)},
                                               prepared.group.point().seed(), kCommonStart));
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
    const std::string reason = refusal(prepared.program, replica.point);
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
  prediction.samples = interpolated_samples(prepared);
  prediction.limit = interpolating_weights(distinct, prediction.samples);
  const std::unique_ptr<Engine> engine = flow_engine(prepared.program);
  SlowFlow flow = slow_flow(*engine, prediction.limit.parameters, prediction.samples, distinct.noise, distinct_times,
                            {.drive = drive});
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

void record_flow(const PreparedGroup& prepared, const std::vector<std::int64_t>& steps, RunRecord& record) {
  std::vector<std::vector<double>> times;
  for (const Replica& replica : prepared.group.replicas) {
    if (!starts_on_manifold(replica.point) || !refusal(prepared.program, replica.point).empty()) return;
    const double rate = replica.point.number("training.learning_rate");
    const double per_step = rate * rate / static_cast<double>(replica.point.batch());
    times.emplace_back();
    for (std::int64_t step : steps) times.back().push_back(per_step * static_cast<double>(step));
  }
  const SlowFlow flow = predict_flow(prepared, times).flow;
  record_path(record, "flow", flow, "the slow-manifold flow (docs/flow.md): the limit of rate 0");
  if (prepared.group.point().integer("measure.rivals") > 0) {
    record_path(record, "descent_flow", predict_flow(prepared, times, SlowDrive::kFluctuation).flow,
                "a rival of the flow that descends the gradient fluctuation and no more (docs/flow.md)");
    record_path(record, "isotropic_flow", predict_flow(prepared, times, SlowDrive::kTrace).flow,
                "a rival: the flow under isotropic noise of the same total, which descends the trace (docs/flow.md)");
  }
  std::vector<std::int64_t> status;
  std::vector<double> circulation;
  for (std::size_t e = 0; e < flow.status.size(); ++e) {
    status.push_back(static_cast<std::int64_t>(flow.status[e]));
    const auto row = static_cast<std::int64_t>(e);
    circulation.push_back((flow.sideways[row][-1] / flow.length[row][-1]).item<double>());
  }
  record.replica_variable({"flow_status", status, "", "how far the flow could be integrated"});
  record.flags("flow_status", {0, 1, 2}, "complete rank_changed stalled");
  record.replica_variable({"flow_circulation", circulation, "1",
                           "share of the flow's length that runs across the gradient of the gradient fluctuation: 0 "
                           "where SGD descends the fluctuation"});
}

}  // namespace sharpseek
