#include "experiments/cli/theory_flow.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiments/config/option_table.h"
#include "experiments/predict/flow.h"
#include "experiments/run/prepare.h"

namespace sharpseek {
namespace {

constexpr int kTimes = 11;

nlohmann::json numbers(const at::Tensor& row) {
  nlohmann::json all = nlohmann::json::array();
  for (std::int64_t r = 0; r < row.size(0); ++r) {
    const double value = row[r].item<double>();
    all.push_back(std::isfinite(value) ? nlohmann::json(value) : nlohmann::json());
  }
  return all;
}

nlohmann::json to_json(const FlowPrediction& prediction, std::size_t e, const std::vector<double>& times) {
  const SlowFlow& flow = prediction.flow;
  const auto row = static_cast<std::int64_t>(e);
  const double length = flow.length[row][-1].item<double>();
  const double circulation = flow.sideways[row][-1].item<double>() / length;
  return {{"parameters", prediction.start.size(1)},
          {"constraints", prediction.samples.targets.numel()},
          {"rank", flow.rank[e]},
          {"status", name_of(flow.status[e])},
          {"stopped_at", flow.stopped_at[e]},
          {"steps", flow.steps[e]},
          {"largest_misfit", flow.largest_misfit[e]},
          {"length", std::isfinite(length) ? nlohmann::json(length) : nlohmann::json()},
          {"circulation", std::isfinite(circulation) ? nlohmann::json(circulation) : nlohmann::json()},
          {"time", times},
          {"trace", numbers(flow.trace[row])},
          {"sharpness", numbers(flow.sharpness[row])},
          {"smallest_eigenvalue", numbers(flow.smallest[row])},
          {"gradient_fluctuation", numbers(flow.gradient_fluctuation[row])},
          {"speed", numbers(flow.speed[row])}};
}

void print_table(const nlohmann::json& flow, const std::string& name, bool quiet) {
  const auto at = [&](const char* key, std::size_t r) {
    const nlohmann::json& value = flow[key][r];
    return value.is_null() ? std::nan("") : value.get<double>();
  };
  if (!name.empty()) std::printf("%s\n", name.c_str());
  std::printf("%12s %12s %12s %14s %12s %12s\n", "time", "trace", "sharpness", "fluctuation", "smallest", "speed");
  for (std::size_t r = 0; r < flow["time"].size(); ++r) {
    std::printf("%12g %12.6f %12.6f %14.6f %12.6f %12.6f\n", at("time", r), at("trace", r), at("sharpness", r),
                at("gradient_fluctuation", r), at("smallest_eigenvalue", r), at("speed", r));
  }
  if (quiet) return;
  std::printf("  %lld parameters, %lld constraints of rank %lld, %lld steps; circulation %s\n",
              flow["parameters"].get<long long>(), flow["constraints"].get<long long>(), flow["rank"].get<long long>(),
              flow["steps"].get<long long>(), flow["circulation"].dump().c_str());
  if (flow["status"] != "complete") {
    std::printf("  note: stopped at time %g: %s\n", flow["stopped_at"].get<double>(),
                flow["status"].get<std::string>().c_str());
  }
}

}  // namespace

void print_flow(const Config& config, bool json, bool quiet) {
  std::vector<std::string> axes;
  for (const ConfigOption& option : option_table()) {
    if (config.values(option.key).size() > 1) axes.emplace_back(option.key);
  }
  nlohmann::json points = nlohmann::json::array();
  for (const PreparedGroup& single : prepare(config)) {
    std::vector<std::vector<double>> times;
    for (const Replica& replica : single.group.replicas) {
      const double end = replica.settings->end_time();
      times.emplace_back();
      for (int i = 0; i < kTimes; ++i) times.back().push_back(end * i / (kTimes - 1));
    }
    const FlowPrediction prediction = predict_flow(single, times);
    for (std::size_t e = 0; e < single.noise.size(); ++e) {
      nlohmann::json point = nlohmann::json::object();
      for (const std::string& axis : axes) point[axis] = single.group.replicas[e].settings->values.text(axis);
      points.push_back({{"point", point}, {"flow", to_json(prediction, e, times[e])}});
    }
  }
  if (json) {
    std::cout << nlohmann::json{{"points", points}}.dump(2) << '\n';
    return;
  }
  for (const nlohmann::json& point : points) {
    std::string name;
    for (const auto& [key, value] : point["point"].items()) {
      name +=
          (name.empty() ? "" : ",") + std::string(find_option(key, "sweep").name()) + "=" + value.get<std::string>();
    }
    print_table(point["flow"], name, quiet);
  }
}

}  // namespace sharpseek
