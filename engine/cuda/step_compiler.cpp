#include "engine/cuda/step_compiler.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iomanip>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/cuda/fixed_step.h"
#include "engine/cuda/kernel_sources.h"

namespace sharpseek::lanes {
namespace {

/// Numbers of a replica that a thread may have to be compiled: the compiler finds registers for about this many, with
/// few spills.
constexpr int kMostNumbers = 260;
/// Bytes of spills, stores and loads, with which a thread a replica is still faster than a thread a sample: 620 and 764
/// were, 2812 were not.
constexpr int kMostSpilled = 1000;
/// Multiply-adds of a thread's step that are unrolled: compiling them takes seconds, and their number more than that.
constexpr std::int64_t kMostUnrolled = 10'000;

/// What a kernel is compiled for: PTX where the compiler does not know the device.
struct Target {
  int architecture = 0;
  bool ptx = false;
};

/// The device's own architecture, or the nearest older one.
std::optional<Target> target_for(int capability, const std::vector<int>& known) {
  std::optional<Target> best;
  for (const int architecture : known) {
    // Never newer than the device; PTX is finished by the driver.
    if (architecture <= capability && (!best || architecture > best->architecture)) {
      best = Target{architecture, architecture != capability};
    }
  }
  return best;
}

/// All that a compiled kernel depends on.
std::string content_of(const std::string& source, const Target& target) {
  // Compiler, options, every header and the source: a change in any is another kernel.
  std::string all = concat(RuntimeCompiler::instance().version(), target.ptx ? " ptx" : " cubin");
  for (const std::string& option : RuntimeCompiler::options(target.architecture)) all += concat(' ', option);
  for (const KernelSource& header : kernel_sources()) all += concat('\n', header.name, '\n', header.text);
  return all + source;
}

/// Resources and code as they are kept.
std::string packed(const CompiledStep& step) {
  const KernelResources& used = step.used;
  return concat(used.registers, ' ', used.stack, ' ', used.spill_stores, ' ', used.spill_loads, ' ', used.shared, '\n',
                step.code);
}

bool unpack(const std::string& kept, CompiledStep& step) {
  // A first line of numbers, then the code; anything else is not ours.
  const std::size_t line = kept.find('\n');
  KernelResources& used = step.used;
  if (line == std::string::npos || std::sscanf(kept.c_str(), "%d %d %d %d %d", &used.registers, &used.stack,
                                               &used.spill_stores, &used.spill_loads, &used.shared) != 5) {
    return false;
  }
  step.code = kept.substr(line + 1);
  return !step.code.empty();
}

/// Compiles the source into `step`, or takes what is kept of it. Returns which of the two: "compiled in 1.2 s", "kept".
std::string compile(CompiledStep& step, const std::string& source, const Target& target, const KernelCache& cache) {
  // Kept from an earlier run, perhaps of another process.
  const std::string content = content_of(source, target);
  if (const std::optional<std::string> kept = cache.find(content); kept && unpack(*kept, step)) return "kept";
  const auto begin = std::chrono::steady_clock::now();
  RuntimeCompiler::Output output = RuntimeCompiler::instance().compile(source, target.architecture);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  // What ptxas says of registers and spills decides whether the kernel is worth it.
  step.used = read_resources(output.log);
  step.code = std::move(target.ptx ? output.ptx : output.cubin);
  const std::string problem = cache.keep(content, packed(step));
  std::ostringstream text;
  text << "compiled in " << std::fixed << std::setprecision(1) << took.count() << " s";
  if (!problem.empty()) text << ", not kept: " << problem;
  return text.str();
}

/// Multiply-adds of one sample's step: the teacher, and three products for each of the network.
std::int64_t multiply_adds(const StepShape& shape) {
  const auto forward = [](const PlanView& plan) {
    std::int64_t sum = 0;
    for (int k = 0; k < plan.op_count; ++k) {
      const PlanOp& op = plan.ops[k];
      const std::int64_t rows = plan.tokens(op.in[0]);
      const std::int64_t features = plan.features(op.in[0]);
      // Only products count: all else is small next to them.
      if (op.kind == OpKind::kLinear) sum += rows * features * plan.features(op.out);
      if (op.kind == OpKind::kAttention) sum += 2 * rows * rows * features;
    }
    return sum;
  };
  // Backward costs two products for each of forward.
  return forward(shape.teacher) + 3 * forward(shape.network);
}

/// Why a kernel of this kind cannot be, without compiling it; empty: it may, and step has what a launch needs.
std::string impossible(const StepShape& shape, const DeviceLimits& limits, CompiledStep& step) {
  const PlanView& net = shape.network;
  const bool replica = step.threads == Threads::kReplica;
  if (const std::int64_t work = multiply_adds(shape) * (replica ? shape.batch : 1); work > kMostUnrolled) {
    return concat(work, " multiply-adds are too many to unroll");
  }
  if (replica) {
    // A thread a replica: weights, inputs and values in registers.
    step.replicas = kReplicaThreads;
    const int numbers = net.parameter_count + shape.batch * (net.input_size + net.size);
    return numbers <= kMostNumbers ? "" : concat(numbers, " numbers are too many for registers");
  }
  if (shape.batch > kDeviceLanes) return concat("a batch of ", shape.batch, " is larger than a warp");
  // A thread a sample: weights in shared memory, a warp for one replica or more.
  step.replicas = kDeviceLanes / lanes_of_batch(shape.batch);
  const std::int64_t bytes =
      std::int64_t{4} * sample_shared(net.parameter_count, net.input_size, net.outputs, shape.batch, kDeviceLanes);
  if (bytes > limits.shared_bytes_per_block) {
    return concat(bytes, " bytes of shared memory are more than ", limits.shared_bytes_per_block);
  }
  step.shared_bytes = bytes > kStaticShared ? static_cast<int>(bytes) : 0;
  return "";
}

const char* name_of(Threads threads) {
  return threads == Threads::kReplica ? "a thread a replica" : "a thread a sample";
}

/// "168 registers", with spills where there are any.
std::string resources(const KernelResources& used) {
  if (used.in_registers()) return concat(used.registers, " registers");
  return concat(used.registers, " registers, ", used.spill_stores, " + ", used.spill_loads, " bytes spilled");
}

}  // namespace

StepChoice choose_step(const StepShape& shape, const DeviceLimits& limits, const KernelCache& cache) {
  const auto none = [](const std::string& reason) {
    return StepChoice{{}, concat("kernel of all programs: ", reason)};
  };
  // What no kernel of fixed sizes can do without.
  const RuntimeCompiler& compiler = RuntimeCompiler::instance();
  if (!compiler.available()) return none(compiler.reason());
  const std::optional<Target> target = target_for(limits.capability, compiler.architectures());
  if (!target) {
    return none(concat("NVRTC ", compiler.version(), " compiles nothing for compute capability ",
                       limits.capability / 10, ".", limits.capability % 10));
  }
  if (shape.teacher.parameter_count > kInlineTeacher) {
    return none(concat("the teacher's ", shape.teacher.parameter_count, " weights are more than ", kInlineTeacher));
  }

  // The faster kind first; its reason is told where only the second will do.
  std::string reasons;
  for (const Threads threads : {Threads::kReplica, Threads::kSample}) {
    CompiledStep step;
    step.threads = threads;
    std::string reason = impossible(shape, limits, step);
    std::string how;
    if (reason.empty()) {
      try {
        how = compile(step, step_source(shape, threads), *target, cache);
      } catch (const std::exception& error) {
        return none(error.what());
      }
      const int spilled = step.used.spill_stores + step.used.spill_loads;
      // Only now known: it compiles, but lives in slow memory.
      if (threads == Threads::kReplica && spilled > kMostSpilled) reason = resources(step.used);
    }
    if (!reason.empty()) {
      reasons += concat(reasons.empty() ? "" : "; ", name_of(threads), ": ", reason);
      continue;
    }
    std::string description =
        concat("kernel of this network, ", name_of(threads), ", ", resources(step.used), ", ", how);
    if (!reasons.empty()) description += concat(" (", reasons, ")");
    return {std::move(step), description};
  }
  return none(reasons);
}

}  // namespace sharpseek::lanes
