#include "experiments/run/prepare.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "experiments/config/fork.h"
#include "experiments/predict/flow.h"
#include "experiments/predict/linear_theory.h"
#include "experiments/predict/rivals.h"
#include "experiments/run/fingerprint.h"
#include "experiments/run/parent.h"
#include "sharpness/balance.h"
#include "sharpness/quantity.h"
#include "training/trainer.h"

namespace sharpseek {
namespace {

/// Steps and checksums of records are kept in memory, and stored anew in each checkpoint.
constexpr std::int64_t kMostRecords = 1'000'000;

/// Throws UserError where balances are to be measured of a network that has none.
void require_balances(const Settings& settings, const Program& program) {
  for (const Quantity* quantity : select_quantities(settings.measure.probe.quantities)) {
    require(quantity->name != "balance" || !find_balances(program).empty(), settings.written("measure.quantities"),
            ": model.kind = ", settings.model.kind, " of depth ", settings.model.depth,
            " has no two factors that can be rescaled against each other, hence no balance to measure");
  }
}

/// Throws UserError where a quantity is not defined for the optimiser.
void require_defined(const Settings& settings) {
  for (const Quantity* quantity : select_quantities(settings.measure.probe.quantities)) {
    const std::vector<OptimizerKind>& kinds = quantity->optimizers;
    std::string names;
    for (const OptimizerKind kind : kinds) names += concat(names.empty() ? "" : " | ", name_of(kind));
    require(kinds.empty() || std::count(kinds.begin(), kinds.end(), settings.optimizer.kind) > 0,
            settings.written("training.optimizer"), ": measure.quantities has ", quantity->name,
            ", which is defined for ", names);
  }
}

/// Throws UserError unless what the [measure] section asks for can be had of this group.
void require_measurable(const PreparedGroup& prepared) {
  const Settings& settings = prepared.settings();
  const MeasureSettings& measure = settings.measure;
  require(settings.schedule.records() <= kMostRecords, "measure.every = ", settings.schedule.every, ": makes ",
          settings.schedule.records(), " records, more than ", kMostRecords);
  require(measure.samples > prepared.task->input_size(), "measure.samples = ", measure.samples, ": must be above the ",
          prepared.task->input_size(), " inputs of a sample");
  const std::int64_t parameters = prepared.program.parameter_count();
  require(measure.rivals == 0 || parameters <= kMostRivalParameters, "measure.rivals = ", measure.rivals,
          ": needs dense matrices of all weights: at most ", kMostRivalParameters, " of them, this network has ",
          parameters);
  for (const Replica& replica : prepared.group.replicas) {
    const std::string reason = measure.rivals > 0 ? rivals_refusal(prepared.program, *replica.settings) : "";
    require(reason.empty(), "measure.rivals = ", measure.rivals, ": predicts where plain sgd ends; ", reason);
  }
  require_balances(settings, prepared.program);
  require_defined(settings);
}

/// The files of all sweep points of a group.
std::map<std::string, std::int64_t> files_of(const Group& group, FileChecksums& checksums) {
  std::map<std::string, std::int64_t> files;
  const Settings* previous = nullptr;
  for (const Replica& replica : group.replicas) {
    if (replica.settings.get() == previous) continue;  // another seed of the same point
    previous = replica.settings.get();
    files.merge(checksums.of(previous->values));
  }
  return files;
}

std::vector<std::string> remarks_on(const PreparedGroup& prepared) {
  std::vector<std::string> remarks;
  const bool measured = std::any_of(prepared.noise.begin(), prepared.noise.end(), [](const Noise& noise) {
    return noise.distribution == NoiseDistribution::kMeasured;
  });
  if (const std::string mean = removed_mean(*prepared.task); measured && !mean.empty()) remarks.push_back(mean);
  const Settings& settings = prepared.settings();
  if (settings.given_batch != 1 && settings.given_batch != settings.batch) {
    remarks.push_back(concat("training.batch = ", settings.given_batch, ": is not used by gd, whose steps take all ",
                             settings.batch, " samples"));
  }
  return remarks;
}

bool starts_where_theory_says(Start start) { return start == Start::kLimit || start == Start::kClosedForm; }

}  // namespace

std::vector<double> initial_weights(const Replica& replica, const Program& program, const Prediction* prediction) {
  const Settings& settings = *replica.settings;
  const InitialisationOptions options = settings.initialisation;
  if (!starts_where_theory_says(settings.start))
    return initial_parameters(program, options, settings.seed, replica.key);
  std::vector<double> weights = settings.start == Start::kLimit ? limit_parameters(settings.model, prediction)
                                                                : closed_form_parameters(settings.model, prediction);
  rescale(program, options, weights);
  return weights;
}

Config without_parent(const Config& config) {
  Config alone = config;
  alone.set_from("");
  return alone;
}

std::vector<PreparedGroup> prepare(const Config& config, const Shard& shard, const std::filesystem::path& home) {
  std::vector<PreparedGroup> prepared;
  const std::optional<ForkSource> source = fork_source(config);
  const std::optional<Parent> parent =
      source ? std::optional<Parent>(std::in_place, *source, config, home) : std::nullopt;
  FileChecksums checksums;
  for (Group& group : expand(config, shard)) {
    const Settings& settings = group.settings();
    PreparedGroup next;

    // Network, task and noise.
    next.program = make_model(settings.model);
    next.task = std::make_shared<const Task>(make_task(settings.task, settings.seed));
    const bool has_matrix = next.task->teacher.matrix && next.task->logits.rows() == 0;
    const std::optional<Matrix> signal = has_matrix ? std::optional<Matrix>(next.task->signal()) : std::nullopt;
    for (const Replica& replica : group.replicas) {
      next.noise.push_back(
          make_noise(replica.settings->noise, next.task->outputs, signal ? &*signal : nullptr, settings.seed));
      if (replica.mirrored()) next.noise.back().factor *= -1;
    }
    next.files = files_of(group, checksums);

    if (parent) {
      next.group = std::move(group);
      parent->start(next);
      require_measurable(next);
      validate(training_problem(next), next.program);
      for (std::string& remark : remarks_on(next)) next.remarks.push_back(std::move(remark));
      prepared.push_back(std::move(next));
      continue;
    }

    // Weights to start from.
    std::vector<Prediction> predictions;
    const auto needs_theory = [](const Replica& replica) { return starts_where_theory_says(replica.settings->start); };
    if (std::any_of(group.replicas.begin(), group.replicas.end(), needs_theory)) {
      predictions = predict(settings.model, *next.task, next.noise);
    }
    for (std::size_t e = 0; e < group.replicas.size(); ++e) {
      next.weights.push_back(
          initial_weights(group.replicas[e], next.program, predictions.empty() ? nullptr : &predictions[e]));
    }

    next.group = std::move(group);
    require_measurable(next);
    validate(training_problem(next), next.program);
    start_on_manifold(next);
    next.remarks = remarks_on(next);
    prepared.push_back(std::move(next));
  }
  return prepared;
}

}  // namespace sharpseek
