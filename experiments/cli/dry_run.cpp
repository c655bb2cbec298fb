#include "experiments/cli/dry_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iomanip>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "engine/make_engine.h"
#include "experiments/config/ini.h"
#include "experiments/predict/linear_theory.h"
#include "experiments/predict/run_length.h"
#include "experiments/run/memory.h"
#include "experiments/run/prepare.h"
#include "sharpness/probe.h"
#include "sharpness/replica_chunk.h"
#include "training/trainer.h"

namespace sharpseek {
namespace {

/// Training of the trial stops after this time, or at the run's last step.
constexpr double kTrialSeconds = 0.25;

struct Cost {
  double training = 0;  ///< seconds
  double measuring = 0;
  double prepared = 0;  ///< bytes, held until the end
  double running = 0;   ///< bytes, while this group trains
  double disk = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Cost estimate(const PreparedGroup& group, const EngineOptions& options) {
  const Settings& settings = group.settings();
  const Schedule& schedule = settings.schedule;
  const std::unique_ptr<Engine> engine = make_engine(group.program, options);
  const TrainingProblem problem = training_problem(group);
  TrainingState state = initial_state(group, engine->options(), problem.slots());
  const std::unique_ptr<Stepper> stepper = engine->stepper(problem);

  Cost cost;
  // Twice as many steps each time; the last, longest piece tells the rate.
  for (std::int64_t steps = 1; steps <= schedule.length(); steps *= 2) {
    const auto start = std::chrono::steady_clock::now();
    stepper->advance(state, steps);
    const double taken = seconds_since(start);
    cost.training = taken / static_cast<double>(steps) * static_cast<double>(schedule.length());
    if (taken > kTrialSeconds / 2) break;
  }
  // Measured chunk by chunk, each like the first: that one tells the time.
  const auto replicas = static_cast<double>(group.noise.size());
  const std::int64_t chunk =
      std::min(replicas_of_chunk(group.program.parameter_count()), static_cast<std::int64_t>(group.noise.size()));
  std::vector<std::size_t> rows(static_cast<std::size_t>(chunk));
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  Probe probe(*engine, evaluation_data(*group.task, settings.measure.samples, engine->options()), problem.of(rows),
              settings.measure.probe);
  const at::Tensor trial = state.parameters.slice(0, 0, chunk);
  std::vector<at::Tensor> slots;
  for (const at::Tensor& slot : state.slots) slots.push_back(slot.slice(0, 0, chunk));
  double taken = 0;
  for (int attempt = 0; attempt < 2 && taken < kTrialSeconds; ++attempt) {  // the first one also loads libraries
    const auto start = std::chrono::steady_clock::now();
    probe.measure(trial, state.step, slots);
    taken = seconds_since(start);
  }
  cost.measuring = taken * replicas / static_cast<double>(chunk) * static_cast<double>(schedule.records());

  const MemoryNeed need = memory_need(settings, group.program, static_cast<std::int64_t>(group.noise.size()), options);
  cost.prepared = need.prepared;
  cost.running = need.running();
  cost.disk = 8 * replicas *
              (static_cast<double>(record_size(settings, group.program)) * static_cast<double>(schedule.records()) +
               static_cast<double>(group.program.parameter_count()));
  return cost;
}

std::string duration(double seconds) {
  std::ostringstream text;
  text << std::setprecision(3);
  if (seconds < 100) {
    text << seconds << " s";
  } else if (seconds < 6000) {
    text << seconds / 60 << " min";
  } else {
    text << seconds / 3600 << " h";
  }
  return text.str();
}

/// What theory says at each condition of a linear network's group, and of its run there; null where it says nothing.
nlohmann::json predictions_of(const PreparedGroup& group, const Config& config) {
  const ModelOptions& model = group.settings().model;
  const Task& task = *group.task;
  if (!linear_theory_refusal(model, task).empty()) return nullptr;
  nlohmann::json found = nlohmann::json::array();
  const std::vector<Prediction> predictions = predict(model, task, group.noise);
  const std::vector<Replica>& replicas = group.group.replicas;
  const bool several_rates = std::ranges::any_of(replicas, [&](const Replica& replica) {
    return replica.settings->learning_rate != replicas.front().settings->learning_rate;
  });
  for (std::size_t e = 0; e < group.noise.size(); ++e) {
    // Seeds and starts share a prediction; the rate changes what the run is worth.
    const Settings& own = *replicas[e].settings;
    std::string name;
    const auto append = [&](std::string_view key, const std::string& value) {
      name += concat(name.empty() ? "" : ", ", key, " ", value);
    };
    for (const std::string& key : replica_axes(config)) {
      if (key.starts_with("noise.")) append(std::string_view(key).substr(6), own.values.text(key));
    }
    if (several_rates) append("learning_rate", concat(own.learning_rate));
    if (std::ranges::any_of(found, [&](const nlohmann::json& entry) { return entry["at"] == name; })) continue;
    if (!linear_theory_refusal(task, group.noise[e]).empty()) return nullptr;
    const Prediction& prediction = predictions[e];
    if (!prediction.closed_form) continue;  // singular noise or inputs, as sharpseek theory says
    const ClosedForm& form = *prediction.closed_form;
    const RunLength length = run_length(own, prediction);
    nlohmann::json entry{{"at", name},
                         {"trace", form.trace},
                         {"flattest_trace", form.flattest_trace},
                         {"sharpness", form.sharpness},
                         {"gradient_fluctuation", form.gradient_fluctuation},
                         {"commutes", prediction.commutes},
                         {"limit_trace", nullptr},
                         {"limit_sharpness", nullptr},
                         {"relaxation_times", nullptr},
                         {"edge_share", nullptr},
                         {"warnings", length.warnings}};
    if (prediction.limit) {
      entry["limit_trace"] = prediction.limit->reading.trace;
      entry["limit_sharpness"] = prediction.limit->reading.sharpness;
    }
    if (length.relaxation_times) entry["relaxation_times"] = *length.relaxation_times;
    if (length.edge_share) entry["edge_share"] = *length.edge_share;
    found.push_back(entry);
  }
  return found;
}

/// The values of a key in a group, in the order of its replicas; where keys move together it need not have all.
std::vector<std::string> values_of(const Group& group, const std::string& key) {
  std::vector<std::string> values;
  for (const Replica& replica : group.replicas) {
    const std::string& value = replica.settings->values.text(key);
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  }
  return values;
}

nlohmann::json json_of(const Cost& cost) {
  return {{"training_seconds", cost.training},
          {"measuring_seconds", cost.measuring},
          {"memory_bytes", cost.prepared + cost.running},
          {"disk_bytes", cost.disk}};
}

/// A line of theory for one condition, and what to be careful about.
void print_prediction(const nlohmann::json& form, std::ostream& out) {
  const auto at = form["at"].get<std::string>();
  out << "  theory" << (at.empty() ? "" : " at " + at) << ": trace " << form["trace"].get<double>()
      << " (flattest possible " << form["flattest_trace"].get<double>() << "), sharpness "
      << form["sharpness"].get<double>() << ", fluctuation " << form["gradient_fluctuation"].get<double>();
  if (!form["commutes"].get<bool>()) {
    out << "; noise and signal do not commute: SGD settles ";
    if (form["limit_trace"].is_null()) {
      out << "elsewhere";
    } else {
      out << "at trace " << form["limit_trace"].get<double>() << ", sharpness "
          << form["limit_sharpness"].get<double>();
    }
  }
  if (!form["relaxation_times"].is_null()) {
    out << "; run of " << std::setprecision(3) << form["relaxation_times"].get<double>() << " relaxation times"
        << std::setprecision(6);
  }
  out << '\n';
  for (const nlohmann::json& warning : form["warnings"]) out << "    note: " << warning.get<std::string>() << '\n';
}

}  // namespace

nlohmann::json dry_run(const Config& config, const EngineOptions& engine, const Shard& shard,
                       const std::filesystem::path& home) {
  require_memory(config, engine, shard);
  nlohmann::json groups = nlohmann::json::array();
  Cost total;
  for (const PreparedGroup& group : prepare(config, shard, home)) {
    const Settings& settings = group.settings();
    const Schedule& schedule = settings.schedule;
    const Cost cost = estimate(group, engine);
    nlohmann::json axes = nlohmann::json::array();
    for (const std::string& key : replica_axes(config)) {
      axes.push_back({{"key", key}, {"values", values_of(group.group, key)}});
    }
    groups.push_back({{"name", group.group.name.empty() ? config.name() : group.group.name},
                      {"replicas", group.noise.size()},
                      {"seeds", settings.seeds},
                      {"parameters", group.program.parameter_count()},
                      {"steps", schedule.length()},
                      {"batch", settings.batch},
                      {"remarks", group.remarks},
                      {"records", schedule.records()},
                      {"until_stationary", settings.until_stationary},
                      {"axes", axes},
                      {"cost", json_of(cost)},
                      {"closed_form", predictions_of(group, config)}});
    if (group.fork) groups.back()["from"] = {{"parent", group.fork->parent}, {"step", group.fork->step}};
    total.training += cost.training;
    total.measuring += cost.measuring;
    total.prepared += cost.prepared;
    total.running = std::max(total.running, cost.running);
    total.disk += cost.disk;
  }
  return {{"groups", groups}, {"cost", json_of(total)}};
}

void print_dry_run(const nlohmann::json& run, std::ostream& out) {
  const auto memory = [](const nlohmann::json& cost) { return in_bytes(cost["memory_bytes"].get<double>()); };
  const auto disk = [](const nlohmann::json& cost) { return in_bytes(cost["disk_bytes"].get<double>()); };
  for (const nlohmann::json& group : run["groups"]) {
    out << group["name"].get<std::string>() << ": " << group["replicas"] << " replicas (" << group["seeds"]
        << " seeds each), " << group["parameters"] << " parameters, " << group["steps"] << " steps, "
        << group["records"] << " records\n";
    if (group.contains("from")) {
      out << "  from " << group["from"]["parent"].get<std::string>() << " at step " << group["from"]["step"] << '\n';
    }
    for (const nlohmann::json& remark : group["remarks"]) out << "  note: " << remark.get<std::string>() << '\n';
    for (const nlohmann::json& axis : group["axes"]) {
      out << "  axis " << axis["key"].get<std::string>() << ":";
      for (const nlohmann::json& value : axis["values"]) out << ' ' << quoted(value.get<std::string>());
      out << '\n';
    }
    const nlohmann::json& cost = group["cost"];
    out << "  cost: training " << duration(cost["training_seconds"]) << ", measuring "
        << duration(cost["measuring_seconds"]) << ", memory " << memory(cost) << ", disk at most " << disk(cost)
        << (group["until_stationary"] ? "; less if it is stationary earlier" : "") << '\n';
    if (group["closed_form"].is_null()) out << "  theory: no closed form for this network and task\n";
    for (const nlohmann::json& form : group["closed_form"]) print_prediction(form, out);
  }
  const nlohmann::json& cost = run["cost"];
  out << "all: " << duration(cost["training_seconds"].get<double>() + cost["measuring_seconds"].get<double>())
      << ", memory " << memory(cost) << " in addition to the program itself, disk at most " << disk(cost) << '\n';
}

}  // namespace sharpseek
