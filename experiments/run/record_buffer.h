#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "experiments/run/record_layout.h"

namespace sharpseek {

/// Largest memory of a buffer of records.
inline constexpr std::int64_t kBufferBytes = std::int64_t{64} << 20;
/// Most records in a buffer.
inline constexpr std::int64_t kBufferRecords = 64;

/// A stretch of records in memory: of each variable over time the values [replica, record, size], which become one
/// write. Stretches follow each other from record 0 on; all but the last have full() records.
class RecordBuffer {
 public:
  explicit RecordBuffer(const RecordLayout& layout);

  std::int64_t full() const { return full_; }
  /// The first record of this stretch, and its number of records.
  std::int64_t first() const { return first_; }
  std::int64_t length() const { return length_; }
  /// The record after its last one.
  std::int64_t end() const { return first_ + length_; }

  bool has(std::string_view name) const;
  const Series& series(std::string_view name) const;

  /// Starts the stretch whose first record is `first`, with NaN in all of it.
  void begin(std::int64_t first);
  /// Sets a variable [replica, size] at a record.
  void put(std::string_view name, std::int64_t record, const double* values);
  /// Takes over the first `count` records from a file that has them in the same places.
  void read(files::File& source, std::int64_t count);
  /// Writes all of them in place.
  void write(files::File& target) const;
  /// CRC-32 of all values of a record, its step first.
  std::int64_t checksum(std::int64_t record, std::int64_t step) const;

 private:
  std::size_t index(std::string_view name) const;
  /// Where the values of a replica at a record begin.
  std::ptrdiff_t offset(const Series& series, std::size_t replica, std::int64_t record) const;

  std::int64_t replicas_;
  std::int64_t records_;  ///< of the run
  std::vector<Series> series_;
  std::vector<std::vector<double>> values_;  ///< of each series
  std::int64_t full_ = 1;
  std::int64_t first_ = 0;
  std::int64_t length_ = 0;
};

}  // namespace sharpseek
