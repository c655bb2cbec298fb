#pragma once

#include <string>
#include <vector>

namespace sharpseek::lanes {

/// What a compiled kernel takes of a multiprocessor, by the assembler's report.
struct KernelResources {
  int registers = 0;     ///< of a thread
  int stack = 0;         ///< bytes of a thread
  int spill_stores = 0;  ///< bytes
  int spill_loads = 0;   ///< bytes
  int shared = 0;        ///< bytes of a block, those that it has without asking

  /// Whether all its numbers are in registers and shared memory.
  bool in_registers() const { return stack == 0 && spill_stores == 0 && spill_loads == 0; }
};

/// The resources in the output of ptxas -v for one kernel.
KernelResources read_resources(const std::string& log);

/// NVIDIA's run-time compiler (NVRTC, libnvrtc.so.13): loaded on first use from where the loader looks, from next to
/// LibTorch (its CUDA wheels) or from /usr/local/cuda. It needs neither a GPU nor a driver, and nothing links it.
class RuntimeCompiler {
 public:
  /// The one of this process.
  static const RuntimeCompiler& instance();

  /// Whether there is one; if not, `reason` says so in one line.
  bool available() const { return reason_.empty(); }
  const std::string& reason() const { return reason_; }
  /// "13.0".
  const std::string& version() const { return version_; }
  /// Where it was found.
  const std::string& path() const { return path_; }
  /// Architectures that it compiles for: 80, 86, 90, ...
  const std::vector<int>& architectures() const { return architectures_; }

  struct Output {
    std::string cubin;  ///< for sm_<architecture>
    std::string ptx;    ///< for compute_<architecture>
    std::string log;
  };
  /// Compiles a source that includes kernel_sources() for one of the architectures, as the build's nvcc would. Throws
  /// std::runtime_error with the compiler's first words.
  Output compile(const std::string& source, int architecture) const;
  /// The options that compile() gives.
  static std::vector<std::string> options(int architecture);

 private:
  RuntimeCompiler();
  std::string load();

  std::string reason_;
  std::string version_;
  std::string path_;
  std::vector<int> architectures_;
  struct Functions;
  const Functions* functions_ = nullptr;
};

}  // namespace sharpseek::lanes
