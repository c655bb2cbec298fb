#include "engine/cuda/runtime_compiler.h"

#include <dlfcn.h>
#include <link.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "engine/cuda/kernel_sources.h"

namespace sharpseek::lanes {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibrary = "libnvrtc.so.13";

/// The folder of LibTorch's libraries in this process; empty if there are none.
fs::path torch_folder() {
  fs::path folder;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        const fs::path path(info->dlpi_name);
        // Any library of LibTorch tells the folder.
        if (path.filename() != "libc10.so") return 0;
        *static_cast<fs::path*>(found) = path.parent_path();
        return 1;
      },
      &folder);
  return folder;
}

/// Folders where the library may lie that the loader does not know.
std::vector<fs::path> folders() {
  std::vector<fs::path> found;
  // LibTorch's own zip has it among its libraries, its wheels next to them.
  if (const fs::path torch = torch_folder(); !torch.empty()) {
    for (const char* place : {".", "../../nvidia/cu13/lib", "../../nvidia/cuda_nvrtc/lib"})
      found.push_back(torch / place);
  }
  if (const char* home = std::getenv("CUDA_HOME"); home != nullptr) found.push_back(fs::path(home) / "lib64");
  found.emplace_back("/usr/local/cuda/lib64");
  found.emplace_back("/usr/local/cuda/lib");
  return found;
}

/// Where the loader found this library.
std::string path_of(void* library) {
  link_map* map = nullptr;
  return dlinfo(library, RTLD_DI_LINKMAP, static_cast<void*>(&map)) == 0 && map != nullptr ? map->l_name : "";
}

/// NVRTC opens a library of its own by name when it compiles: that of its folder, which the loader may not know.
void open_builtins(const fs::path& folder) {
  std::error_code failed;
  for (const fs::directory_entry& file : fs::directory_iterator(folder, failed)) {
    if (file.path().filename().string().starts_with("libnvrtc-builtins.so.13")) {
      dlopen(file.path().c_str(), RTLD_NOW | RTLD_LOCAL);
    }
  }
}

}  // namespace

/// The functions of NVRTC's C interface that are needed; a result of 0 is success.
struct RuntimeCompiler::Functions {
  using Program = void*;
  int (*version)(int*, int*);
  int (*count_architectures)(int*);
  int (*architectures)(int*);
  int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*);
  int (*destroy)(Program*);
  int (*compile)(Program, int, const char* const*);
  int (*log_size)(Program, std::size_t*);
  int (*log)(Program, char*);
  int (*cubin_size)(Program, std::size_t*);
  int (*cubin)(Program, char*);
  int (*ptx_size)(Program, std::size_t*);
  int (*ptx)(Program, char*);

  /// One of the program's texts.
  static std::string text(Program program, int (*size)(Program, std::size_t*), int (*get)(Program, char*)) {
    std::size_t bytes = 0;
    if (size(program, &bytes) != 0 || bytes == 0) return "";
    std::string text(bytes, '\0');
    if (get(program, text.data()) != 0) return "";
    return text;
  }
};

KernelResources read_resources(const std::string& log) {
  KernelResources found;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    // "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    if (const auto at = line.find("bytes stack frame"); at != std::string::npos) {
      std::sscanf(line.c_str() + line.find_first_of("0123456789"),
                  "%d bytes stack frame, %d bytes spill stores, %d bytes spill loads", &found.stack,
                  &found.spill_stores, &found.spill_loads);
    } else if (const auto used = line.find("Used "); used != std::string::npos) {
      std::sscanf(line.c_str() + used, "Used %d registers", &found.registers);
      if (const auto end = line.find(" bytes smem"); end != std::string::npos) {
        found.shared = std::atoi(line.c_str() + line.rfind(' ', end - 1));
      }
    }
  }
  return found;
}

const RuntimeCompiler& RuntimeCompiler::instance() {
  static const RuntimeCompiler compiler;
  return compiler;
}

RuntimeCompiler::RuntimeCompiler() { reason_ = load(); }

std::string RuntimeCompiler::load() {
  // Where the loader knows it, or in one of the usual folders.
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  for (const fs::path& folder : folders()) {
    if (library != nullptr) break;
    library = dlopen((folder / kLibrary).lexically_normal().c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) return concat(kLibrary, " is nowhere to be found");
  path_ = path_of(library);
  open_builtins(fs::path(path_).parent_path());

  // Every function must be there, or it is another library.
  static Functions functions;
  bool whole = true;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    whole = whole && function != nullptr;
  };
  find(functions.version, "nvrtcVersion");
  find(functions.count_architectures, "nvrtcGetNumSupportedArchs");
  find(functions.architectures, "nvrtcGetSupportedArchs");
  find(functions.create, "nvrtcCreateProgram");
  find(functions.destroy, "nvrtcDestroyProgram");
  find(functions.compile, "nvrtcCompileProgram");
  find(functions.log_size, "nvrtcGetProgramLogSize");
  find(functions.log, "nvrtcGetProgramLog");
  find(functions.cubin_size, "nvrtcGetCUBINSize");
  find(functions.cubin, "nvrtcGetCUBIN");
  find(functions.ptx_size, "nvrtcGetPTXSize");
  find(functions.ptx, "nvrtcGetPTX");
  int major = 0;
  int minor = 0;
  int count = 0;
  if (!whole || functions.version(&major, &minor) != 0 || functions.count_architectures(&count) != 0) {
    return concat(path_, ": is not NVRTC 13");
  }
  // What it can compile for.
  version_ = concat(major, ".", minor);
  architectures_.resize(static_cast<std::size_t>(count));
  if (functions.architectures(architectures_.data()) != 0) return concat(path_, ": names no architectures");
  functions_ = &functions;
  return "";
}

std::vector<std::string> RuntimeCompiler::options(int architecture) {
  return {concat("--gpu-architecture=sm_", architecture), "--std=c++20",
          "--device-as-default-execution-space",          "--define-macro=SHARPSEEK_LANE_ISA=cuda_fixed",
          "--define-macro=SHARPSEEK_FIXED_SIZES",         "--ptxas-options=-v"};
}

RuntimeCompiler::Output RuntimeCompiler::compile(const std::string& source, int architecture) const {
  if (!available()) throw std::runtime_error(reason_);
  // Headers go in as text: nothing of the source tree is needed at run time.
  std::vector<const char*> names;
  std::vector<const char*> texts;
  for (const KernelSource& header : kernel_sources()) {
    names.push_back(header.name);
    texts.push_back(header.text);
  }
  Functions::Program program = nullptr;
  if (functions_->create(&program, source.c_str(), "step.cu", static_cast<int>(names.size()), texts.data(),
                         names.data()) != 0) {
    throw std::runtime_error("NVRTC: cannot take the source");
  }

  // The log is wanted in any case: ptxas writes its resources there.
  const std::vector<std::string> words = options(architecture);
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  const int result = functions_->compile(program, static_cast<int>(pointers.size()), pointers.data());
  Output output;
  output.log = Functions::text(program, functions_->log_size, functions_->log);
  if (result == 0) {
    output.cubin = Functions::text(program, functions_->cubin_size, functions_->cubin);
    output.ptx = Functions::text(program, functions_->ptx_size, functions_->ptx);
  }
  functions_->destroy(&program);
  // Its first line says what is wrong.
  if (output.cubin.empty()) {
    throw std::runtime_error(concat("NVRTC ", version_, ": ", output.log.substr(0, output.log.find('\n'))));
  }
  return output;
}

}  // namespace sharpseek::lanes
