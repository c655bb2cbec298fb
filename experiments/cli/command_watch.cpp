#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/not_measured.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/interrupt.h"
#include "experiments/cli/progress.h"
#include "experiments/cli/sparkline.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/index.h"
#include "experiments/run/record.h"
#include "experiments/run/recording.h"
#include "experiments/run/verify.h"
#include "files/directory_lock.h"
#include "files/netcdf_file.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWatchExamples =
    "  sharpseek watch out/sweep                      # until it is finished\n"
    "  sharpseek watch out/sweep --once --format json\n";

/// How far one run is, as its files say: what is written here survives whatever happens.
struct Standing {
  std::string path;
  std::string state;  ///< running | stopped | finished
  std::string holder;
  std::int64_t replicas = 0;
  std::int64_t step = 0;
  std::int64_t steps = 0;  ///< of the whole training; 0 if a recording does not say
  std::int64_t first = 0;  ///< step of the first record: of a fork its parent's
  std::int64_t records = 0;
  std::int64_t diverged = 0;
  fs::file_time_type kept;          ///< when `step` was reached, of a run that is not finished
  std::optional<double> rate;       ///< steps a second since the first look; none before the second checkpoint
  std::optional<double> trace;      ///< mean over replicas at the last record, diverged ones aside
  std::optional<double> sharpness;  ///< likewise
  std::vector<double> history;  ///< mean sharpness at some of the records, at most kHistory, the last one among them
  /// kappa -> mean trace and sharpness of its replicas at the last record.
  std::map<double, std::pair<std::optional<double>, std::optional<double>>> conditions;
};

/// Points of a sparkline.
constexpr std::int64_t kHistory = 32;

/// A variable of all replicas at one record; empty where there is none.
std::vector<double> at_record(files::File& file, const std::string& name, std::int64_t record) {
  if (record < 0 || !file.has(name)) return {};
  const std::vector<hsize_t> shape = file.shape(name);
  require(shape.size() == 2, file.path(), ": ", name, ": has ", shape.size(), " dimensions, not two");
  std::vector<double> values(file.elements(name, {shape.front()}));
  file.read(name, {0, static_cast<hsize_t>(record)}, {values.size(), 1}, values.data());
  return values;
}

/// Mean of the finite values, of those that `chosen` picks.
template <class Chosen>
std::optional<double> mean_of(const std::vector<double>& values, Chosen chosen) {
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || !chosen(i)) continue;
    sum += values[i];
    ++count;
  }
  return count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt;
}

/// What the run measures: its means now, by kappa, and the way of the sharpness.
void read_values(files::File& file, Standing& standing) {
  const auto all = [](std::size_t) { return true; };
  const std::int64_t last = standing.records - 1;
  const std::vector<double> trace = at_record(file, "trace", last);
  const std::vector<double> sharpness = at_record(file, "sharpness", last);
  standing.trace = mean_of(trace, all);
  standing.sharpness = mean_of(sharpness, all);
  const std::int64_t points = std::min(kHistory, standing.records);
  for (std::int64_t i = 1; i <= points; ++i) {
    const std::int64_t record = i * standing.records / points - 1;
    standing.history.push_back(mean_of(at_record(file, "sharpness", record), all).value_or(kNotMeasured));
  }
  if (!file.has("condition")) return;
  const std::vector<double> condition = file.numbers("condition");
  for (double kappa : condition) {
    if (standing.conditions.contains(kappa)) continue;
    const auto own = [&](std::size_t i) { return i < condition.size() && condition[i] == kappa; };
    standing.conditions[kappa] = {mean_of(trace, own), mean_of(sharpness, own)};
  }
}

/// The folder that is locked while this run is written: the nearest one above that is an experiment's.
fs::path locked_folder(fs::path folder) {
  for (fs::path at = folder; !at.empty() && at != at.root_path(); at = at.parent_path()) {
    if (fs::exists(at / kIndexFile)) return at;
  }
  return folder;
}

/// Of a file that sharpseek.curvature.Recorder keeps.
Standing standing_of_recording(files::File& file, Standing standing) {
  const Recording recording = read_recording(file);
  standing.state = recording.state;
  standing.holder = recording.holder;
  standing.replicas = 1;
  standing.step = recording.step;
  standing.steps = recording.steps;
  standing.records = recording.records;
  if (recording.state == "running") standing.kept = fs::last_write_time(standing.path);
  read_values(file, standing);
  return standing;
}

Standing standing_of(const fs::path& path) {
  files::File file = files::File::open(path.string());
  Standing standing;
  standing.path = path.string();
  if (is_recording(file)) return standing_of_recording(file, std::move(standing));
  standing.holder = files::lock_holder(locked_folder(fs::absolute(path).parent_path()));
  standing.steps = file.integer_attribute("/", "steps");
  if (file.has_attribute("/", "parent_step")) standing.first = file.integer_attribute("/", "parent_step");
  standing.step = standing.first;
  standing.replicas = static_cast<std::int64_t>(file.length("replica"));
  std::vector<std::int64_t> diverged_at;
  if (file.has_attribute("/", "finished")) {
    standing.state = "finished";
    standing.records = static_cast<std::int64_t>(file.length("time"));
    standing.step = file.integer_attribute("checkpoint/parameters", "step");
    diverged_at = file.integers("diverged_at");
  } else {
    standing.state = standing.holder.empty() ? "stopped" : "running";
    const fs::path kept = path.parent_path() / kCheckpointFile;
    if (fs::exists(kept)) {
      files::File checkpoint = files::File::open(kept.string());
      standing.records = checkpoint.integer_attribute("/", "records");
      standing.step = checkpoint.integer_attribute("checkpoint/parameters", "step");
      standing.kept = fs::last_write_time(kept);
      diverged_at = checkpoint.integers("checkpoint/diverged_at");
    }
  }
  standing.diverged = std::count_if(diverged_at.begin(), diverged_at.end(), [](std::int64_t at) { return at >= 0; });
  read_values(file, standing);
  return standing;
}

std::string number_text(const std::optional<double>& value) {
  if (!value) return "-";
  std::ostringstream text;
  text << std::setprecision(6) << *value;
  return text.str();
}

/// With one digit after the point.
std::string fixed_text(double value) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << value;
  return text.str();
}

std::optional<double> seconds_left(const Standing& run) {
  if (run.state != "running" || !run.rate || run.steps == 0) return std::nullopt;
  return static_cast<double>(run.steps - run.step) / *run.rate;
}

std::string left_text(const Standing& run) {
  const std::optional<double> left = seconds_left(run);
  return left ? duration_text(*left) : "-";
}

std::string table(const std::vector<Standing>& runs) {
  std::ostringstream out;
  std::size_t width = 4;
  for (const Standing& run : runs) width = std::max(width, run.path.size());
  out << std::left << std::setw(static_cast<int>(width)) << "file" << std::right << "  state     replicas  diverged"
      << "          step       of       %         left  records     trace  sharpness\n";
  for (const Standing& run : runs) {
    const double share = run.steps > run.first ? 100.0 * static_cast<double>(run.step - run.first) /
                                                     static_cast<double>(run.steps - run.first)
                                               : 100.0;
    const std::string steps = run.steps > 0 ? std::to_string(run.steps) : "-";
    const std::string percent = run.steps > 0 ? fixed_text(share) : "-";
    out << std::left << std::setw(static_cast<int>(width)) << run.path << "  " << std::setw(8) << run.state
        << std::right << std::setw(10) << run.replicas << std::setw(10) << run.diverged << std::setw(14) << run.step
        << std::setw(11) << steps << std::setw(6) << percent << std::setw(13) << left_text(run) << std::setw(9)
        << run.records << std::setw(10) << number_text(run.trace) << std::setw(11) << number_text(run.sharpness) << "  "
        << sparkline(run.history, static_cast<std::size_t>(kHistory), terminal_speaks_unicode()) << '\n';
    if (run.conditions.size() < 2) continue;
    for (const auto& [kappa, values] : run.conditions) {
      out << "  kappa " << std::left << std::setw(8) << number_text(kappa) << "trace " << std::setw(12)
          << number_text(values.first) << "sharpness " << number_text(values.second) << std::right << '\n';
    }
  }
  out << "trace, sharpness: means over replicas at the last record, without diverged ones; bars: the mean sharpness so "
         "far\n";
  return out.str();
}

nlohmann::json json_of(const std::vector<Standing>& runs) {
  const auto number = [](const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  nlohmann::json result = nlohmann::json::array();
  for (const Standing& run : runs) {
    nlohmann::json conditions = nlohmann::json::array();
    for (const auto& [kappa, values] : run.conditions) {
      conditions.push_back(
          {{"condition", kappa}, {"trace", number(values.first)}, {"sharpness", number(values.second)}});
    }
    result.push_back({{"file", run.path},
                      {"state", run.state},
                      {"holder", run.holder},
                      {"replicas", run.replicas},
                      {"diverged", run.diverged},
                      {"step", run.step},
                      {"steps", run.steps},
                      {"steps_per_second", number(run.rate)},
                      {"seconds_left", number(seconds_left(run))},
                      {"records", run.records},
                      {"trace", number(run.trace)},
                      {"sharpness", number(run.sharpness)},
                      {"sharpness_history", run.history},
                      {"conditions", conditions}});
  }
  return {{"runs", result}};
}

/// Where each file stood at the first look that found a checkpoint.
using FirstLooks = std::map<std::string, std::pair<fs::file_time_type, std::int64_t>>;

std::vector<Standing> look(const fs::path& directory, FirstLooks& first) {
  std::vector<fs::path> files = run_files(directory);
  const std::vector<fs::path> others = recordings(directory);
  files.insert(files.end(), others.begin(), others.end());
  std::vector<Standing> runs;
  for (const fs::path& file : files) {
    Standing run = standing_of(file);
    if (run.kept != fs::file_time_type()) {
      const auto [time, step] = first.try_emplace(run.path, run.kept, run.step).first->second;
      const double seconds = std::chrono::duration<double>(run.kept - time).count();
      if (seconds > 0 && run.step > step) run.rate = static_cast<double>(run.step - step) / seconds;
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

}  // namespace

int command_watch(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  add_format_option(options);
  options.add_options()("once", "print the table once and end")("every", po::value<double>()->default_value(2),
                                                                "seconds between updates");
  const Arguments parsed(arguments, options, "watch DIR [options]", kWatchExamples, "DIR");
  if (parsed.done()) return 0;
  const fs::path directory = parsed.required("DIR");
  const bool json = wants_json(parsed);
  const double every = parsed.get<double>("every");
  require(fs::is_directory(directory), directory.string(), ": no such folder");
  require(every > 0, "--every ", every, ": must be above 0");
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  std::size_t shown = 0;
  FirstLooks first;
  std::string last;
  while (true) {
    const std::vector<Standing> runs = look(directory, first);
    require(!runs.empty() || !parsed.has("once"), directory.string(), ": holds no run.h5 and no recording yet");
    const std::string text = json ? json_of(runs).dump() + "\n" : table(runs);
    if (terminal && shown > 0) std::cout << "\033[" << shown << "A\033[J";
    if (terminal || text != last) std::cout << text << std::flush;
    last = text;
    shown = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    const bool going = runs.empty() || std::any_of(runs.begin(), runs.end(),
                                                   [](const Standing& run) { return run.state == "running"; });
    if (parsed.has("once") || !going) return 0;
    for (double slept = 0; slept < every && !interrupted(); slept += 0.1) {
      std::this_thread::sleep_for(std::chrono::duration<double>(std::min(0.1, every)));
    }
    if (interrupted()) return 0;
  }
}

}  // namespace sharpseek
