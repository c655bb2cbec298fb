#include "experiments/predict/rivals.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/not_measured.h"
#include "engine/make_engine.h"
#include "experiments/predict/flow.h"
#include "sharpness/balance.h"
#include "sharpness/chunked_probe.h"
#include "theory/end_point.h"
#include "theory/slow_flow.h"

namespace sharpseek {
namespace {

/// Replicas that are minimised together: those of a vector register, whose Jacobians fit into memory.
constexpr std::int64_t kBlock = 16;

enum RivalStatus : std::int64_t { kConverged, kNotConverged, kNotComputed };

/// The replicas whose end points are computed.
struct Chosen {
  std::vector<std::int64_t> rows;
  std::vector<Noise> noise;
  TrainingProblem problem;
  at::Tensor parameters;   ///< trained [K, P], float64
  at::Tensor covariances;  ///< [K, outputs, outputs]
  at::Tensor isotropic;    ///< of the same totals
  at::Tensor weights;      ///< eta / (4 batch) [K]
};

Chosen choose(const PreparedGroup& prepared, const TrainingState& state) {
  const std::int64_t seeds = prepared.settings().measure.rivals;
  Chosen chosen;
  std::vector<double> weights;
  for (std::size_t e = 0; e < prepared.noise.size(); ++e) {
    const Replica& replica = prepared.group.replicas[e];
    if (replica.seed() >= seeds || state.diverged_at[e] >= 0) continue;
    chosen.rows.push_back(static_cast<std::int64_t>(e));
    chosen.noise.push_back(prepared.noise[e]);
    weights.push_back(replica.settings->learning_rate / (4 * static_cast<double>(replica.settings->batch)));
  }
  if (chosen.rows.empty()) return chosen;
  chosen.problem = training_problem(prepared).of({chosen.rows.begin(), chosen.rows.end()});
  chosen.parameters = state.parameters.cpu().to(at::kDouble).index_select(0, at::tensor(chosen.rows));
  chosen.covariances = covariance_tensor(chosen.noise);
  chosen.isotropic = isotropic(chosen.covariances);
  chosen.weights = at::tensor(weights, at::kDouble);
  return chosen;
}

/// One rescaling for each hidden unit between linear maps, by itself.
std::vector<Rescaling> unit_rescalings(const Program& program) {
  std::vector<Rescaling> all;
  for (const Balance& balance : find_balances(program)) {
    const bool unit = balance.name.find('[') != std::string::npos;
    if (balance.law && unit && (balance.kind == "relu" || balance.kind == "linear")) {
      all.push_back({balance.in, balance.out});
    }
  }
  return all;
}

/// Measures weights [K, P] as the run's probe does: name_*.
std::vector<files::Column> end_columns(const std::string& name, const std::string& what, const PreparedGroup& prepared,
                                       Engine& engine, const Chosen& chosen, const at::Tensor& parameters,
                                       const at::Tensor& converged, const TrainingState& state) {
  const MeasureSettings& measure = prepared.settings().measure;
  std::vector<files::Column> columns;
  Measurement measured;
  if (!chosen.rows.empty()) {
    ProbeOptions options = measure.probe;
    options.quantities = {"spectrum", "gradient"};
    ChunkedProbe probe(engine, evaluation_data(*prepared.task, measure.samples, engine.options()), chosen.problem,
                       options);
    const at::Tensor weights = parameters.to(engine.options()).contiguous();
    measured = *probe.measure(weights, state.step, never_interrupted);
  }
  for (const char* quantity : {"trace", "sharpness", "gradient_fluctuation"}) {
    std::vector<double> values(prepared.noise.size(), kNotMeasured);
    for (std::size_t k = 0; k < chosen.rows.size(); ++k) {
      const auto row = static_cast<std::int64_t>(k);
      if (!converged[row].item<bool>()) continue;
      values[static_cast<std::size_t>(chosen.rows[k])] = measured.at(quantity)[row].item<double>();
    }
    columns.push_back({name + "_" + quantity, values, "1", std::string(quantity) + " at " + what});
  }
  return columns;
}

}  // namespace

std::vector<files::Column> rival_columns(const PreparedGroup& prepared, Engine& engine, const TrainingState& state) {
  std::vector<files::Column> columns;
  if (prepared.settings().measure.rivals == 0) return columns;
  for (const Replica& replica : prepared.group.replicas) {
    const Settings& settings = *replica.settings;
    if (settings.start == Start::kManifold || !plain_sgd_refusal(settings).empty()) return columns;
  }
  const Chosen chosen = choose(prepared, state);
  const std::unique_ptr<Engine> exact = make_engine(prepared.program, {.device = "cpu", .dtype = "float64"});
  const Samples samples = evaluation_samples(*prepared.task, kRivalSamples, at::TensorOptions().dtype(at::kDouble));

  const bool smooth = prepared.program.smooth();
  const std::string where = smooth ? "the minimum of L + eta/(4 batch) F next to the trained weights, F "
                                   : "the trained weights after the rescaling of hidden units that makes least ";
  std::vector<std::int64_t> status(prepared.noise.size(), kNotComputed);
  const auto add_rival = [&](const std::string& name, const std::string& what, const at::Tensor& covariances) {
    at::Tensor parameters;
    at::Tensor converged = at::ones({static_cast<std::int64_t>(chosen.rows.size())}, at::kBool);
    if (chosen.rows.empty()) {
      // A shard without any of these seeds has the variables of the others.
    } else if (smooth) {
      std::vector<at::Tensor> ends, found;
      for (std::int64_t first = 0; first < chosen.parameters.size(0); first += kBlock) {
        const auto part = [&](const at::Tensor& all) {
          return all.slice(0, first, std::min(all.size(0), first + kBlock)).contiguous();
        };
        const EndPoint end =
            penalised_minimum(*exact, part(chosen.parameters), samples, part(covariances), part(chosen.weights));
        ends.push_back(end.parameters);
        found.push_back(end.converged);
      }
      parameters = at::cat(ends);
      converged = at::cat(found);
    } else {
      const Diagonals squares = diagonals(*exact, chosen.parameters, samples, covariances);
      const bool trace = name == "minimal_trace";
      parameters = chosen.parameters * least_by_rescaling(trace ? squares.curvature : squares.squared_gradient,
                                                          unit_rescalings(prepared.program));
    }
    for (std::size_t k = 0; k < chosen.rows.size(); ++k) {
      std::int64_t& own = status[static_cast<std::size_t>(chosen.rows[k])];
      const bool good = converged[static_cast<std::int64_t>(k)].item<bool>();
      own = !good || own == kNotConverged ? kNotConverged : kConverged;
    }
    for (files::Column& column :
         end_columns(name, where + what, prepared, engine, chosen, parameters, converged, state)) {
      columns.push_back(std::move(column));
    }
  };
  add_rival("minimal_fluctuation", "the gradient fluctuation", chosen.covariances);
  add_rival("minimal_trace", smooth ? "that under isotropic noise of the same total" : "the trace", chosen.isotropic);
  columns.push_back({"rival_status",
                     status,
                     "",
                     "whether both rivals' end points were found",
                     {kConverged, kNotConverged, kNotComputed},
                     "converged not_converged not_computed"});
  return columns;
}

}  // namespace sharpseek
