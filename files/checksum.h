#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sharpseek::files {

/// CRC-32 (zlib's) of values as they lie in memory, fed piece by piece.
class Checksum {
 public:
  Checksum() = default;
  explicit Checksum(std::int64_t begin) : value_(static_cast<uLong>(begin)) {}

  template <class T>
  void add(std::span<const T> values) {
    add_bytes(values.data(), values.size_bytes());
  }
  /// Length and characters, so that {"ab", "c"} and {"a", "bc"} differ.
  void add(const std::string& text) {
    const std::uint64_t size = text.size();
    add_bytes(&size, sizeof size);
    add_bytes(text.data(), text.size());
  }
  std::int64_t value() const { return static_cast<std::int64_t>(value_); }

 private:
  void add_bytes(const void* data, std::size_t size) {
    value_ = crc32_z(value_, static_cast<const Bytef*>(data), size);
  }
  uLong value_ = crc32_z(0, nullptr, 0);
};

}  // namespace sharpseek::files
