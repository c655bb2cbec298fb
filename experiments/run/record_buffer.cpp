#include "experiments/run/record_buffer.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/not_measured.h"
#include "files/checksum.h"

namespace sharpseek {

RecordBuffer::RecordBuffer(const RecordLayout& layout)
    : replicas_(layout.replicas), records_(layout.records), series_(series_of(layout)), values_(series_.size()) {
  std::int64_t width = 0;
  for (const Series& own : series_) width += static_cast<std::int64_t>(own.size());
  SHARPSEEK_ASSERT(replicas_ >= 1 && width >= 1);
  full_ = std::clamp<std::int64_t>(kBufferBytes / (8 * replicas_ * width), 1, std::min(kBufferRecords, records_));
}

bool RecordBuffer::has(std::string_view name) const {
  return std::any_of(series_.begin(), series_.end(), [&](const Series& own) { return own.name == name; });
}

std::size_t RecordBuffer::index(std::string_view name) const {
  const auto found = std::find_if(series_.begin(), series_.end(), [&](const Series& own) { return own.name == name; });
  SHARPSEEK_ASSERT(found != series_.end());
  return static_cast<std::size_t>(found - series_.begin());
}

const Series& RecordBuffer::series(std::string_view name) const { return series_[index(name)]; }

std::ptrdiff_t RecordBuffer::offset(const Series& series, std::size_t replica, std::int64_t record) const {
  const std::size_t at = replica * static_cast<std::size_t>(length_) + static_cast<std::size_t>(record - first_);
  return static_cast<std::ptrdiff_t>(at * series.size());
}

void RecordBuffer::begin(std::int64_t first) {
  first_ = first;
  length_ = std::clamp<std::int64_t>(records_ - first, 0, full_);
  for (std::size_t s = 0; s < series_.size(); ++s) {
    values_[s].assign(static_cast<std::size_t>(replicas_ * length_) * series_[s].size(), kNotMeasured);
  }
}

void RecordBuffer::put(std::string_view name, std::int64_t record, const double* values) {
  const std::size_t s = index(name);
  const hsize_t size = series_[s].size();
  for (std::size_t e = 0; e < static_cast<std::size_t>(replicas_); ++e) {
    std::copy_n(values + e * size, size, values_[s].begin() + offset(series_[s], e, record));
  }
}

void RecordBuffer::read(files::File& source, std::int64_t count) {
  for (std::size_t s = 0; s < series_.size(); ++s) {
    const Series& own = series_[s];
    const std::size_t row = static_cast<std::size_t>(count) * own.size();
    std::vector<double> values(static_cast<std::size_t>(replicas_) * row);
    source.read(own.name, own.start(0, static_cast<hsize_t>(first_)),
                own.shape(static_cast<hsize_t>(replicas_), static_cast<hsize_t>(count)), values.data());
    for (std::size_t e = 0; e < static_cast<std::size_t>(replicas_); ++e) {
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(e * row), row,
                  values_[s].begin() + offset(own, e, first_));
    }
  }
}

void RecordBuffer::write(files::File& target) const {
  for (std::size_t s = 0; s < series_.size(); ++s) {
    const Series& own = series_[s];
    target.write(own.name, own.start(0, static_cast<hsize_t>(first_)),
                 own.shape(static_cast<hsize_t>(replicas_), static_cast<hsize_t>(length_)), values_[s].data());
  }
}

std::int64_t RecordBuffer::checksum(std::int64_t record, std::int64_t step) const {
  files::Checksum sum;
  sum.add(std::span<const std::int64_t>(&step, 1));
  std::vector<double> values;
  for (std::size_t s = 0; s < series_.size(); ++s) {
    const hsize_t size = series_[s].size();
    values.resize(static_cast<std::size_t>(replicas_) * size);
    for (std::size_t e = 0; e < static_cast<std::size_t>(replicas_); ++e) {
      std::copy_n(values_[s].begin() + offset(series_[s], e, record), size,
                  values.begin() + static_cast<std::ptrdiff_t>(e * size));
    }
    sum.add(std::span<const double>(values));
  }
  return sum.value();
}

}  // namespace sharpseek
