#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "engine/cpu/isa.h"
#include "engine/cuda/cuda.h"
#include "engine/cuda/kernel_cache.h"
#include "engine/cuda/runtime_compiler.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/run/provenance.h"

namespace sharpseek {
namespace {

/// Memory of the machine in GiB: total and free for use.
nlohmann::json memory() {
  struct sysinfo info {};
  sysinfo(&info);
  const double unit = static_cast<double>(info.mem_unit) / (1 << 30);
  return {{"total_gib", static_cast<double>(info.totalram) * unit},
          {"available_gib", static_cast<double>(available_memory()) / static_cast<double>(1 << 30)}};
}

/// What compiles a GPU's kernels for the network at hand.
std::string kernel_compiler() {
  const lanes::RuntimeCompiler& compiler = lanes::RuntimeCompiler::instance();
  return compiler.available() ? concat("NVRTC ", compiler.version(), ", ", compiler.path()) : compiler.reason();
}

nlohmann::json examine() {
  const std::map<std::string, std::string> origin = provenance();
  nlohmann::json sets = nlohmann::json::array();
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) {
    sets.push_back(
        {{"name", set.name}, {"available", set.available}, {"lanes", lanes::kernels<float>("scalar").lanes}});
    if (set.available) sets.back()["lanes"] = lanes::kernels<float>(set.name).lanes;
  }
  nlohmann::json left_out = nlohmann::json::array();
  for (const lanes::InstructionSet& set : lanes::sets_left_out()) {
    left_out.push_back({{"name", set.name}, {"in_processor", set.available}});
  }
  const Cuda& cuda = Cuda::instance();
  nlohmann::json devices = nlohmann::json::array();
  for (const CudaDevice& device : cuda.devices()) {
    devices.push_back({{"name", device.name},
                       {"compute_capability", concat(device.major, ".", device.minor)},
                       {"memory_gib", static_cast<double>(device.memory_bytes) / (1 << 30)}});
  }
  return {{"version", version_text()},
          {"cpu", origin.at("cpu")},
          {"threads", available_threads()},
          {"memory", memory()},
          {"instruction_sets", sets},
          {"not_compiled", left_out},
          {"chosen", lanes::choose_instruction_set("auto")},
          {"torch", origin.at("torch_version")},
          {"hdf5", origin.at("hdf5_version")},
          {"nvidia_driver", access("/dev/nvidiactl", F_OK) == 0},
          {"cuda", cuda.plugin() != nullptr},
          {"cuda_reason", cuda.reason()},
          {"cuda_devices", devices},
          {"kernel_compiler", kernel_compiler()},
          {"kernel_cache", lanes::KernelCache::usual_folder().string()}};
}

}  // namespace

int command_doctor(const std::vector<std::string>& arguments) {
  boost::program_options::options_description options("options");
  add_format_option(options);
  const Arguments parsed(arguments, options, "doctor [options]",
                         "  sharpseek doctor\n  sharpseek doctor --format json\n");
  if (parsed.done()) return 0;
  const nlohmann::json found = examine();
  if (wants_json(parsed)) {
    std::cout << found.dump(2) << '\n';
    return 0;
  }
  std::cout << "sharpseek   " << found["version"].get<std::string>() << "\ncpu         "
            << found["cpu"].get<std::string>() << ", " << found["threads"] << " threads usable\n";
  std::printf("memory      %.1f GiB, %.1f GiB available\n", found["memory"]["total_gib"].get<double>(),
              found["memory"]["available_gib"].get<double>());
  std::cout << "vectors    ";
  for (const nlohmann::json& set : found["instruction_sets"]) {
    std::cout << ' ' << set["name"].get<std::string>() << (set["available"].get<bool>() ? "" : " (not here)");
    if (set["name"] == found["chosen"]) std::cout << " <- chosen, " << set["lanes"] << " replicas at once in float32";
    if (set != found["instruction_sets"].back()) std::cout << ',';
  }
  for (const nlohmann::json& set : found["not_compiled"]) {
    std::cout << (set == found["not_compiled"].front() ? "; not compiled: " : ", ") << set["name"].get<std::string>();
    if (set["in_processor"].get<bool>()) std::cout << " (which this processor has)";
  }
  std::cout << '\n';
  std::cout << "libtorch    " << found["torch"].get<std::string>() << "\nhdf5        "
            << found["hdf5"].get<std::string>() << "\ngpu         ";
  if (!found["cuda"].get<bool>()) {
    std::cout << "none used: " << found["cuda_reason"].get<std::string>() << '\n';
    return 0;
  }
  for (std::size_t i = 0; i < found["cuda_devices"].size(); ++i) {
    const nlohmann::json& device = found["cuda_devices"][i];
    std::printf("%s--device cuda:%zu: %s, compute capability %s, %.1f GiB\n", i > 0 ? "            " : "", i,
                device["name"].get<std::string>().c_str(), device["compute_capability"].get<std::string>().c_str(),
                device["memory_gib"].get<double>());
  }
  const bool compiles = lanes::RuntimeCompiler::instance().available();
  std::cout << "kernels     " << (compiles ? "compiled for each network by " : "of all programs only: ")
            << found["kernel_compiler"].get<std::string>();
  if (compiles) std::cout << ", kept in " << found["kernel_cache"].get<std::string>();
  std::cout << '\n';
  return 0;
}

}  // namespace sharpseek
