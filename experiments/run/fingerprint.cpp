#include "experiments/run/fingerprint.h"

#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/covariance.h"
#include "data/images.h"
#include "experiments/config/option_table.h"
#include "experiments/config/prepared_group.h"
#include "experiments/config/sweep.h"
#include "files/checksum.h"

namespace sharpseek {
namespace {

void add(files::Checksum& sum, const Matrix& matrix) {
  const Eigen::Index shape[] = {matrix.rows(), matrix.cols()};
  sum.add(std::span<const Eigen::Index>(shape));
  sum.add(std::span<const double>(matrix.data(), static_cast<std::size_t>(matrix.size())));
}

void add(files::Checksum& sum, double value) { sum.add(std::span<const double>(&value, 1)); }

void add(files::Checksum& sum, const Images& images) {
  add(sum, images.pixels);
  sum.add(std::span<const int>(images.classes));
}

void add_options(files::Checksum& sum, const Point& point) {
  for (const ConfigOption& option : option_table()) {
    // A default counts as absent, so that an option added later leaves old runs as they were.
    const std::string value = canonical(option, point.text(option.key));
    if (!counts_for_groups(option) || value == canonical(option, std::string(option.default_value))) continue;
    sum.add(concat(option.key, '=', value));
  }
}

void add_task(files::Checksum& sum, const Task& task) {
  sum.add(std::span<const double>(task.teacher.parameters));
  add(sum, task.input_covariance);
  add(sum, task.input_factor);
  add(sum, task.dataset);
  add(sum, task.residuals);
  if (task.test.rows() > 0) add(sum, task.test);  // a run without them keeps the fingerprint that it always had
}

void add_replicas(files::Checksum& sum, const PreparedGroup& prepared) {
  const TrainingProblem problem = training_problem(prepared);
  add(sum, problem.batch);
  for (std::size_t e = 0; e < prepared.noise.size(); ++e) {
    sum.add(std::span<const std::uint64_t>(&problem.replica_keys[e], 1));
    for (const auto* values : {&problem.learning_rates, &problem.momenta, &problem.weight_decays, &problem.sam_radii}) {
      add(sum, (*values)[e]);
    }
    const Noise& noise = prepared.noise[e];
    add(sum, noise.covariance);
    add(sum, noise.factor);
    for (const double choice :
         {static_cast<double>(noise.distribution), static_cast<double>(noise.fixed), noise.heteroscedastic}) {
      add(sum, choice);
    }
    sum.add(std::span<const double>(prepared.weights[e]));
  }
}

/// The state that a fork takes up besides its weights.
void add_fork(files::Checksum& sum, const ForkStart& fork) {
  sum.add(std::span<const std::int64_t>(&fork.step, 1));
  sum.add(std::span<const std::int64_t>(&fork.optimizer_began, 1));
  for (const std::vector<double>& slot : fork.slots) sum.add(std::span<const double>(slot));
  sum.add(std::span<const double>(fork.loss_sum));
  sum.add(std::span<const std::int64_t>(fork.loss_count));
  sum.add(std::span<const std::int64_t>(fork.diverged_at));
  for (const TimeOrigin& origin : fork.time_origins) {
    add(sum, origin.time);
    sum.add(std::span<const std::int64_t>(&origin.step, 1));
  }
}

/// Of everything but the files as they are read.
std::int64_t rest_of(const PreparedGroup& prepared) {
  files::Checksum sum;
  add_options(sum, prepared.settings().values);
  add_task(sum, *prepared.task);
  add_replicas(sum, prepared);
  if (prepared.fork) add_fork(sum, *prepared.fork);
  return sum.value();
}

/// A stored fingerprint; without files and rest if an earlier version wrote it, or the disk changed it.
nlohmann::json parsed(const std::string& stored) {
  nlohmann::json json = nlohmann::json::parse(stored, nullptr, /*allow_exceptions=*/false);
  const bool known = json.is_object() && json.contains("files") && json["files"].is_object() && json.contains("rest");
  return known ? json : nlohmann::json::object();
}

}  // namespace

std::map<std::string, std::int64_t> FileChecksums::of(const Point& point) {
  std::map<std::string, std::int64_t> found;
  for (const auto& [name, file] : files_of(point)) {
    const auto [entry, added] = known_.try_emplace(file, 0);
    if (added) {
      files::Checksum sum;
      if (names_images(file)) {
        add(sum, read_images(file));
      } else {
        add(sum, read_matrix(file));
      }
      entry->second = sum.value();
    }
    found[name] = entry->second;
  }
  return found;
}

std::string problem_fingerprint(const PreparedGroup& prepared) {
  return nlohmann::json{{"files", prepared.files}, {"rest", rest_of(prepared)}}.dump();
}

std::string file_change(const std::string& stored, const PreparedGroup& prepared) {
  if (prepared.files.empty()) return "";
  const nlohmann::json before = parsed(stored);
  if (before.empty()) return "was made by an earlier version, which did not record what the files held that it names";
  std::string changed;
  for (const auto& [name, checksum] : prepared.files) {
    if (before["files"].value(name, nlohmann::json()) == checksum) continue;
    changed += (changed.empty() ? "" : ", ") + name;
  }
  if (changed.empty()) return "";
  return "the numbers in " + changed + " have changed since the run began";
}

std::string fingerprint_change(const std::string& stored, const PreparedGroup& prepared) {
  if (stored == problem_fingerprint(prepared)) return "";
  std::string files = file_change(stored, prepared);
  if (!files.empty()) return files;
  return "the teacher, noise, data or weights of this configuration have changed since the run began (it was made by "
         "another version, or is another run's?)";
}

}  // namespace sharpseek
