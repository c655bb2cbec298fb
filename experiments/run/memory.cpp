#include "experiments/run/memory.h"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "core/text.h"
#include "data/labels.h"
#include "engine/make_engine.h"
#include "experiments/run/record_buffer.h"
#include "sharpness/balance.h"
#include "sharpness/quantity.h"
#include "sharpness/replica_chunk.h"
#include "training/trainer.h"

namespace sharpseek {
namespace {

/// Of a replica whatever its network: keys, coordinates and the columns of its summaries.
constexpr double kReplicaBytes = 600;
/// Of a point of the sweep: the text of every option.
constexpr double kPointBytes = 8000;
/// Of a point of `sharpseek theory`: its text, what is predicted there, and that as JSON.
constexpr double kTheoryPointBytes = 15000;

double element_size(const EngineOptions& engine) { return engine.dtype == "float64" ? 8 : 4; }

/// Matrices [outputs, outputs] of every sample where labels are distributions: the moments of soft labels, which every
/// replica has for its own, and for a chunk of replicas the output Hessian, its root, and what they are made of.
double sample_matrices(const Settings& settings, const Program& program, double replicas, double element) {
  if (!traits(settings.loss).distributions) return 0;
  const std::int64_t samples = settings.task.samples > 0 ? settings.task.samples : settings.measure.samples;
  const double matrices = static_cast<double>(samples) * program.outputs() * program.outputs();
  const double chunk = std::min(replicas, static_cast<double>(replicas_of_chunk(program.parameter_count())));
  const bool own = settings.task.labels.kind == name_of(LabelKind::kSoft);
  return matrices * (own ? replicas * element + 16 * chunk : element) + 4 * element * chunk * matrices;
}

[[noreturn]] void refuse(const Config& config, double replicas, const std::string& parameters, double need,
                         double available) {
  throw UserError(concat("experiment.replicas = ", plain(config.seeds()), ": ", replicas, " replicas", parameters,
                         " need ", in_bytes(need), " of memory, ", in_bytes(available),
                         " are available; take fewer, smaller networks, or a part of them by --shard"));
}

}  // namespace

std::int64_t record_size(const Settings& settings, const Program& program) {
  const ProbeOptions& options = settings.measure.probe;
  const auto length = [&](std::string_view dimension) -> std::int64_t {
    if (dimension == "eigen") return std::min(options.eigenvalues, program.parameter_count());
    if (dimension == "layer") return static_cast<std::int64_t>(program.parameters().size());
    if (dimension == "balance") return static_cast<std::int64_t>(find_balances(program).size());
    if (dimension == "parameter") return program.parameter_count();
    return dimension == "grid" ? kDensityPoints : 1;
  };
  std::int64_t size = 2;  // rescaled time, train loss
  for (const Quantity* quantity : select_quantities(options.quantities)) {
    for (const Variable& variable : quantity->variables) {
      std::int64_t own = 1;
      for (const std::string& dimension : split(std::string(variable.dimension), ' ')) own *= length(dimension);
      size += own;
    }
  }
  return size + (settings.measure.keep_parameters ? program.parameter_count() : 0);
}

MemoryNeed memory_need(const Settings& settings, const Program& program, std::int64_t replicas,
                       const EngineOptions& engine) {
  const auto count = static_cast<double>(replicas);
  const double weights = count * static_cast<double>(program.parameter_count());
  const double outputs = static_cast<double>(program.outputs());
  const int slots = optimizer_slots(settings.optimizer.kind, settings.momentum > 0);
  const Schedule& schedule = settings.schedule;
  const double record = 8 * count * static_cast<double>(record_size(settings, program));
  const double buffer = std::max(record, static_cast<double>(kBufferBytes));
  // Eigenvectors of this record and the one before.
  const ProbeOptions& probe = settings.measure.probe;
  const double tracked =
      probe.warm_start ? 2 * element_size(engine) * static_cast<double>(probe.eigenvalues) * weights : 0;
  return {// Covariance and factor, for training and measuring; weights in float64.
          .prepared = count * (kReplicaBytes + 48 * outputs * outputs) + 8 * weights,
          .training = (2.5 * 8 + element_size(engine) * (8 + 5 * slots)) * weights,
          .records = record + std::min(record * static_cast<double>(schedule.records()), buffer),
          .measuring = sample_matrices(settings, program, count, element_size(engine)) + tracked};
}

void require_memory(const Config& config, const EngineOptions& engine, const Shard& shard) {
  require_few_points(config);
  const auto available = static_cast<double>(available_memory());
  if (available == 0) return;
  const double points = point_count(config);
  const double all = points * std::max(0.0, config.seeds());
  const double least = points * kPointBytes + all / static_cast<double>(shard.count) * kReplicaBytes;
  if (least > available) refuse(config, all, "", least, available);

  // One replica of each group tells its networks and steps.
  FewPoints few = few_points(config);
  few.config.take_first_seed();
  const std::vector<Group> groups = expand(few.config);
  const auto replicas = static_cast<std::int64_t>(few.largest_group * config.seeds());
  const std::int64_t own = shard.end(replicas) - shard.begin(replicas);
  double prepared = points * kPointBytes;
  double running = 0;
  std::int64_t parameters = 0;
  for (const Group& group : groups) {
    const Program program = make_model(group.settings().model);
    const MemoryNeed need = memory_need(group.settings(), program, own, engine);
    prepared += need.prepared;
    running = std::max(running, need.running());
    parameters = std::max(parameters, program.parameter_count());
  }
  if (prepared + running > available) {
    refuse(config, static_cast<double>(own) * static_cast<double>(groups.size()),
           concat(" of up to ", parameters, " parameters"), prepared + running, available);
  }
}

void require_memory_of_theory(const Config& config) {
  require_few_points(config);
  const auto available = static_cast<double>(available_memory());
  const double points = point_count(config);
  const double need = points * kTheoryPointBytes;
  require(available == 0 || need <= available, "the sweep has ", points, " points, which need ", in_bytes(need),
          " of memory, ", in_bytes(available), " are available; predict a part of them at a time");
}

std::string in_bytes(double count) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  for (; count >= 1024 && unit < 5; ++unit) count /= 1024;
  std::ostringstream text;
  text << std::setprecision(3) << count << ' ' << units[unit];
  return text.str();
}

}  // namespace sharpseek
