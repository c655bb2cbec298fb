#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/run/merge.h"

namespace sharpseek {
namespace {

constexpr const char* kMergeExamples =
    "  sharpseek merge out/sweep            # out/sweep/run.h5 shows the values that stay in the shards\n"
    "  sharpseek merge out/sweep --copy     # out/sweep/run.h5 holds them; the shards may then be removed\n";

}  // namespace

int command_merge(const std::vector<std::string>& arguments) {
  boost::program_options::options_description options("options");
  options.add_options()("copy", "copy the values of the shards into run.h5");
  add_format_option(options);
  const Arguments parsed(arguments, options, "merge DIR [options]", kMergeExamples, "DIR");
  if (parsed.done()) return 0;
  const bool json = wants_json(parsed);
  const Merged merged = merge_shards(parsed.required("DIR"), parsed.has("copy"));
  if (json) {
    nlohmann::json files = nlohmann::json::array();
    for (const std::filesystem::path& file : merged.files) files.push_back(file.string());
    std::cout << nlohmann::json{{"files", files}, {"shards", merged.shards}, {"replicas", merged.replicas}}.dump(2)
              << '\n';
  } else if (!parsed.has("quiet")) {
    for (const std::filesystem::path& file : merged.files) std::cout << file.string() << '\n';
    std::cout << merged.shards << " shards, " << merged.replicas << " replicas\n";
  }
  return 0;
}

}  // namespace sharpseek
