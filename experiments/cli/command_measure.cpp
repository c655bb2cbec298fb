#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/text.h"
#include "engine/make_engine.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/module_data.h"
#include "experiments/cli/module_files.h"
#include "experiments/cli/progress.h"
#include "experiments/run/measure.h"
#include "experiments/run/provenance.h"
#include "files/netcdf_file.h"
#include "files/new_file.h"
#include "sharpness/exported_program.h"
#include "sharpness/load_module.h"
#include "sharpness/module_loss.h"
#include "sharpness/module_objective.h"
#include "sharpness/module_samples.h"
#include "sharpness/torch_errors.h"
#include "sharpness/user_module.h"

namespace sharpseek {
namespace {

namespace po = boost::program_options;

constexpr const char* kMeasureExamples =
    "  sharpseek measure out/sweep/run.h5 --quantities spectrum,smallest,density\n"
    "  sharpseek measure --module model.pt2 --data data.h5 --loss cross-entropy --eigenvalues 10 --out model.h5\n";

/// What the numbers of a file are the curvature of.
std::string definition_of(ModuleLoss loss) {
  switch (loss) {
    case ModuleLoss::kMeanSquared:
      return "mean over samples of the sum over outputs of (f - y)^2, f outputs, y targets";
    case ModuleLoss::kCrossEntropy:
      return "mean over samples of the sum over tokens of -sum_c y_c log softmax(f)_c, f outputs, y targets";
    case ModuleLoss::kProgram: return "mean over samples of the losses that the module returns";
  }
  return "";
}

po::options_description described() {
  const ProbeOptions defaults;
  po::options_description options("options");
  options.add_options()("module", po::value<std::string>(),
                        "your network: MODEL.pt2, TorchScript, or a series \"ckpt/*.pt2\"; needs --data")(
      "data", po::value<std::string>(), "HDF5 file: inputs (or several by their names) and targets, [N, ...]")(
      "loss", po::value<std::string>()->default_value("mse"),
      "mse | cross-entropy | program (losses [N] that the module itself returns)")(
      "out", po::value<std::string>(), "result file, must not exist (default measure.h5 next to the run or module)")(
      "quantities", po::value<std::string>()->default_value("spectrum,gradient"),
      "comma-separated; see sharpseek list")("eigenvalues",
                                             po::value<std::int64_t>()->default_value(defaults.eigenvalues),
                                             "eigenvalues at each end of the spectrum")(
      "tolerance", po::value<double>()->default_value(defaults.tolerance, "1e-5"), "of residual / largest eigenvalue")(
      "trace", po::value<std::string>()->default_value("xtrace"), "hutchinson | hutch++ | xtrace")(
      "trace-products", po::value<std::int64_t>()->default_value(defaults.trace_probes),
      "Hessian products for the trace")("trace-error", po::value<double>()->default_value(0),
                                        "continue to this relative standard error of the trace; 0 = do not")(
      "basis", po::value<std::int64_t>()->default_value(defaults.basis), "Lanczos vectors kept before a restart")(
      "batch", po::value<int>()->default_value(0), "samples in a batch of batch_sharpness (0 = the run's; module: 1)")(
      "batches", po::value<std::int64_t>()->default_value(defaults.batches), "mini-batches for batch_sharpness")(
      "radius", po::value<double>()->default_value(defaults.radius, "0.05"), "distance from the weights for flatness")(
      "samples", po::value<std::int64_t>()->default_value(0), "run: samples measured (0 = the run's)")(
      "chunk", po::value<std::int64_t>()->default_value(512), "module: samples in one pass")(
      "memory", po::value<std::int64_t>()->default_value(2048), "MiB that graphs or values may hold between products");
  add_engine_options(options);
  add_format_option(options);
  return options;
}

ProbeOptions probe_options(const Arguments& arguments) {
  ProbeOptions options;
  options.eigenvalues = arguments.get<std::int64_t>("eigenvalues");
  options.tolerance = arguments.get<double>("tolerance");
  options.trace_probes = arguments.get<std::int64_t>("trace-products");
  options.trace_error = arguments.get<double>("trace-error");
  options.basis = arguments.get<std::int64_t>("basis");
  options.batches = arguments.get<std::int64_t>("batches");
  options.radius = arguments.get<double>("radius");
  for (const std::string& name : split(arguments.get<std::string>("quantities"), ',')) {
    options.quantities.push_back(trimmed(name));
  }
  const std::string& trace = arguments.get<std::string>("trace");
  require(trace == "hutchinson" || trace == "hutch++" || trace == "xtrace", "--trace ", trace,
          ": must be hutchinson | hutch++ | xtrace");
  options.trace_method = trace == "hutchinson" ? TraceMethod::kHutchinson
                         : trace == "hutch++"  ? TraceMethod::kHutchPlus
                                               : TraceMethod::kXTrace;
  const auto at_least = [&](const char* name, auto least) {
    const auto value = arguments.get<decltype(least)>(name);
    require(value >= least && std::isfinite(static_cast<double>(value)), "--", name, " ", value, ": must be at least ",
            least);
  };
  at_least("batch", 0);
  at_least("samples", std::int64_t{0});
  at_least("memory", std::int64_t{0});
  at_least("chunk", std::int64_t{1});
  at_least("trace-error", 0.0);
  require(options.tolerance < 1, "--tolerance ", options.tolerance, ": must be below 1");
  require(options.eigenvalues >= 1, "--eigenvalues ", options.eigenvalues, ": must be at least 1");
  require(options.tolerance > 0, "--tolerance ", options.tolerance, ": must be above 0");
  require(options.basis >= 8, "--basis ", options.basis, ": must be at least 8");
  require(options.batches >= 2, "--batches ", options.batches, ": must be at least 2");
  require(options.trace_probes >= 6, "--trace-products ", options.trace_probes, ": must be at least 6");
  select_quantities(options.quantities);
  return options;
}

/// Shows products on standard error: how many there will be is not known.
std::function<void(std::int64_t)> product_progress(bool quiet) {
  if (quiet) return {};
  using Clock = std::chrono::steady_clock;
  return [start = Clock::now(), next = Clock::now() + std::chrono::seconds(5)](std::int64_t products) mutable {
    if (Clock::now() < next) return;
    next = Clock::now() + std::chrono::seconds(5);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::fprintf(stderr, "measure: %lld products, %.1f/s\n", static_cast<long long>(products),
                 static_cast<double>(products) / seconds);
  };
}

/// Reads the samples of a series once, and again only for a module that takes other inputs.
class SampleReader {
 public:
  SampleReader(files::File data, ModuleLoss loss) : data_(std::move(data)), loss_(loss) {}

  const ModuleSamples& operator()(const std::vector<ModuleInput>& inputs) {
    if (!samples_ || inputs != inputs_) samples_ = module_samples(data_, inputs, loss_);
    inputs_ = inputs;
    return *samples_;
  }
  const ModuleSamples& last() const { return *samples_; }

 private:
  files::File data_;
  ModuleLoss loss_;
  std::vector<ModuleInput> inputs_;
  std::optional<ModuleSamples> samples_;
};

ModuleLoss module_loss(const std::string& name) {
  if (name == "mse") return ModuleLoss::kMeanSquared;
  if (name == "cross-entropy") return ModuleLoss::kCrossEntropy;
  require(name == "program", "--loss ", name, ": must be mse | cross-entropy | program");
  return ModuleLoss::kProgram;
}

/// Says it where numbers of the data lose digits in the module's precision, which nobody has asked for.
void remark_rounding(const ModuleSamples& samples, at::ScalarType precision, const std::string& path) {
  bool rounded = false;
  samples.with([&](const at::Tensor& x) {
    rounded |= x.is_floating_point() && !x.to(precision).to(at::kDouble).equal(x);
    return x;
  });
  if (!rounded) return;
  std::cerr << "sharpseek: " << path << ": float64 numbers are rounded to float32, the module's own precision; --dtype "
            << "float64 measures in float64, --dtype float32 without this remark\n";
}

/// Says of TorchScript what comes instead.
void remark_format(const std::string& file) {
  if (is_exported_program(file)) return;
  std::cerr << "sharpseek: " << file
            << ": is TorchScript, which PyTorch is retiring; torch.export.save(torch.export.export(model, (inputs,)), "
               "\"model.pt2\") makes what is read instead\n";
}

MeasureRecord measure_module(const Arguments& arguments, const ProbeOptions& options) {
  const std::vector<ModuleFile> files = module_files(arguments.get<std::string>("module"));
  const EngineOptions engine = engine_choice(arguments).over({});
  for (const Quantity* quantity : select_quantities(options.quantities)) {
    require(quantity->needs == Needs::kLoss, "--quantities ", quantity->name,
            ": needs a run; a module has no clean labels, known symmetries or optimiser");
  }
  require(engine.dtype == "float32" || engine.dtype == "float64", "--dtype ", engine.dtype,
          ": must be float32 | float64");
  ModuleOptions module;
  const std::string& loss = arguments.get<std::string>("loss");
  module.loss = module_loss(loss);
  module.options = at::TensorOptions().device(at::Device(engine.device.starts_with("cuda") ? engine.device : "cpu"));
  if (arguments.given("dtype"))
    module.options = module.options.dtype(engine.dtype == "float64" ? at::kDouble : at::kFloat);
  module.chunk = arguments.get<std::int64_t>("chunk");
  module.memory = arguments.get<std::int64_t>("memory") << 20;
  module.progress = product_progress(arguments.has("quiet"));

  module.data = arguments.required("data");
  SampleReader samples(files::File::open(module.data), module.loss);
  TorchWarnings warnings;
  const int batch = std::max(1, arguments.get<int>("batch"));
  const std::vector<Balance> no_balances;
  MeasureRecord record;
  record.variables.push_back({"loss", "", "1", "mean over samples of the loss of --loss"});
  for (const Quantity* quantity : select_quantities(options.quantities)) {
    record.variables.insert(record.variables.end(), quantity->variables.begin(), quantity->variables.end());
  }
  at::ScalarType precision = at::kFloat;
  for (const ModuleFile& file : files) {
    const std::unique_ptr<Objective> objective = load_module(file.path, std::ref(samples), module);
    for (const Quantity* quantity : select_quantities(options.quantities)) {
      if (quantity->name == "gauss_newton") objective->gauss_newton();  // refuses at once what has none
    }
    MeasuringContext context(*objective, {}, no_balances, batch, options);
    std::vector<std::string> layers;
    for (const Block& block : objective->blocks()) layers.push_back(concat(block.name, ' ', block.size()));
    if (record.steps.empty()) {
      // What the files of a series have in common.
      precision = objective->parameters().scalar_type();
      if (!arguments.has("quiet")) remark_format(file.path);
      if (!arguments.given("dtype") && !arguments.has("quiet")) remark_rounding(samples.last(), precision, module.data);
      record.layers = layers;
      record.eigenvalues = context.eigenvalues();
      record.parameters = objective->dimension();
      record.attributes["samples"] = std::to_string(objective->samples());
      record.attributes["parameters"] = std::to_string(objective->dimension());
    }
    require(layers == record.layers && precision == objective->parameters().scalar_type(), "--module ", file.path,
            ": its parameters are not those of ", files.front().path,
            " (names, sizes and precision of a series agree)");
    record.steps.push_back(file.step);
    Measurement& measured = record.measurements.emplace_back();
    measured["loss"] = objective->loss(objective->parameters());
    for (const Quantity* quantity : select_quantities(options.quantities)) quantity->measure(context, measured);
  }
  for (std::string& layer : record.layers) layer.resize(layer.rfind(' '));
  record.attributes["module"] = arguments.get<std::string>("module");
  record.attributes["data"] = module.data;
  record.attributes["loss"] = loss;
  record.attributes["loss_definition"] = definition_of(module.loss);
  record.attributes["engine"] =
      concat("autograd ", module.options.device().str(), precision == at::kDouble ? " float64" : " float32");
  if (!arguments.has("quiet")) {
    for (const std::string& line : warnings.lines(3)) std::cerr << "sharpseek: LibTorch warns: " << line << '\n';
  }
  return record;
}

/// Throws UserError for a flag that only the other of the two modes knows.
void refuse_flags_of_the_other_mode(const Arguments& arguments, bool module) {
  const std::vector<std::string> others =
      module ? std::vector<std::string>{"samples", "engine", "isa"} : std::vector<std::string>{"data", "loss", "chunk"};
  for (const std::string& name : others) {
    require(!arguments.given(name), "--", name, ": is for ", module ? "RUN.h5" : "--module", ", not for ",
            module ? "--module" : "RUN.h5");
  }
}

/// Results of a replica at a time that did not converge or are not finite: a spectrum by its status, all else by its
/// numbers.
std::int64_t failures(const MeasureRecord& record) {
  std::int64_t count = 0;
  for (const Measurement& measurement : record.measurements) {
    at::Tensor broken = at::zeros({record.replicas}, at::kLong);  // not finite, by variables
    at::Tensor status = at::zeros({record.replicas}, at::kLong);
    const auto may_be_missing = [&](const std::string& name) {
      return std::any_of(record.variables.begin(), record.variables.end(),
                         [&](const Variable& variable) { return variable.name == name && variable.gaps; });
    };
    for (const auto& [name, values] : measurement) {
      if (name.ends_with("_status")) {
        status += (values != 0).to(at::kLong);
      } else if (!may_be_missing(name)) {
        broken += values.reshape({record.replicas, -1}).isfinite().logical_not().any(1).to(at::kLong);
      }
    }
    count += at::where(status > 0, status, broken).sum().item<std::int64_t>();
  }
  return count;
}

/// Values of this shape as lists of lists.
nlohmann::json nested(const double* values, at::IntArrayRef shape) {
  if (shape.empty()) return *values;
  nlohmann::json list = nlohmann::json::array();
  const at::IntArrayRef rest = shape.slice(1);
  const std::int64_t width = c10::multiply_integers(rest);
  for (std::int64_t i = 0; i < shape.front(); ++i) list.push_back(nested(values + i * width, rest));
  return list;
}

nlohmann::json as_json(const MeasureRecord& record, const std::string& path) {
  nlohmann::json result{{"file", path}, {"steps", record.steps}};
  for (const Variable& variable : record.variables) {
    nlohmann::json& times = result["variables"][std::string(variable.name)];
    for (const Measurement& measurement : record.measurements) {
      const at::Tensor values = measurement.at(std::string(variable.name)).contiguous();
      times.push_back(nested(values.data_ptr<double>(), values.sizes()));
    }
  }
  return result;
}

void print_table(const MeasureRecord& record) {
  if (record.replicas > 1 || record.steps.size() > 1) return;  // an ensemble is for the file
  for (const Variable& variable : record.variables) {
    if (variable.dimension == "grid" || variable.dimension.ends_with("parameter")) continue;
    const std::string name(variable.name);
    std::cout << name << std::string(name.size() < 36 ? 36 - name.size() : 1, ' ');
    const at::Tensor values = record.measurements[0].at(name).reshape({-1}).contiguous();
    for (std::int64_t i = 0; i < values.numel(); ++i) std::printf("%s%.6g", i > 0 ? " " : "", values[i].item<double>());
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace

int command_measure(const std::vector<std::string>& arguments) {
  const Arguments parsed(arguments, described(), "measure RUN.h5 | --module MODEL.pt2 --data DATA.h5 [options]",
                         kMeasureExamples, "RUN");
  if (parsed.done()) return 0;
  const bool module = parsed.has("module");
  require(module != parsed.has("RUN"), "measure: needs either RUN.h5 or --module MODEL.pt2 with --data DATA.h5");
  const bool json = wants_json(parsed);
  const ProbeOptions options = probe_options(parsed);
  refuse_flags_of_the_other_mode(parsed, module);
  const std::filesystem::path source = module ? parsed.get<std::string>("module") : parsed.get<std::string>("RUN");
  const std::string out =
      parsed.has("out") ? parsed.get<std::string>("out") : (source.parent_path() / "measure.h5").string();
  files::NewFile place(out);
  MeasureRecord record = module ? measure_module(parsed, options)
                                : measure_run(source.string(), options,
                                              {.engine = engine_choice(parsed).over({}),
                                               .batch = parsed.get<int>("batch"),
                                               .samples = parsed.get<std::int64_t>("samples"),
                                               .memory = parsed.get<std::int64_t>("memory") << 20,
                                               .progress = parsed.has("quiet") ? no_progress : terminal_progress});
  for (const auto& [name, value] : provenance()) record.attributes.try_emplace("measure_" + name, value);
  record.attributes["finished"] = utc_now();
  write_measure_record(place, record);
  const std::int64_t failed = failures(record);
  if (json) {
    std::cout << as_json(record, out).dump(1) << '\n';
  } else if (!parsed.has("quiet")) {
    print_table(record);
    std::cout << out << ": " << record.replicas << " replicas, " << record.steps.size() << " times, " << failed
              << " results not converged or not finite\n";
  }
  return failed > 0 ? kExitDiverged : 0;
}

}  // namespace sharpseek
