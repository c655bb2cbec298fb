#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/run/reproduction.h"

namespace sharpseek {
namespace {

constexpr const char* kReproduceExamples =
    "  sharpseek reproduce --preset quick\n"
    "  sharpseek reproduce --preset quick --only linear-2 --out out/linear\n";

}  // namespace

int command_reproduce(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("preset", po::value<std::string>()->default_value("quick"),
                        "beyond | full | paper | quick | smoke")(
      "only", po::value<std::vector<std::string>>()->multitoken(), "names of experiments, or how they begin")(
      "out", po::value<std::string>(),
      "result folder, must not exist (default out/PRESET); resume continues one that was stopped")(
      "no-report", "do not write the report");
  add_set_option(options);
  add_engine_options(options);
  add_checkpoint_option(options);
  add_format_option(options);
  const Arguments parsed(arguments, options, "reproduce [options]", kReproduceExamples);
  if (parsed.done()) return 0;
  ReproductionPlan plan{.preset = parsed.get<std::string>("preset"), .report = !parsed.has("no-report")};
  if (parsed.has("only")) plan.only = parsed.get<std::vector<std::string>>("only");
  if (parsed.has("set")) plan.sets = parsed.get<std::vector<std::string>>("set");
  const std::filesystem::path directory = parsed.has("out") ? parsed.get<std::string>("out") : "out/" + plan.preset;
  const bool json = wants_json(parsed);
  const RunOptions run = run_options(parsed);
  const RunSummary summary = reproduce(plan, directory, run);
  return report_summary(summary, directory.string(), parsed.has("quiet"), json);
}

}  // namespace sharpseek
