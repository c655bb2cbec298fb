#include "files/global_heap.h"

#include <bit>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek::files {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian and are read as they are");

/// A string's reference: its length, the address of its heap and its index there.
constexpr std::size_t kReferenceBytes = 16;
/// Signature, version, reserved bytes and size; and the same of an object: index, uses, reserved bytes and size.
constexpr std::size_t kHeaderBytes = 16;
/// No heap that we write is larger; HDF5 starts a new one every 4096 bytes.
constexpr std::uint64_t kLargestHeap = std::uint64_t{1} << 28;

template <class T>
T number(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

/// Sizes of a heap's objects by index; empty if the heap is damaged.
using Objects = std::map<std::uint32_t, std::uint64_t>;

class Heaps {
 public:
  explicit Heaps(const std::string& path) : file_(path, std::ios::binary) {}

  bool read(std::uint64_t address, std::size_t count, char* bytes) {
    file_.clear();
    file_.seekg(static_cast<std::streamoff>(address));
    return static_cast<bool>(file_.read(bytes, static_cast<std::streamsize>(count)));
  }
  const Objects& at(std::uint64_t address) {
    const auto [known, unknown] = heaps_.try_emplace(address);
    if (unknown) known->second = objects(address);
    return known->second;
  }

 private:
  Objects objects(std::uint64_t address) {
    char header[kHeaderBytes];
    if (!read(address, kHeaderBytes, header) || std::memcmp(header, "GCOL\1", 5) != 0) return {};
    const auto size = number<std::uint64_t>(header + 8);
    if (size < kHeaderBytes || size > kLargestHeap) return {};
    std::vector<char> heap(size);
    if (!read(address, size, heap.data())) return {};
    Objects found;
    for (std::size_t at = kHeaderBytes; size - at >= kHeaderBytes;) {
      const auto index = number<std::uint16_t>(&heap[at]);
      const auto bytes = number<std::uint64_t>(&heap[at + 8]);
      if (index == 0) return bytes <= size - at ? found : Objects{};  // the free space, its header included
      const std::uint64_t room = size - at - kHeaderBytes;
      if (bytes > room || (bytes + 7) / 8 * 8 > room || !found.emplace(index, bytes).second) return {};
      at += kHeaderBytes + (bytes + 7) / 8 * 8;
    }
    return found;
  }

  std::ifstream file_;
  std::map<std::uint64_t, Objects> heaps_;
};

}  // namespace

void check_strings(const std::string& path, const std::string& variable, std::uint64_t offset, std::uint64_t count) {
  Heaps heaps(path);
  for (std::uint64_t i = 0; i < count; ++i) {
    char reference[kReferenceBytes];
    bool sound = heaps.read(offset + i * kReferenceBytes, kReferenceBytes, reference);
    const auto length = number<std::uint32_t>(reference);
    const auto address = number<std::uint64_t>(reference + 4);
    if (sound && address != 0) {  // 0: no string was written
      const Objects& objects = heaps.at(address);
      const auto object = objects.find(number<std::uint32_t>(reference + 12));
      sound = object != objects.end() && object->second == length;
    }
    require(sound, path, ": ", variable, ": string ", i, " cannot be read (damaged?)");
  }
}

}  // namespace sharpseek::files
