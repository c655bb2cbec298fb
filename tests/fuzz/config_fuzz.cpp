// Any text as a configuration: it is resolved, becomes typed settings at every sweep point and is the same after a trip
// through JSON, or it is refused by UserError in one line.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "experiments/config/config.h"
#include "experiments/config/option_table.h"
#include "experiments/config/sweep.h"
#include "models/model.h"
#include "tests/fuzz/expect.h"

namespace {

using namespace sharpseek;

/// A sweep of a million replicas is legal; expanding it here would only cost memory.
constexpr double kMostReplicas = 2000;

/// Networks are built where they are small.
void build(const ModelOptions& model) {
  const auto small = [](int size) { return size <= 12; };
  if (small(model.width) && small(model.depth) && small(model.mlp_width) && small(model.inputs) &&
      small(model.outputs) && small(model.sequence)) {
    make_model(model);
  }
}

void resolve(const std::string& text) {
  const Config config(text, "fuzz.ini");
  const nlohmann::json json = config.json();
  const nlohmann::json parsed = nlohmann::json::parse(json.dump());
  expect(Config::from_json(parsed, "fuzz.json").json() == json, "a trip through JSON changes the configuration");

  double replicas = static_cast<double>(parsed["experiment"]["replicas"].get<std::int64_t>());
  for (const ConfigOption& option : option_table()) {
    replicas *= static_cast<double>(config.values(option.key).size());
  }
  if (replicas > kMostReplicas) return;
  // Makes the settings of every point, which reads every option.
  for (const Group& group : expand(config)) build(group.settings().model);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    resolve(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const UserError& error) {
    expect(std::string(error.what()).find('\n') == std::string::npos, "a message of several lines");
  }
  return 0;
}
