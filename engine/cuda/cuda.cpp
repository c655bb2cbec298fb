#include "engine/cuda/cuda.h"

#include <dlfcn.h>

#include <charconv>
#include <exception>
#include <filesystem>
#include <string>

#include "core/error.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

/// dlopen; empty, or what the loader says.
std::string open_library(const char* name, int mode, void*& library) {
  library = dlopen(name, mode);
  return library != nullptr ? "" : dlerror();
}

/// The plug-in of this program's build, next to it or (test programs) one folder above; empty if there is none.
std::string plugin_path() {
  std::error_code failed;
  const fs::path folder = fs::read_symlink("/proc/self/exe", failed).parent_path();
  for (const fs::path& place : {folder, folder.parent_path()}) {
    const fs::path path = place / "libsharpseek_cuda.so";
    if (fs::exists(path, failed)) return path.string();
  }
  return "";
}

}  // namespace

const Cuda& Cuda::instance() {
  static const Cuda cuda;
  return cuda;
}

Cuda::Cuda() {
  try {
    // Without a GPU the program still works: why there is none is something to tell, not an error.
    reason_ = load();
  } catch (const std::exception& error) {
    reason_ = error.what();
  }
  if (!reason_.empty()) plugin_ = nullptr;
}

std::string Cuda::load() {
  // In the order in which things are missing: driver, plug-in, LibTorch's CUDA library.
  void* library = nullptr;
  if (!open_library("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL, library).empty()) {
    return "no NVIDIA driver here (libcuda.so.1 does not load)";
  }
  const std::string path = plugin_path();
  if (path.empty()) return "this program was built without CUDA (no libsharpseek_cuda.so next to it)";
  std::string problem = open_library("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL, library);
  if (!problem.empty()) return "LibTorch's CUDA library does not load: " + problem;
  problem = open_library(path.c_str(), RTLD_NOW | RTLD_LOCAL, library);
  if (!problem.empty()) return "the CUDA plug-in does not load: " + problem;
  // Another build's plug-in would have other structures.
  const auto entry = reinterpret_cast<const CudaPlugin* (*)()>(dlsym(library, kCudaPluginFunction));
  if (entry == nullptr) return path + ": is not a plug-in of sharpseek";
  if (entry()->version != kCudaPluginVersion) return path + ": belongs to another version of sharpseek";
  plugin_ = entry();
  const int count = plugin_->device_count();
  for (int i = 0; i < count; ++i) devices_.push_back(plugin_->describe(i));
  return devices_.empty() ? "the NVIDIA driver shows no device" : "";
}

int Cuda::index_of(const std::string& name) const {
  // cuda is cuda:0.
  int index = 0;
  if (name != "cuda") {
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + std::string("cuda:").size(), end, index);
    require(name.starts_with("cuda:") && error == std::errc() && rest == end, "--device ", name,
            ": must be auto | cpu | cuda | cuda:N");
  }
  require(plugin_ != nullptr, "--device ", name, ": ", reason_);
  require(index >= 0 && static_cast<std::size_t>(index) < devices_.size(), "--device ", name, ": there are ",
          devices_.size(), " devices, numbered from 0");
  return index;
}

}  // namespace sharpseek
