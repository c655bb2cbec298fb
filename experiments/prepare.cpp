#include "experiments/prepare.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "experiments/fingerprint.h"
#include "experiments/flow.h"
#include "experiments/predictions.h"
#include "experiments/rivals.h"
#include "sharpness/balance.h"
#include "sharpness/quantity.h"
#include "training/trainer.h"

namespace sharpseek {
namespace {

/// Steps and checksums of records are kept in memory, and stored anew in each checkpoint.
constexpr std::int64_t kMostRecords = 1'000'000;

/// Whether model.init asks for the small-rate limit of theory.
bool starts_at_limit(const Replica& replica) {
  const std::string& start = replica.point.text("model.init");
  require(start == "random" || start == "limit" || start == "manifold", "model.init = ", start,
          ": must be random | limit | manifold");
  return start == "limit";
}

/// Throws UserError where balances are to be measured of a network that has none.
void require_balances(const Point& point, const Program& program) {
  for (const Quantity* quantity : select_quantities(point.probe().quantities)) {
    require(quantity->name != "balance" || !find_balances(program).empty(),
            "measure.quantities = ", point.text("measure.quantities"), ": model.kind = ", point.text("model.kind"),
            " of depth ", point.text("model.depth"),
            " has no two factors that can be rescaled against each other, hence no balance to measure");
  }
}

/// The files of all sweep points of a group.
std::map<std::string, std::int64_t> files_of(const Group& group, FileChecksums& checksums) {
  std::map<std::string, std::int64_t> files;
  const Point::Values* previous = nullptr;
  for (const Replica& replica : group.replicas) {
    if (&replica.point.values() == previous) continue;  // another seed of the same point
    previous = &replica.point.values();
    files.merge(checksums.of(replica.point));
  }
  return files;
}

std::vector<std::string> remarks_on(const PreparedGroup& prepared) {
  std::vector<std::string> remarks;
  const bool measured = std::any_of(prepared.noise.begin(), prepared.noise.end(), [](const Noise& noise) {
    return noise.distribution == NoiseDistribution::kMeasured;
  });
  if (const std::string mean = removed_mean(*prepared.task); measured && !mean.empty()) remarks.push_back(mean);
  const Point& point = prepared.group.point();
  const std::int64_t given = point.integer("training.batch");
  const auto samples = static_cast<std::int64_t>(prepared.task->dataset.rows());
  if (point.text("training.optimizer") == "gd" && given != 1 && given != samples) {
    remarks.push_back(
        concat("training.batch = ", given, ": is not used by gd, whose steps take all ", samples, " samples"));
  }
  return remarks;
}

}  // namespace

std::vector<double> initial_weights(const Replica& replica, const Program& program, const Prediction* prediction) {
  const InitialisationOptions options = replica.point.initialisation();
  if (!starts_at_limit(replica)) {
    return initial_parameters(program, options, replica.point.seed(), replica.key);
  }
  std::vector<double> weights = limit_parameters(replica.point.model(), prediction);
  rescale(program, options, weights);
  return weights;
}

TrainingProblem training_problem(const PreparedGroup& prepared) {
  const Point& point = prepared.group.point();
  TrainingProblem problem;
  problem.task = prepared.task;
  problem.noise = prepared.noise;
  problem.optimizer = point.optimizer();
  // The rows of a data set are known here; Point::batch() would read its file again.
  const bool read = problem.optimizer.kind == "gd" && prepared.task->measured;
  problem.batch = static_cast<int>(read ? prepared.task->dataset.rows() : point.batch());
  for (const Replica& replica : prepared.group.replicas) {
    problem.replica_keys.push_back(replica.key);
    problem.learning_rates.push_back(replica.point.number("training.learning_rate"));
    problem.momenta.push_back(replica.point.number("training.momentum"));
    problem.weight_decays.push_back(replica.point.number("training.weight_decay"));
    problem.sam_radii.push_back(replica.point.number("training.sam_radius"));
  }
  return problem;
}

std::vector<PreparedGroup> prepare(const Config& config, const Shard& shard) {
  std::vector<PreparedGroup> prepared;
  FileChecksums checksums;
  for (Group& group : expand(config, shard)) {
    const Point& point = group.point();
    PreparedGroup next;
    next.program = make_model(point.model());
    next.task = std::make_shared<const Task>(make_task(point.task(), point.seed()));
    const std::optional<Matrix> signal =
        next.task->teacher.matrix ? std::optional<Matrix>(next.task->signal()) : std::nullopt;
    for (const Replica& replica : group.replicas) {
      next.noise.push_back(
          make_noise(replica.point.noise(), next.task->outputs, signal ? &*signal : nullptr, point.seed()));
    }
    next.files = files_of(group, checksums);
    std::vector<Prediction> predictions;
    if (std::any_of(group.replicas.begin(), group.replicas.end(), starts_at_limit)) {
      predictions = predict(point.model(), *next.task, next.noise);
    }
    for (std::size_t e = 0; e < group.replicas.size(); ++e) {
      next.weights.push_back(
          initial_weights(group.replicas[e], next.program, predictions.empty() ? nullptr : &predictions[e]));
    }
    const Schedule schedule{.steps = point.steps(), .every = point.every()};
    require(schedule.records() <= kMostRecords, "measure.every = ", schedule.every, ": makes ", schedule.records(),
            " records, more than ", kMostRecords);
    require(point.integer("measure.samples") > next.task->input_size(),
            "measure.samples = ", point.integer("measure.samples"), ": must be above the ", next.task->input_size(),
            " inputs of a sample");
    require(point.integer("measure.eigenvalues") >= 1, "measure.eigenvalues = ", point.integer("measure.eigenvalues"),
            ": must be at least 1");
    const std::int64_t rivals = point.integer("measure.rivals");
    require(rivals >= 0, "measure.rivals = ", rivals, ": must be 0 (none) or a number of seeds");
    require(rivals == 0 || next.program.parameter_count() <= kMostRivalParameters, "measure.rivals = ", rivals,
            ": needs dense matrices of all weights: at most ", kMostRivalParameters, " of them, this network has ",
            next.program.parameter_count());
    for (const Replica& replica : group.replicas) {
      const std::string reason = rivals > 0 ? rivals_refusal(next.program, replica.point) : "";
      require(reason.empty(), "measure.rivals = ", rivals, ": predicts where plain sgd ends; ", reason);
    }
    require_balances(point, next.program);
    point.until_stationary();
    next.group = std::move(group);
    validate(training_problem(next), next.program);
    start_on_manifold(next);
    next.remarks = remarks_on(next);
    prepared.push_back(std::move(next));
  }
  return prepared;
}

std::vector<std::string> remarks_of(const std::vector<PreparedGroup>& groups) {
  std::vector<std::string> remarks;
  for (const PreparedGroup& group : groups) {
    for (const std::string& remark : group.remarks) {
      if (std::find(remarks.begin(), remarks.end(), remark) == remarks.end()) remarks.push_back(remark);
    }
  }
  return remarks;
}

}  // namespace sharpseek
