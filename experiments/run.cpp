#include "experiments/run.h"

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.h"
#include "experiments/partial_directory.h"
#include "experiments/prepare.h"
#include "experiments/run_group.h"

namespace sharpseek {

RunSummary run_experiment(const Config& config, const EngineOptions& engine_options,
                          const std::filesystem::path& directory, bool quiet) {
  namespace fs = std::filesystem;
  require(!fs::exists(directory), directory.string(), ": exists already; choose another --out");
  const std::vector<PreparedGroup> groups = prepare(config);
  std::vector<std::unique_ptr<Engine>> engines;
  for (const PreparedGroup& group : groups) engines.push_back(make_engine(group.program, engine_options));

  PartialDirectory partial(directory);
  RunSummary total;
  nlohmann::json index{{"schema_version", 1}, {"experiment", config.single("experiment.name")}};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string& name = groups[i].group.name;
    const fs::path place = groups.size() > 1 ? partial.path() / name : partial.path();
    fs::create_directories(place);
    const RunSummary summary = run_group(groups[i], config, *engines[i], place, quiet);
    total.replicas += summary.replicas;
    total.diverged += summary.diverged;
    total.stationary += summary.stationary;
    total.interrupted = summary.interrupted;
    if (total.interrupted) return total;
    index["groups"].push_back({{"name", name}, {"path", name + "/run.h5"}});
  }
  if (groups.size() > 1) {
    std::ofstream out(partial.path() / "index.json");
    out << index.dump(2) << '\n';
    out.close();
    require(out.good(), (partial.path() / "index.json").string(), ": cannot be written");
  }
  partial.commit();
  return total;
}

}  // namespace sharpseek
