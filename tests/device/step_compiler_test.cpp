// Kernels of fixed sizes as they are compiled at run time: what needs the compiler, but no GPU.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/task.h"
#include "engine/cuda/kernel_cache.h"
#include "engine/cuda/runtime_compiler.h"
#include "engine/cuda/step_compiler.h"
#include "engine/cuda/step_source.h"
#include "engine/kernels/lane_plan.h"
#include "models/model.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;
using lanes::KernelCache;
using lanes::RuntimeCompiler;
using lanes::StepChoice;
using lanes::Threads;

/// A network with its teacher.
struct Plans {
  Plans(const std::string& kind, std::vector<int> sizes, const std::string& specification, int tokens = 1,
        int depth = 2)
      : model(model_of(kind, std::move(sizes), tokens, depth)),
        network(make_model(model)),
        teacher(teacher_of(model, specification)) {}

  lanes::StepShape shape(int batch) const {
    return {.network = network.view(), .teacher = teacher.view(), .batch = batch};
  }
  std::string name() const { return concat(model.kind, " ", model.inputs, "-", model.width, "-", model.outputs); }

  /// sizes: inputs, width, outputs.
  static ModelOptions model_of(const std::string& kind, std::vector<int> sizes, int tokens, int depth) {
    ModelOptions options;
    options.kind = kind;
    options.inputs = sizes[0];
    options.width = sizes[1];
    options.outputs = sizes[2];
    options.sequence = tokens;
    options.depth = depth;
    return options;
  }
  static Program teacher_of(const ModelOptions& model, const std::string& specification) {
    TaskOptions task;
    task.inputs = model.inputs;
    task.outputs = model.outputs;
    task.sequence = model.sequence;
    task.teacher.specification = specification;
    return make_task(task, 1).teacher.program;
  }

  ModelOptions model;
  lanes::LanePlan network;
  lanes::LanePlan teacher;
};

/// An H100 but for the compute capability.
lanes::DeviceLimits device_of(int capability) {
  return {227 << 10, 228 << 10, 132, capability, std::int64_t{80} << 30};
}

class StepCompiler : public testing::Test {
 protected:
  void SetUp() override {
    if (!RuntimeCompiler::instance().available()) GTEST_SKIP() << RuntimeCompiler::instance().reason();
    folder_ = fs::path(testing::TempDir()) / concat("kernels", getpid());
  }
  void TearDown() override { fs::remove_all(folder_); }

  StepChoice choose(const Plans& plans, int batch, int capability = 90) const {
    return choose_step(plans.shape(batch), device_of(capability), KernelCache(folder_));
  }

  fs::path folder_;
};

TEST_F(StepCompiler, MakesKernelsThatStayInRegistersForPresetsAndForOthers) {
  struct Case {
    Plans plans;
    int batch;
    int capability;
    Threads threads;
  };
  // The benchmark's networks, then three that nobody tuned.
  const std::vector<Case> cases{
      {Plans("linear", {4, 8, 3}, "generic"), 4, 80, Threads::kReplica},
      {Plans("mlp", {4, 8, 3}, "mlp"), 4, 90, Threads::kReplica},
      {Plans("rnn", {2, 8, 3}, "tanh", 3, 1), 1, 80, Threads::kReplica},
      {Plans("transformer", {2, 6, 3}, "tanh", 3, 1), 4, 90, Threads::kSample},
      {Plans("linear", {6, 5, 4}, "generic", 1, 3), 1, 90, Threads::kReplica},
      {Plans("mlp", {7, 12, 2}, "mlp"), 3, 80, Threads::kReplica},
      {Plans("transformer", {3, 4, 2}, "tanh", 4, 1), 3, 80, Threads::kSample},
  };
  std::vector<StepChoice> choices(cases.size());
  std::vector<std::thread> workers;
  for (std::size_t first : {0, 1}) {
    workers.emplace_back([&, first] {
      for (std::size_t i = first; i < cases.size(); i += 2) {
        choices[i] = choose(cases[i].plans, cases[i].batch, cases[i].capability);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string name = concat(cases[i].plans.name(), " batch ", cases[i].batch, ": ", choices[i].description);
    ASSERT_TRUE(choices[i].step.has_value()) << name;
    EXPECT_EQ(choices[i].step->threads, cases[i].threads) << name;
    EXPECT_TRUE(choices[i].step->used.in_registers()) << name;
    EXPECT_GT(choices[i].step->used.registers, 32) << name;
    EXPECT_LE(choices[i].step->used.registers, 255) << name;
    EXPECT_EQ(choices[i].step->code.substr(1, 3), "ELF") << name;
  }
}

TEST_F(StepCompiler, TakesAFewSpillsButNotMany) {
  // Both kinds of kernel fit; measured, the first is faster where it spills little.
  const StepChoice few = choose(Plans("rnn", {2, 8, 3}, "tanh", 3, 1), 4);
  ASSERT_TRUE(few.step.has_value()) << few.description;
  EXPECT_EQ(few.step->threads, Threads::kReplica) << few.description;
  EXPECT_FALSE(few.step->used.in_registers()) << few.description;
  const StepChoice many = choose(Plans("rnn", {2, 8, 3}, "tanh", 3, 1), 8);
  ASSERT_TRUE(many.step.has_value()) << many.description;
  EXPECT_EQ(many.step->threads, Threads::kSample) << many.description;
  EXPECT_TRUE(many.step->used.in_registers()) << many.description;
}

TEST_F(StepCompiler, GivesPtxForADeviceThatItDoesNotKnowAndNothingForOneThatIsTooOld) {
  const Plans plans("linear", {2, 3, 1}, "generic");
  const int newest = RuntimeCompiler::instance().architectures().back();
  const StepChoice unknown = choose(plans, 1, newest + 7);
  ASSERT_TRUE(unknown.step.has_value()) << unknown.description;
  EXPECT_NE(unknown.step->code.find(concat(".target sm_", newest)), std::string::npos);
  EXPECT_EQ(unknown.step->code.back(), '\0');
  const StepChoice old = choose(plans, 1, 20);
  EXPECT_FALSE(old.step.has_value());
  EXPECT_NE(old.description.find("compute capability 2.0"), std::string::npos) << old.description;
}

TEST_F(StepCompiler, KeepsWhatItCompiledAndCompilesAnewWhatIsDamaged) {
  const Plans plans("mlp", {2, 3, 1}, "mlp");
  const StepChoice first = choose(plans, 2);
  ASSERT_TRUE(first.step.has_value()) << first.description;
  EXPECT_NE(first.description.find("compiled in"), std::string::npos);
  const auto files = [&] {
    std::vector<fs::path> all;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) all.push_back(entry.path());
    return all;
  };
  ASSERT_EQ(files().size(), 1);
  const StepChoice second = choose(plans, 2);
  EXPECT_NE(second.description.find("kept"), std::string::npos) << second.description;
  EXPECT_EQ(second.step->code, first.step->code);
  EXPECT_EQ(second.step->used.registers, first.step->used.registers);
  // Another batch, optimiser or architecture is another kernel.
  choose(plans, 1);
  choose(plans, 2, 80);
  lanes::StepShape momentum = plans.shape(2);
  momentum.plain = false;
  momentum.state = true;
  EXPECT_TRUE(choose_step(momentum, device_of(90), KernelCache(folder_)).step.has_value());
  EXPECT_EQ(files().size(), 4);
  // Cut short, and with one byte changed in the middle.
  for (const bool cut : {true, false}) {
    for (const fs::path& file : files()) {
      const auto size = fs::file_size(file);
      if (cut) {
        fs::resize_file(file, size / 2);
      } else {
        std::fstream(file, std::ios::in | std::ios::out | std::ios::binary)
            .seekp(static_cast<std::streamoff>(size / 2))
            .put('?');
      }
    }
    const StepChoice again = choose(plans, 2);
    EXPECT_NE(again.description.find("compiled in"), std::string::npos) << again.description;
    EXPECT_EQ(again.step->code, first.step->code);
  }
}

TEST_F(StepCompiler, WorksWhereNothingCanBeKeptAndSaysSo) {
  const Plans plans("linear", {2, 3, 1}, "generic");
  std::ofstream(folder_.string()) << "a file";
  const StepChoice choice = choose(plans, 2);
  ASSERT_TRUE(choice.step.has_value());
  EXPECT_NE(choice.description.find("not kept: " + folder_.string()), std::string::npos) << choice.description;
  EXPECT_EQ(choice.description.find('\n'), std::string::npos);
}

TEST_F(StepCompiler, SaysWhyTheKernelOfAllProgramsRuns) {
  const auto reason = [&](const Plans& plans, int batch) {
    const StepChoice choice = choose(plans, batch);
    EXPECT_FALSE(choice.step.has_value()) << choice.description;
    EXPECT_EQ(choice.description.find("kernel of all programs: "), 0) << choice.description;
    return choice.description;
  };
  EXPECT_NE(reason(Plans("linear", {4, 8, 3}, "generic"), 40).find("a batch of 40 is larger than a warp"),
            std::string::npos);
  EXPECT_NE(reason(Plans("mlp", {8, 64, 8}, "mlp", 1, 4), 1).find("too many to unroll"), std::string::npos);
  EXPECT_NE(reason(Plans("linear", {30, 62, 3}, "generic", 1, 2), 1).find("bytes of shared memory"), std::string::npos);
}

TEST(KernelCache, HasItsFolderFromTheEnvironment) {
  const auto with = [](const std::vector<std::pair<const char*, const char*>>& values) {
    std::vector<std::pair<std::string, std::string>> before;
    for (const char* name : {"SHARPSEEK_CACHE", "XDG_CACHE_HOME", "HOME"}) {
      if (const char* value = std::getenv(name)) before.emplace_back(name, value);
      unsetenv(name);
    }
    for (const auto& [name, value] : values) setenv(name, value, 1);
    const std::string folder = KernelCache::usual_folder().string();
    for (const char* name : {"SHARPSEEK_CACHE", "XDG_CACHE_HOME", "HOME"}) unsetenv(name);
    for (const auto& [name, value] : before) setenv(name.c_str(), value.c_str(), 1);
    return folder;
  };
  EXPECT_EQ(with({{"SHARPSEEK_CACHE", "/a"}, {"XDG_CACHE_HOME", "/b"}, {"HOME", "/c"}}), "/a");
  EXPECT_EQ(with({{"SHARPSEEK_CACHE", ""}, {"XDG_CACHE_HOME", "/b"}, {"HOME", "/c"}}), "/b/sharpseek/kernels");
  EXPECT_EQ(with({{"HOME", "/c"}}), "/c/.cache/sharpseek/kernels");
  EXPECT_EQ(with({}), "");
  EXPECT_NE(KernelCache({}).keep("content", "kernel"), "");
}

TEST(ReadResources, FindsSpillsAndSharedMemory) {
  const lanes::KernelResources used = lanes::read_resources(
      "ptxas info    : Compiling entry function 'sharpseek_step' for 'sm_90'\n"
      "ptxas         .     96 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads\n"
      "ptxas info    : Used 168 registers, used 0 barriers, 96 bytes cumulative stack size, 9728 bytes smem\n");
  EXPECT_EQ(used.registers, 168);
  EXPECT_EQ(used.stack, 96);
  EXPECT_EQ(used.spill_stores, 4);
  EXPECT_EQ(used.spill_loads, 8);
  EXPECT_EQ(used.shared, 9728);
  EXPECT_FALSE(used.in_registers());
}

}  // namespace
}  // namespace sharpseek
