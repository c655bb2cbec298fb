#include <ATen/ATen.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "engine/cuda/cuda.h"
#include "engine/loss.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/config/json_schema.h"
#include "experiments/config/option_table.h"
#include "experiments/config/presets.h"
#include "models/model.h"
#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

std::string padded(std::string_view text, std::size_t width) {
  return std::string(text) + std::string(text.size() < width ? width - text.size() : 1, ' ');
}

const char* sweep_text(SweepKind kind) {
  switch (kind) {
    case SweepKind::kSingle: return "one value";
    case SweepKind::kReplica: return "replicas";
    case SweepKind::kGroup: return "groups";
  }
  return "";
}

nlohmann::json everything() {
  nlohmann::json result;
  for (const ModelKind& model : model_registry()) {
    result["models"].push_back({{"name", model.name}, {"description", model.description}});
  }
  for (const LossKind kind : kLosses) {
    const LossTraits loss = traits(kind);
    result["losses"].push_back({{"name", loss.name},
                                {"definition", loss.definition},
                                {"units", loss.units},
                                {"labels", label_names(loss.distributions)}});
  }
  for (const PresetFile& file : preset_files()) {
    const Config config(file.text, file.path);
    result["presets"].push_back({{"preset", file.preset()}, {"experiment", config.name()}, {"title", config.title()}});
  }
  for (const Quantity& quantity : quantity_registry()) {
    for (const Variable& variable : quantity.variables) {
      result["quantities"].push_back({{"quantity", quantity.name},
                                      {"variable", variable.name},
                                      {"standard", quantity.standard},
                                      {"units", variable.units},
                                      {"definition", variable.definition}});
    }
  }
  result["devices"] = {{{"device", "cpu"}, {"description", concat(available_threads(), " threads")}}};
  for (std::size_t i = 0; i < Cuda::instance().devices().size(); ++i) {
    result["devices"].push_back({{"device", concat("cuda:", i)}, {"description", Cuda::instance().devices()[i].name}});
  }
  if (!Cuda::instance().reason().empty()) {
    result["devices"].push_back({{"device", "cuda"}, {"description", "not here: " + Cuda::instance().reason()}});
  }
  for (const ConfigOption& option : option_table()) {
    result["options"].push_back({{"key", option.key},
                                 {"default", option.default_value},
                                 {"sweep", sweep_text(option.sweep)},
                                 {"help", option.help}});
  }
  return result;
}

}  // namespace

int command_list(const std::vector<std::string>& arguments) {
  boost::program_options::options_description options("options");
  options.add_options()("options", "configuration keys, with defaults and what several values do");
  options.add_options()("format", boost::program_options::value<std::string>()->default_value("table"),
                        "table | json | json-schema (of configurations, as index.json and run files hold them)");
  const Arguments parsed(arguments, options, "list [options]",
                         "  sharpseek list\n  sharpseek list --options --format json\n"
                         "  sharpseek list --format json-schema > sharpseek.schema.json\n");
  if (parsed.done()) return 0;
  if (parsed.get<std::string>("format") == "json-schema") {
    std::cout << json_schema().dump(2) << '\n';
    return 0;
  }
  const nlohmann::json all = everything();
  if (wants_json(parsed, " | json-schema")) {
    std::cout << (parsed.has("options") ? nlohmann::json{{"options", all["options"]}} : all).dump(2) << '\n';
    return 0;
  }
  const auto column = [](const nlohmann::json& entry, const char* key, std::size_t width) {
    return padded(entry[key].get<std::string>(), width);
  };
  if (parsed.has("options")) {
    for (const nlohmann::json& option : all["options"]) {
      std::cout << column(option, "key", 26) << column(option, "default", 10) << column(option, "sweep", 11)
                << option["help"].get<std::string>() << '\n';
    }
    return 0;
  }
  std::cout << "models (model.kind):\n";
  for (const auto& model : all["models"])
    std::cout << "  " << column(model, "name", 14) << model["description"].get<std::string>() << '\n';
  std::cout << "losses (training.loss; of one sample with outputs f and labels y, data.labels):\n";
  for (const auto& loss : all["losses"]) {
    std::cout << "  " << column(loss, "name", 14) << column(loss, "labels", 16) << loss["definition"].get<std::string>()
              << '\n';
  }
  std::cout << "devices (--device):\n";
  for (const auto& entry : all["devices"]) {
    std::cout << "  " << column(entry, "device", 14) << entry["description"].get<std::string>() << '\n';
  }
  std::cout << "presets (reproduce --preset):\n";
  for (const auto& entry : all["presets"]) {
    std::cout << "  " << column(entry, "preset", 8) << column(entry, "experiment", 20)
              << entry["title"].get<std::string>() << '\n';
  }
  std::cout << "quantities (measure.quantities; * = measured unless others are named):\n";
  for (const auto& entry : all["quantities"]) {
    std::cout << (entry["standard"].get<bool>() ? " *" : "  ") << column(entry, "quantity", 14)
              << column(entry, "variable", 22) << entry["definition"].get<std::string>() << '\n';
  }
  return 0;
}

}  // namespace sharpseek
