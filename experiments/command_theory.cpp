#include <ATen/ATen.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "experiments/arguments.h"
#include "experiments/option_table.h"
#include "experiments/sweep.h"
#include "theory/closed_form.h"

namespace sharpseek {
namespace {

constexpr const char* kExamples =
    "  sharpseek theory sweep.ini\n"
    "  sharpseek theory sweep.ini --format json --set noise.condition='1 10 100'\n";

/// A sweep point without its seeds: its settings by swept key, the prediction, and what to be careful about.
struct Prediction {
  nlohmann::json point;
  ClosedForm closed;
  bool applies = true;
  std::vector<std::string> warnings;
};

Prediction predict(const Point& point, const std::vector<std::string>& axes) {
  const ModelOptions model = point.model();
  require(model.kind == "linear" || (model.kind == "mlp" && model.activation == "identity"),
          "model.kind = ", model.kind, ": the closed form is for linear networks");
  require(model.depth >= 2, "model.depth = ", model.depth,
          ": the closed form needs at least 2 (one matrix has a single minimum)");
  require(!model.bias, "model.bias = true: the closed form is for networks without offsets");
  const Task task = make_task(point.task(), point.seed());
  require(task.teacher.linear, "data.teacher = ", point.text("data.teacher"),
          ": the closed form needs a linear teacher");
  require(task.tokens == 1, "data.sequence = ", task.tokens, ": the closed form is for one token");
  const Matrix signal = task.signal();
  const Noise noise = make_noise(point.noise(), task.outputs, &signal, point.seed());

  Prediction prediction;
  for (const std::string& axis : axes) prediction.point[axis] = point.text(axis);
  prediction.closed = closed_form(model.depth, *task.teacher.matrix, task.input_covariance, noise.covariance);
  const ClosedForm& closed = prediction.closed;
  if (closed.rank < std::min(task.outputs, task.inputs)) {
    prediction.warnings.push_back(concat("the teacher has rank ", closed.rank, " of ",
                                         std::min(task.outputs, task.inputs), ": zero singular values are dropped"));
  }
  if (model.width < closed.rank) {
    prediction.applies = false;
    prediction.warnings.push_back(concat("model.width = ", model.width, " is below the teacher's rank ", closed.rank,
                                         ": no global minimum fits the teacher"));
  }
  if (!closed.commutes) {
    prediction.warnings.push_back("noise and signal do not commute: SGD does not settle at the closed form");
  }
  return prediction;
}

/// The sweep points of all groups, each once.
std::vector<Point> sweep_points(const Config& config) {
  std::vector<Point> points;
  for (const Group& group : expand(config)) {
    for (const Replica& replica : group.replicas) {
      if (replica.seed == 0) points.push_back(replica.point);
    }
  }
  return points;
}

nlohmann::json to_json(const Prediction& prediction) {
  const ClosedForm& closed = prediction.closed;
  nlohmann::json result{{"point", prediction.point}, {"commutes", closed.commutes}, {"warnings", prediction.warnings}};
  if (prediction.point.is_null()) result["point"] = nlohmann::json::object();
  result["closed_form"] = nullptr;
  if (prediction.applies) {
    result["closed_form"] = {{"trace", closed.trace},
                             {"flattest_trace", closed.flattest_trace},
                             {"gradient_fluctuation", closed.gradient_fluctuation},
                             {"sharpness", closed.sharpness}};
  }
  result["small_lr_limit"] = nullptr;  // null: not computed by this version
  return result;
}

}  // namespace

int command_theory(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("path", "trajectory of the small-rate limit (a later version)")(
      "flow", "slow-manifold flow of any network (a later version)");
  add_set_option(options);
  add_format_option(options);
  const Arguments parsed(arguments, options, "theory CONFIG [options]", kExamples, "CONFIG");
  if (parsed.done()) return 0;
  require(!parsed.has("path"), "theory --path: comes with a later version");
  require(!parsed.has("flow"), "theory --flow: comes with a later version");
  const bool json = wants_json(parsed);
  const Config config = config_of(parsed);
  const std::vector<Point> points = sweep_points(config);
  std::vector<std::string> axes;
  for (const auto& [key, value] : points.front().values()) {
    if (config.values(key).size() > 1) axes.push_back(key);
  }

  std::vector<Prediction> predictions;
  for (const Point& point : points) predictions.push_back(predict(point, axes));
  if (json) {
    nlohmann::json all = nlohmann::json::array();
    for (const Prediction& prediction : predictions) all.push_back(to_json(prediction));
    std::cout << nlohmann::json{{"points", all}}.dump(2) << '\n';
    return 0;
  }
  std::printf("%-40s %12s %12s %14s %12s %s\n", "point", "trace", "flattest", "fluctuation", "sharpness", "commutes");
  for (const Prediction& prediction : predictions) {
    std::string name;
    for (const auto& [key, value] : prediction.point.items()) {
      name += concat(name.empty() ? "" : ",", find_option(key, "sweep").name(), "=", value.get<std::string>());
    }
    const ClosedForm& closed = prediction.closed;
    if (prediction.applies) {
      std::printf("%-40s %12.6f %12.6f %14.6f %12.6f %s\n", name.c_str(), closed.trace, closed.flattest_trace,
                  closed.gradient_fluctuation, closed.sharpness, closed.commutes ? "yes" : "no");
    } else {
      std::printf("%-40s %12s\n", name.c_str(), "-");
    }
    if (parsed.has("quiet")) continue;
    for (const std::string& warning : prediction.warnings) std::printf("  note: %s\n", warning.c_str());
  }
  return 0;
}

}  // namespace sharpseek
