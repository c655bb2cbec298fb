#include "experiments/cli/arguments.h"

#include <boost/program_options/parsers.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/make_engine.h"
#include "experiments/cli/interrupt.h"
#include "experiments/cli/progress.h"
#include "experiments/config/fork.h"
#include "experiments/config/option_table.h"
#include "experiments/config/shard.h"
#include "experiments/run/shard_folders.h"

namespace sharpseek {

namespace po = boost::program_options;

Arguments::Arguments(const std::vector<std::string>& arguments, po::options_description options,
                     const std::string& usage, const std::string& examples, const std::string& positional)
    : usage_(usage) {
  options.add_options()("help,h", "show this help")("quiet,q", "no progress, no notes");
  po::options_description all = options;
  po::positional_options_description places;
  if (!positional.empty()) {
    all.add_options()(positional.c_str(), po::value<std::string>());
    places.add(positional.c_str(), 1);
  }
  try {
    // No guessing of abbreviated flags: what works today must mean the same tomorrow.
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments).options(all).positional(places).style(style).run(), values_);
    po::notify(values_);
  } catch (const po::unknown_option& error) {
    std::vector<std::string> flags;
    for (const auto& option : options.options()) flags.push_back("--" + option->long_name());
    const std::string meant = nearest(error.get_option_name(), flags);
    throw UserError(concat("unknown flag ", error.get_option_name(),
                           meant.empty() ? "; see sharpseek " + usage.substr(0, usage.find(' ')) + " --help"
                                         : ", did you mean " + meant + "?"));
  } catch (const po::error& error) {
    throw UserError(concat(error.what(), "; see sharpseek ", usage.substr(0, usage.find(' ')), " --help"));
  }
  if (has("help")) {
    std::cout << "usage: sharpseek " << usage << "\n\n" << options << "\nexamples:\n" << examples;
    done_ = true;
  }
}

const std::string& Arguments::required(const std::string& name) const {
  require(has(name), "missing ", name, "; usage: sharpseek ", usage_);
  return get<std::string>(name);
}

void add_set_option(po::options_description& options) {
  options.add_options()("set", po::value<std::vector<std::string>>()->composing(),
                        "section.key=value, used instead of the file's value; may be repeated");
}

void add_engine_options(po::options_description& options) {
  const EngineOptions defaults;
  options.add_options()("engine", po::value<std::string>()->default_value(defaults.engine), "auto | torch | lanes")(
      "device", po::value<std::string>()->default_value(defaults.device), "auto | cpu | cuda | cuda:N")(
      "dtype", po::value<std::string>()->default_value(defaults.dtype), "float32 | float64")(
      "isa", po::value<std::string>()->default_value(defaults.isa), "auto | scalar | sse4.2 | avx2 | avx512")(
      "threads", po::value<int>()->default_value(defaults.threads), "CPU threads; 0 = one for each core")(
      "tf32", "CUDA: faster products of 10 bits (TF32)");
}

void add_format_option(po::options_description& options) {
  options.add_options()("format", po::value<std::string>()->default_value("table"), "table | json");
}

EngineChoice engine_choice(const Arguments& arguments) {
  open_device(arguments.get<std::string>("device"));
  const auto text = [&](const char* name) {
    return arguments.given(name) ? std::optional(arguments.get<std::string>(name)) : std::nullopt;
  };
  return {.engine = text("engine"),
          .device = text("device"),
          .dtype = text("dtype"),
          .isa = text("isa"),
          .threads = arguments.given("threads") ? std::optional(arguments.get<int>("threads")) : std::nullopt,
          .tf32 = arguments.has("tf32") ? std::optional(true) : std::nullopt};
}

void add_checkpoint_option(po::options_description& options) {
  options.add_options()("checkpoint-every", po::value<double>(),
                        "seconds between checkpoints (default: a hundred times what writing one takes, at least 2)");
}

RunOptions run_options(const Arguments& arguments) {
  RunOptions options{.engine = engine_choice(arguments), .interrupted = interrupted};
  if (!arguments.has("quiet")) {
    options.progress = terminal_progress;
    options.remark = [](const std::string& remark) { std::cerr << "note: " << remark << '\n'; };
  }
  if (arguments.has("checkpoint-every")) {
    const double seconds = arguments.get<double>("checkpoint-every");
    require(seconds >= 0, "--checkpoint-every ", seconds, ": must be at least 0");
    options.checkpoint_seconds = seconds;
  }
  return options;
}

void add_shard_option(po::options_description& options) {
  options.add_options()("shard", po::value<std::string>(),
                        "I/N: train part I of N (0 to N-1) of the replicas into DIR/shard-I-of-N; default: from "
                        "SLURM_ARRAY_TASK_ID, RANK or JOB_COMPLETION_INDEX; 0/1: all");
}

Shard shard_option(const Arguments& arguments, const std::filesystem::path& directory) {
  const bool given = arguments.has("shard");
  const auto [shard, origin] =
      given ? std::pair(parse_shard(arguments.get<std::string>("shard"), "--shard"), std::string("--shard"))
            : environment_shard();
  require_same_split(directory, shard, origin);
  if (given) return shard;
  if (shard.count > 1 && !arguments.has("quiet")) {
    std::cerr << "sharpseek: shard " << shard.index << "/" << shard.count << ", from " << origin
              << " (--shard 0/1 trains all)\n";
  }
  return shard;
}

bool wants_json(const Arguments& arguments, std::string_view others) {
  const std::string& format = arguments.get<std::string>("format");
  require(format == "table" || format == "json", "--format ", format, ": must be table | json", others);
  return format == "json";
}

void apply_sets(const Arguments& arguments, Config& config) {
  if (!arguments.has("set")) return;
  for (const std::string& assignment : arguments.get<std::vector<std::string>>("set")) config.set(assignment);
}

Config config_of(const Arguments& arguments) {
  Config config = Config::from_file(arguments.required("CONFIG"));
  apply_sets(arguments, config);
  if (arguments.has("from")) config.set_from(fork_path(arguments.get<std::string>("from")));
  return config;
}

int report_summary(const RunSummary& summary, const std::string& directory, bool quiet, bool json) {
  if (summary.interrupted) {
    std::cerr << "sharpseek: interrupted; continue with: sharpseek resume " << directory << '\n';
  }
  if (json) {
    nlohmann::json result{
        {"directory", directory},       {"replicas", summary.replicas},       {"stationary", summary.stationary},
        {"diverged", summary.diverged}, {"interrupted", summary.interrupted}, {"remarks", summary.remarks}};
    if (!summary.report.empty()) result["report"] = summary.report;
    std::cout << result.dump(2) << '\n';
  } else if (!summary.interrupted && !quiet) {
    std::cout << directory << ": " << summary.replicas << " replicas, " << summary.stationary << " stationary, "
              << summary.diverged << " diverged\n";
    for (const std::string& remark : summary.remarks) std::cout << "note: " << remark << '\n';
    if (!summary.report.empty()) std::cout << summary.report << '\n';
  }
  return summary.interrupted ? kExitInterrupted : summary.diverged > 0 ? kExitDiverged : 0;
}

}  // namespace sharpseek
