#include "experiments/predictions.h"

#include <limits>
#include <map>

#include "theory/closed_form.h"

namespace sharpseek {
namespace {

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void record_predictions(const PreparedGroup& prepared, RunRecord& record) {
  const ModelOptions model = prepared.group.point().model();
  const Task& task = *prepared.task;
  const bool linear = model.kind == "linear" || (model.kind == "mlp" && model.activation == "identity");
  if (!linear || model.bias || model.depth < 2 || !task.teacher.linear || task.tokens > 1 || !task.online()) return;
  std::map<std::string, std::vector<double>> columns;
  std::vector<std::int64_t> commutes;
  for (const Noise& noise : prepared.noise) {
    const ClosedForm form = closed_form(model.depth, *task.teacher.matrix, task.input_covariance, noise.covariance);
    const bool reachable = model.width >= form.rank;
    columns["closed_form_trace"].push_back(reachable ? form.trace : kNotMeasured);
    columns["closed_form_sharpness"].push_back(reachable ? form.sharpness : kNotMeasured);
    columns["closed_form_gradient_fluctuation"].push_back(reachable ? form.gradient_fluctuation : kNotMeasured);
    columns["closed_form_flattest_trace"].push_back(reachable ? form.flattest_trace : kNotMeasured);
    commutes.push_back(form.commutes ? 1 : 0);
  }
  for (const auto& [name, values] : columns) {
    record.replica_variable({name, values, "1", "minimal-fluctuation solution in closed form (docs/theory.md)"});
  }
  record.replica_variable(
      {"commutes", commutes, "", "1 where noise and signal commute, so that SGD goes to the closed form as eta -> 0"});
}

}  // namespace sharpseek
