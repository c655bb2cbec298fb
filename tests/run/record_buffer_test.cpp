// A buffer of records: what is put into it is what lies in the file, however short the last stretch is.
#include "experiments/run/record_buffer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/run/verify.h"
#include "files/netcdf_file.h"

namespace sharpseek {
namespace {

constexpr std::int64_t kReplicas = 3;
constexpr std::int64_t kRecords = kBufferRecords + 5;  // a full stretch and a short one
constexpr std::int64_t kLayers = 2;

RecordLayout layout() {
  RecordLayout layout;
  layout.replicas = kReplicas;
  layout.records = kRecords;
  layout.parameters.resize(kLayers);
  layout.variables = {{"trace", "", "1", ""}, {"layer_trace", "layer", "1", ""}};
  return layout;
}

/// A different number for each element: of a series, at a replica, a record and a place in the extra dimension.
double value(std::size_t series, std::int64_t replica, std::int64_t record, std::int64_t place) {
  return static_cast<double>(series) * 1e6 + static_cast<double>((replica * kRecords + record) * kLayers + place);
}

/// Values [replica, size] of a series at a record.
std::vector<double> values_at(std::size_t series, std::int64_t record, std::int64_t size) {
  std::vector<double> values;
  for (std::int64_t e = 0; e < kReplicas; ++e) {
    for (std::int64_t i = 0; i < size; ++i) values.push_back(value(series, e, record, i));
  }
  return values;
}

/// A file with the series of layout(), and step.
class RecordBuffers : public testing::Test {
 protected:
  RecordBuffers() { std::filesystem::remove(path_); }
  ~RecordBuffers() override { std::filesystem::remove(path_); }

  files::File create() const {
    files::File file(path_, files::Storage::kInPlace);
    file.define({"replica", kReplicas});
    file.define({"time", kRecords});
    file.define({"layer", kLayers});
    file.integer_variable("step", {"time"});
    for (const Series& own : series_of(layout())) {
      file.variable(own.name, !own.extra.empty() ? std::vector<std::string>{"replica", "time", "layer"}
                                                 : std::vector<std::string>{"replica", "time"});
    }
    return file;
  }
  /// Puts the values of `count` records into a buffer.
  static void fill(RecordBuffer& buffer, std::int64_t count) {
    const std::vector<Series> series = series_of(layout());
    for (std::int64_t t = buffer.first(); t < buffer.first() + count; ++t) {
      for (std::size_t s = 0; s < series.size(); ++s) {
        buffer.put(series[s].name, t, values_at(s, t, static_cast<std::int64_t>(series[s].size())).data());
      }
    }
  }

  std::string path_ =
      testing::TempDir() + "buffers-" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".h5";
};

TEST_F(RecordBuffers, CoverTheRunOneAfterTheOther) {
  RecordBuffer buffer(layout());
  EXPECT_EQ(buffer.full(), kBufferRecords);
  buffer.begin(0);
  EXPECT_EQ(buffer.end(), kBufferRecords);
  buffer.begin(buffer.end());
  EXPECT_EQ(buffer.length(), 5);
  EXPECT_EQ(buffer.end(), kRecords);
  buffer.begin(buffer.end());
  EXPECT_EQ(buffer.length(), 0);
}

TEST_F(RecordBuffers, AreWrittenToTheirPlacesWithNaNWhereNothingWasPut) {
  files::File file = create();
  RecordBuffer buffer(layout());
  buffer.begin(0);
  fill(buffer, buffer.length());
  buffer.write(file);
  buffer.begin(buffer.end());
  fill(buffer, 2);
  buffer.write(file);

  const std::vector<Series> series = series_of(layout());
  ASSERT_EQ(series.size(), 4U);
  for (std::size_t s = 0; s < series.size(); ++s) {
    const auto size = static_cast<std::int64_t>(series[s].size());
    const std::vector<double> stored = file.numbers(series[s].name);
    ASSERT_EQ(stored.size(), static_cast<std::size_t>(kReplicas * kRecords * size));
    std::size_t at = 0;
    for (std::int64_t e = 0; e < kReplicas; ++e) {
      for (std::int64_t t = 0; t < kRecords; ++t) {
        for (std::int64_t i = 0; i < size; ++i, ++at) {
          if (t < kBufferRecords + 2) {
            EXPECT_EQ(stored[at], value(s, e, t, i)) << series[s].name;
          } else {
            EXPECT_TRUE(std::isnan(stored[at])) << series[s].name;
          }
        }
      }
    }
  }
}

TEST_F(RecordBuffers, HaveTheChecksumsThatVerifyFindsInTheFileAlsoWhenTheyAreReadAgain) {
  std::vector<std::int64_t> steps;
  for (std::int64_t t = 0; t < kRecords; ++t) steps.push_back(10 * t);
  std::vector<std::int64_t> sums;
  {
    files::File file = create();
    file.write("step", {0}, {kRecords}, steps.data());
    RecordBuffer buffer(layout());
    for (buffer.begin(0); buffer.length() > 0; buffer.begin(buffer.end())) {
      fill(buffer, buffer.length());
      for (std::int64_t t = buffer.first(); t < buffer.end(); ++t) {
        sums.push_back(buffer.checksum(t, steps[static_cast<std::size_t>(t)]));
      }
      buffer.write(file);
    }
    file.close();
  }
  files::File file = files::File::open(path_);
  EXPECT_EQ(record_checksums(file, kRecords), sums);

  constexpr std::int64_t kPart = 3;
  RecordBuffer buffer(layout());
  buffer.begin(kBufferRecords);
  buffer.read(file, kPart);
  for (std::int64_t t = kBufferRecords; t < kBufferRecords + kPart; ++t) {
    const auto at = static_cast<std::size_t>(t);
    EXPECT_EQ(buffer.checksum(t, steps[at]), sums[at]);
    EXPECT_NE(buffer.checksum(t, steps[at] + 1), sums[at]);
  }
}

}  // namespace
}  // namespace sharpseek
