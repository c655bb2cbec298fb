#include "engine/cuda/kernel_cache.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>

#include "core/random.h"

namespace sharpseek::lanes {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark = "sharpseek kernel\n";

/// 128 bits of a text, as hexadecimal digits: two FNV-1a hashes from different beginnings, each mixed after every byte
/// of the text has gone in.
std::string digest(const std::string& text) {
  std::array<std::uint64_t, 2> hash{0xcbf29ce484222325u, mix64(text.size())};
  for (const char c : text) {
    // FNV-1a on both, the second one mixed.
    for (std::uint64_t& h : hash) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    hash[1] ^= hash[1] >> 29;
  }
  std::array<char, 33> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx%016llx", static_cast<unsigned long long>(mix64(hash[0])),
                static_cast<unsigned long long>(mix64(hash[1])));
  return digits.data();
}

/// What comes before the kernel in its file.
std::string head(const std::string& kernel) { return kMark + digest(kernel) + "\n"; }

}  // namespace

fs::path KernelCache::usual_folder() {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0' ? std::optional<fs::path>(value) : std::nullopt;
  };
  // The user's choice, then the system's place for caches.
  if (const auto own = set("SHARPSEEK_CACHE")) return *own;
  if (const auto cache = set("XDG_CACHE_HOME")) return *cache / "sharpseek/kernels";
  if (const auto home = set("HOME")) return *home / ".cache/sharpseek/kernels";
  return {};
}

fs::path KernelCache::file(const std::string& content) const { return folder_ / (digest(content) + ".kernel"); }

std::optional<std::string> KernelCache::find(const std::string& content) const {
  if (folder_.empty()) return std::nullopt;
  // A file that is cut short or altered does not carry its own digest.
  std::ifstream in(file(content), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::size_t size = head("").size();
  if (!in || bytes.size() <= size) return std::nullopt;
  std::string kernel = bytes.substr(size);
  if (bytes.compare(0, size, head(kernel)) != 0) return std::nullopt;
  return kernel;
}

std::string KernelCache::keep(const std::string& content, const std::string& kernel) const {
  if (folder_.empty()) return "neither SHARPSEEK_CACHE nor HOME is set";
  std::error_code failed;
  fs::create_directories(folder_, failed);
  if (failed) return folder_.string() + ": " + failed.message();

  // Under a name of its own first: processes may write the same kernel at once.
  const fs::path whole = file(content);
  fs::path part = whole;
  part += "." + std::to_string(getpid());
  std::ofstream out(part, std::ios::binary);
  out << head(kernel) << kernel;
  out.close();
  if (!out) {
    std::string reason = folder_.string() + ": " + std::strerror(errno);
    fs::remove(part, failed);
    return reason;
  }
  // Renaming replaces a file whole or not at all.
  fs::rename(part, whole, failed);
  if (!failed) return "";
  std::string reason = whole.string() + ": " + failed.message();
  fs::remove(part, failed);
  return reason;
}

}  // namespace sharpseek::lanes
