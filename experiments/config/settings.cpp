#include "experiments/config/settings.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "engine/loss.h"
#include "experiments/config/option_table.h"

namespace sharpseek {
namespace {

constexpr std::int64_t kMostBatch = 1 << 20;
/// The step is half of a random counter.
constexpr std::int64_t kMostSteps = std::numeric_limits<std::uint32_t>::max();

TaskOptions task_of(const Point& point) {
  TaskOptions options;
  options.inputs = point.small_integer("data.inputs");
  options.outputs = point.small_integer("data.outputs");
  options.sequence = point.small_integer("data.sequence");
  options.input_covariance = point.text("data.input_covariance");
  options.teacher.specification = point.text("data.teacher");
  options.teacher.scale = point.number("data.teacher_scale");
  options.teacher.width = point.small_integer("data.teacher_width");
  if (point.text("data.samples") != "online") {
    options.samples = point.integer("data.samples");
    require(options.samples >= 1, "data.samples = ", options.samples, ": must be online or at least 1");
  }
  options.replacement = point.boolean("data.replacement");
  options.labels = {.kind = point.text("data.labels"),
                    .smoothing = point.number("data.smoothing"),
                    .class_weights = point.text("data.class_weights")};
  options.dataset = point.text("data.dataset");
  options.test = point.integer("data.test");
  require(options.test == 0 || point.text("noise.redraw") != "fixed", "data.test = ", options.test,
          ": needs noise.redraw = fresh: labels that are drawn once belong to the samples of training");
  return options;
}

NoiseOptions noise_of(const Point& point) {
  NoiseOptions options;
  options.total = point.number("noise.total");
  options.normalise = point.text("noise.normalise");
  options.profile = point.text("noise.profile");
  options.condition = point.number("noise.condition");
  options.rotation = point.text("noise.rotation");
  options.distribution = point.text("noise.distribution");
  options.covariance = point.text("noise.covariance");
  options.redraw = point.text("noise.redraw");
  options.heteroscedastic = point.number("noise.heteroscedastic");
  return options;
}

ModelOptions model_of(const Point& point) {
  ModelOptions options;
  options.kind = point.text("model.kind");
  options.width = point.small_integer("model.width");
  options.depth = point.small_integer("model.depth");
  options.activation = point.text("model.activation");
  options.heads = point.small_integer("model.heads");
  options.mlp_width = point.small_integer("model.mlp_width");
  options.layer_norm = point.boolean("model.layer_norm");
  options.bias = point.boolean("model.bias");
  options.readout = point.text("model.readout");
  options.initialisation = point.text("model.initialisation");
  options.inputs = point.small_integer("data.inputs");
  options.outputs = point.small_integer("data.outputs");
  options.sequence = point.small_integer("data.sequence");
  return options;
}

/// Outputs of all tokens.
int all_outputs(const ModelOptions& model) {
  const std::int64_t outputs = std::int64_t{model.outputs} * output_tokens(model);
  require(outputs <= std::numeric_limits<int>::max(), "model.readout = ", model.readout, ": ", model.sequence,
          " tokens of data.outputs = ", model.outputs, " are too many outputs");
  return static_cast<int>(outputs);
}

Start start_of(const Point& point) {
  const std::string& start = point.text("model.init");
  if (start == "random") return Start::kRandom;
  if (start == "limit") return Start::kLimit;
  if (start == "closed-form") return Start::kClosedForm;
  require(start == "manifold", "model.init = ", start, ": must be random | limit | closed-form | manifold");
  return Start::kManifold;
}

bool is_default(const ConfigOption& option, const std::string& text) {
  return option.type == OptionType::kNumber ? parse_double(text) == parse_double(option.default_value)
                                            : text == option.default_value;
}

/// Throws UserError for a loss that does not take these labels, or noise that sampled labels do not have.
LossKind loss_of(const Point& point) {
  const LossKind loss = loss_kind(point.text("training.loss"));
  const LabelKind labels = label_kind(point.text("data.labels"));
  const bool distributions = traits(loss).distributions;
  require(distributions == are_distributions(labels), "training.loss = ", name_of(loss),
          ": needs data.labels = ", label_names(distributions), ", not ", name_of(labels));
  if (labels != LabelKind::kSampled) return loss;
  for (const ConfigOption& option : option_table()) {
    if (option.section() != "noise" || option.key == "noise.redraw") continue;
    require(is_default(option, point.text(option.key)), option.key, " = ", point.text(option.key),
            ": has no effect with data.labels = sampled, whose noise is the draw of the class");
  }
  return loss;
}

OptimizerOptions optimizer_of(const Point& point) {
  const std::vector<double> betas = parse_numbers("training.betas", point.text("training.betas"));
  require(betas.size() == 2, "training.betas = ", point.text("training.betas"),
          ": must be two numbers, such as 0.9,0.999");
  return {.kind = optimizer_kind(point.text("training.optimizer")),
          .beta1 = betas[0],
          .beta2 = betas[1],
          .schedule = RateSchedule(point.text("training.schedule"))};
}

bool until_stationary(const Point& point) {
  const std::string& until = point.text("training.until");
  require(until == "steps" || until == "stationary", "training.until = ", until, ": must be steps | stationary");
  return until == "stationary";
}

/// Steps of the run, training.steps or those that make training.time.
std::int64_t steps_of(const Point& point, const Settings& settings) {
  require(settings.time >= 0, "training.time = ", settings.time, ": must be at least 0");
  std::int64_t steps = point.integer("training.steps");
  if (settings.time > 0) {
    const double exact = steps_of_time(settings.time, settings.learning_rate, settings.batch);
    require(exact <= static_cast<double>(kMostSteps), "training.time = ", settings.time, ": needs ", exact,
            " steps, more than ", kMostSteps);
    steps = static_cast<std::int64_t>(exact);
  }
  require(steps >= 0 && steps <= kMostSteps, "training.steps = ", steps, ": must be from 0 to ", kMostSteps);
  return steps;
}

/// Steps between records: measure.every, or what gives measure.records.
std::int64_t every_of(const Point& point, std::int64_t steps) {
  const std::int64_t every = point.integer("measure.every");
  const std::int64_t records = point.integer("measure.records");
  require(every >= 0, "measure.every = ", every, ": must be at least 1, or 0 for measure.records in the run");
  require(records >= 1, "measure.records = ", records, ": must be at least 1");
  if (every > 0) return every;
  // Of the intervals just below and just above what was asked for, the one that makes the nearer number of records.
  const std::int64_t shorter = std::max<std::int64_t>(1, steps / records);
  const std::int64_t longer = std::max<std::int64_t>(1, steps / records + (steps % records > 0 ? 1 : 0));
  const auto made = [steps](std::int64_t interval) { return steps / interval + (steps % interval > 0 ? 1 : 0); };
  return made(shorter) - records < records - made(longer) ? shorter : longer;
}

/// Measures the eigenvectors besides what was asked for.
void keep_vectors(ProbeOptions& probe) {
  if (probe.quantities.empty()) {
    for (const Quantity* quantity : select_quantities({})) probe.quantities.emplace_back(quantity->name);
  }
  probe.quantities.emplace_back("eigenvectors");
}

MeasureSettings measure_of(const Point& point) {
  MeasureSettings settings;
  settings.samples = point.integer("measure.samples");
  settings.rivals = point.integer("measure.rivals");
  settings.keep_parameters = point.boolean("measure.keep_parameters");
  require(settings.rivals >= 0, "measure.rivals = ", settings.rivals, ": must be 0 (none) or a number of seeds");

  ProbeOptions& probe = settings.probe;
  probe.eigenvalues = point.integer("measure.eigenvalues");
  require(probe.eigenvalues >= 1, "measure.eigenvalues = ", probe.eigenvalues, ": must be at least 1");
  const std::int64_t products = point.integer("measure.trace_products");
  require(products == 0 || products >= 2, "measure.trace_products = ", products,
          ": must be at least 2, to have a standard error, or 0 for the default");
  if (products > 0) {
    probe.exact_limit = 0;
    probe.trace_probes = products;
  }
  if (const std::string& names = point.text("measure.quantities"); !names.empty()) {
    for (const std::string& name : split(names, ',')) probe.quantities.push_back(trimmed(name));
  }
  probe.warm_start = point.boolean("measure.warm_start");
  if (point.boolean("measure.keep_vectors")) keep_vectors(probe);
  return settings;
}

}  // namespace

void Settings::start_at(std::int64_t step, std::int64_t began) {
  require(schedule.steps <= kMostSteps - step, "training.steps = ", schedule.steps, ": with the ", step,
          " steps of its parent there are more than ", kMostSteps);
  start = Start::kParent;
  schedule.first = step;
  schedule.steps += step;
  optimizer.schedule = RateSchedule(optimizer.schedule.text(), schedule.steps);
  optimizer.began = began;
}

std::int64_t SettingsReader::step_batch(const Point& point, const Settings& settings) {
  const std::int64_t batch = point.integer("training.batch");
  require(batch >= 1 && batch <= kMostBatch, "training.batch = ", batch, ": must be from 1 to ", kMostBatch);
  if (!traits(settings.optimizer.kind).full_batch) return batch;
  const TaskOptions& task = settings.task;
  if (!task.dataset.empty()) {
    const auto [entry, added] = rows_.try_emplace(concat(task.dataset, ' ', task.samples, ' ', task.test), 0);
    if (added) entry->second = dataset_size(task);
    return entry->second;
  }
  require(task.samples > 0,
          "training.optimizer = gd: needs a finite set of samples (data.samples = N), not online data");
  return task.samples;
}

Settings SettingsReader::read(const Point& point) {
  Settings settings(point);
  const std::int64_t seed = point.integer("experiment.seed");
  require(seed >= 0, "experiment.seed = ", seed, ": must be at least 0");
  settings.seed = static_cast<std::uint64_t>(seed);
  settings.seeds = point.integer("experiment.replicas");

  settings.task = task_of(point);
  settings.noise = noise_of(point);
  settings.antithetic = point.boolean("noise.antithetic");
  require(!settings.antithetic || settings.noise.distribution != "measured",
          "noise.distribution = measured: residuals with the opposite sign are other noise; must be gaussian | "
          "rademacher with noise.antithetic = true");
  settings.model = model_of(point);
  settings.task.teacher.network = settings.model;
  settings.noise.tokens = output_tokens(settings.model);
  settings.task.output_tokens = output_tokens(settings.model);
  settings.task.outputs = all_outputs(settings.model);
  settings.initialisation = {.scale = point.number("model.init_scale"),
                             .imbalance = point.number("model.init_imbalance")};
  settings.start = start_of(point);

  settings.loss = loss_of(point);
  settings.optimizer = optimizer_of(point);
  settings.learning_rate = point.number("training.learning_rate");
  require(settings.learning_rate > 0, "training.learning_rate = ", settings.learning_rate, ": must be above 0");
  settings.momentum = point.number("training.momentum");
  settings.weight_decay = point.number("training.weight_decay");
  settings.sam_radius = point.number("training.sam_radius");
  settings.batch = step_batch(point, settings);
  settings.given_batch = point.integer("training.batch");
  settings.time = point.number("training.time");
  settings.schedule.steps = steps_of(point, settings);
  settings.schedule.every = every_of(point, settings.schedule.steps);
  settings.optimizer.schedule = RateSchedule(point.text("training.schedule"), settings.schedule.steps);
  settings.until_stationary = until_stationary(point);

  settings.measure = measure_of(point);
  return settings;
}

}  // namespace sharpseek
