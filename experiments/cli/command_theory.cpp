#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/theory_flow.h"
#include "experiments/config/fork.h"
#include "experiments/config/option_table.h"
#include "experiments/config/sweep.h"
#include "experiments/predict/flow.h"
#include "experiments/predict/linear_theory.h"
#include "experiments/predict/run_length.h"
#include "experiments/run/memory.h"
#include "experiments/run/prepare.h"
#include "training/schedule.h"

namespace sharpseek {
namespace {

constexpr const char* kTheoryExamples =
    "  sharpseek theory sweep.ini\n"
    "  sharpseek theory sweep.ini --format json --set noise.condition='1 10 100'\n"
    "  sharpseek theory sweep.ini --path        # of linear networks\n"
    "  sharpseek theory experiments/presets/quick/flow-mlp.ini --flow\n";

/// A sweep point without its seeds.
struct Row {
  nlohmann::json axes = nlohmann::json::object();  ///< settings by swept key
  Prediction prediction;
  RunLength length{};
  double learning_rate = 0;  ///< as it is configured
  std::optional<SlowPath> path{};
  std::vector<std::int64_t> steps{};  ///< of the path's readings
};

/// The sweep points of all groups with the random-number keys of their one seed.
std::vector<Replica> sweep_points(const Config& config) {
  std::vector<Replica> points;
  for (const Group& group : expand(config)) {
    points.insert(points.end(), group.replicas.begin(), group.replicas.end());
  }
  return points;
}

/// The flow from the initial weights of the point's first seed, read at the records of its run.
void add_path(Row& row, const Replica& replica, const Task& task, const Noise& noise) {
  const Settings& settings = *replica.settings;
  row.steps = settings.schedule.record_steps();
  std::vector<double> times;
  for (std::int64_t step : row.steps) times.push_back(rescaled_time(settings.learning_rate, settings.batch, step));
  const ModelOptions& model = settings.model;
  const std::vector<double> parameters = initial_weights(replica, make_model(model), &row.prediction);
  const Vector flat = Eigen::Map<const Vector>(parameters.data(), static_cast<Eigen::Index>(parameters.size()));
  const LinearManifold manifold({*task.teacher.matrix, task.input_covariance, noise.covariance});
  row.path =
      slow_path(manifold, unflatten(flat, linear_shapes(model.inputs, model.width, model.outputs, model.depth)), times);
}

Row make_row(const Replica& replica, const std::vector<std::string>& axes, bool with_path) {
  const Settings& settings = *replica.settings;
  const Task task = make_task(settings.task, settings.seed);
  const std::string reason = linear_theory_refusal(settings.model, task);
  require(reason.empty(), reason);
  const Matrix signal = task.signal();
  const Noise noise = make_noise(settings.noise, task.outputs, &signal, settings.seed);
  // The way there is that of plain sgd; without it the limit stays what it is, but this run need not end there.
  const std::string other = plain_sgd_refusal(settings);
  require(!with_path || other.empty(), other);
  Row row{.prediction = predict(settings.model, task, noise)};
  if (!other.empty()) row.prediction.warnings.push_back("SGD need not end at small_lr_limit: " + other);
  row.length = run_length(settings, row.prediction);
  row.learning_rate = settings.learning_rate;
  for (const std::string& axis : axes) row.axes[axis] = settings.values.text(axis);
  if (with_path && row.prediction.closed_form) add_path(row, replica, task, noise);
  return row;
}

nlohmann::json to_json(const SlowPath& path, const std::vector<std::int64_t>& steps) {
  nlohmann::json result{{"status", to_string(path.status)}, {"rescaled_time", path.time}};
  for (const char* name : {"step", "trace", "sharpness", "gradient_fluctuation", "layer_fluctuation", "speed"}) {
    result[name] = nlohmann::json::array();
  }
  for (std::size_t i = 0; i < path.readings.size(); ++i) {
    const MinimumReading& reading = path.readings[i];
    result["step"].push_back(steps[i]);
    result["trace"].push_back(reading.trace);
    result["sharpness"].push_back(reading.sharpness);
    result["gradient_fluctuation"].push_back(reading.gradient_fluctuation);
    result["layer_fluctuation"].push_back(reading.layer_fluctuation);
    result["speed"].push_back(reading.speed);
  }
  return result;
}

/// The closed form in the terms of arXiv:2602.05065, whose loss has a factor 1/2 and whose sharpness is the trace: half
/// of ours, at twice our rate.
struct PaperUnits {
  double t = 0;      ///< T, its Theorem 1
  double t_min = 0;  ///< of the flattest minimum
  double learning_rate = 0;

  explicit PaperUnits(const Row& row)
      : t(row.prediction.closed_form->trace / 2),
        t_min(row.prediction.closed_form->flattest_trace / 2),
        learning_rate(2 * row.learning_rate) {}

  /// T - T_min, at least 0 but for rounding, which is left out.
  double delta() const { return t > t_min || std::isnan(t - t_min) ? t - t_min : 0; }
};

nlohmann::json to_json(const PaperUnits& paper) {
  return {{"T", paper.t},
          {"T_min", paper.t_min},
          {"delta_sgd", paper.delta()},
          {"relative_sharpness", paper.t / paper.t_min},
          {"learning_rate", paper.learning_rate}};
}

nlohmann::json to_json(const RunLength& length) {
  nlohmann::json result{{"relaxation_times", nullptr}, {"edge_share", nullptr}, {"warnings", length.warnings}};
  if (length.relaxation_times) result["relaxation_times"] = *length.relaxation_times;
  if (length.edge_share) result["edge_share"] = *length.edge_share;
  return result;
}

nlohmann::json to_json(const Row& row) {
  const Prediction& prediction = row.prediction;
  nlohmann::json result{{"point", row.axes}, {"commutes", prediction.commutes}, {"warnings", prediction.warnings}};
  result["closed_form"] = nullptr;
  if (const auto& closed = prediction.closed_form) {
    result["closed_form"] = {{"trace", closed->trace},
                             {"flattest_trace", closed->flattest_trace},
                             {"gradient_fluctuation", closed->gradient_fluctuation},
                             {"sharpness", closed->sharpness}};
  }
  result["paper"] = nullptr;
  if (row.prediction.closed_form) result["paper"] = to_json(PaperUnits(row));
  result["small_lr_limit"] = nullptr;
  if (const auto& limit = prediction.limit) {
    result["small_lr_limit"] = {{"trace", limit->reading.trace},
                                {"gradient_fluctuation", limit->reading.gradient_fluctuation},
                                {"sharpness", limit->reading.sharpness},
                                {"circulation", limit->reading.speed},
                                {"layer_fluctuation", limit->reading.layer_fluctuation},
                                {"relaxation_rate", limit->relaxation_rate}};
  }
  result["run"] = to_json(row.length);
  if (row.path) result["path"] = to_json(*row.path, row.steps);
  return result;
}

/// The values of the swept keys at this point.
std::string name_of(const Row& row) {
  std::string name;
  for (const auto& [key, value] : row.axes.items()) {
    name += concat(name.empty() ? "" : ",", find_option(key, "sweep").name(), "=", value.get<std::string>());
  }
  return name;
}

void print(const Row& row, bool quiet) {
  const Prediction& prediction = row.prediction;
  std::printf("%-30s", name_of(row).c_str());
  if (const auto& closed = prediction.closed_form) {
    std::printf(" %11.5f %11.5f %11.5f %11.5f", closed->flattest_trace, closed->trace, closed->gradient_fluctuation,
                closed->sharpness);
  } else {
    std::printf(" %11s %11s %11s %11s", "-", "-", "-", "-");
  }
  if (const auto& limit = prediction.limit) {
    std::printf(" | %11.5f %11.5f %11.5f %9.4f %9.4f", limit->reading.trace, limit->reading.gradient_fluctuation,
                limit->reading.sharpness, limit->reading.speed, limit->relaxation_rate);
  } else {
    std::printf(" | %11s %11s %11s %9s %9s", "-", "-", "-", "-", "-");
  }
  std::printf(" %s\n", prediction.commutes ? "yes" : "no");
  if (!quiet) {
    for (const std::string& warning : prediction.warnings) std::printf("  note: %s\n", warning.c_str());
  }
  if (!row.path) return;
  std::printf("  %12s %12s %12s %12s %12s %12s\n", "step", "tau", "trace", "fluctuation", "sharpness", "speed");
  for (std::size_t i = 0; i < row.path->readings.size(); ++i) {
    const MinimumReading& reading = row.path->readings[i];
    std::printf("  %12lld %12.6g %12.6f %12.6f %12.6f %12.6f\n", static_cast<long long>(row.steps[i]),
                row.path->time[i], reading.trace, reading.gradient_fluctuation, reading.sharpness, reading.speed);
  }
  std::printf("  path: %s\n", to_string(row.path->status).c_str());
}

/// How long the run of each point is and how small its rate, with what to be careful about.
void print_run_lengths(const std::vector<Row>& rows) {
  const auto known = [](const Row& row) { return row.length.relaxation_times || row.length.edge_share; };
  if (std::none_of(rows.begin(), rows.end(), known)) return;
  std::printf("\nthe run of this file\n%-30s %16s %20s\n", "point", "relaxation times", "rate x sharpness / 2");
  for (const Row& row : rows) {
    std::printf("%-30s", name_of(row).c_str());
    for (const auto& [value, width] : {std::pair{row.length.relaxation_times, 17}, {row.length.edge_share, 21}}) {
      if (value) {
        std::printf("%*.3g", width, *value);
      } else {
        std::printf("%*s", width, "-");
      }
    }
    std::printf("\n");
    for (const std::string& warning : row.length.warnings) std::printf("  note: %s\n", warning.c_str());
  }
}

/// The points with a closed form in the paper's terms.
void print_paper_units(const std::vector<Row>& rows) {
  const auto known = [](const Row& row) { return row.prediction.closed_form.has_value(); };
  if (std::none_of(rows.begin(), rows.end(), known)) return;
  std::printf(
      "\nthe closed form in the terms of arXiv:2602.05065 (loss with 1/2): T = trace / 2, its rate is twice ours\n");
  std::printf("%-30s %11s %11s %11s %11s %11s\n", "point", "T_min", "T", "Delta_SGD", "T/T_min", "rate");
  for (const Row& row : rows) {
    if (!known(row)) continue;
    const PaperUnits paper(row);
    std::printf("%-30s %11.5f %11.5f %11.5f %11.5f %11.5g\n", name_of(row).c_str(), paper.t_min, paper.t, paper.delta(),
                paper.t / paper.t_min, paper.learning_rate);
  }
}

}  // namespace

int command_theory(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("path", "path of the first seed's weights along the minima, at the records of the run")(
      "flow", "slow flow of any smooth network that can fit its data, over the run's rescaled time");
  add_set_option(options);
  add_format_option(options);
  const Arguments parsed(arguments, options, "theory CONFIG [options]", kTheoryExamples, "CONFIG");
  if (parsed.done()) return 0;
  const bool json = wants_json(parsed);
  Config config = config_of(parsed);
  const std::optional<ForkSource> source = fork_source(config);
  require(!source || !(parsed.has("path") || parsed.has("flow")), source ? source->written() : "",
          ": --path and --flow start from weights that are drawn, a fork from stored ones");
  // Theory knows no seeds: the first one of each point stands for all.
  config.take_first_seed();
  require_memory_of_theory(config);
  if (parsed.has("flow")) {
    require(!parsed.has("path"), "theory --flow --path: one at a time (--path is the flow of linear networks)");
    print_flow(config, json, parsed.has("quiet"));
    return 0;
  }
  std::vector<std::string> axes;
  for (const ConfigOption& option : option_table()) {
    if (config.values(option.key).size() > 1) axes.emplace_back(option.key);
  }

  std::vector<Row> rows;
  for (const Replica& replica : sweep_points(config)) rows.push_back(make_row(replica, axes, parsed.has("path")));
  if (json) {
    nlohmann::json all = nlohmann::json::array();
    for (const Row& row : rows) all.push_back(to_json(row));
    std::cout << nlohmann::json{{"points", all}}.dump(2) << '\n';
    return 0;
  }
  std::printf("%-30s %47s | %53s\n", "", "closed form (minimal fluctuation)", "limit of small learning rates");
  std::printf("%-30s %11s %11s %11s %11s | %11s %11s %11s %9s %9s %s\n", "point", "flattest", "trace", "fluctuation",
              "sharpness", "trace", "fluctuation", "sharpness", "circulat.", "relaxat.", "commutes");
  for (const Row& row : rows) print(row, parsed.has("quiet"));
  if (!parsed.has("quiet")) {
    print_run_lengths(rows);
    print_paper_units(rows);
  }
  return 0;
}

}  // namespace sharpseek
