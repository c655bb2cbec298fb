// Blocks of records: what is put into them is what lies in the file, whatever the length of the last one.
#include "experiments/run/record_block.h"

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
constexpr std::int64_t kRecords = kBlockRecords + 5;  // a full block and a short one
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
class RecordBlocks : public testing::Test {
 protected:
  RecordBlocks() { std::filesystem::remove(path_); }
  ~RecordBlocks() override { std::filesystem::remove(path_); }

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
  /// Puts the values of `count` records into a block.
  static void fill(RecordBlock& block, std::int64_t count) {
    const std::vector<Series> series = series_of(layout());
    for (std::int64_t t = block.first(); t < block.first() + count; ++t) {
      for (std::size_t s = 0; s < series.size(); ++s) {
        block.put(series[s].name, t, values_at(s, t, static_cast<std::int64_t>(series[s].size())).data());
      }
    }
  }

  std::string path_ =
      testing::TempDir() + "blocks-" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".h5";
};

TEST_F(RecordBlocks, CoverTheRunOneAfterTheOther) {
  RecordBlock block(layout());
  EXPECT_EQ(block.full(), kBlockRecords);
  block.begin(0);
  EXPECT_EQ(block.end(), kBlockRecords);
  block.begin(block.end());
  EXPECT_EQ(block.length(), 5);
  EXPECT_EQ(block.end(), kRecords);
  block.begin(block.end());
  EXPECT_EQ(block.length(), 0);
}

TEST_F(RecordBlocks, AreWrittenToTheirPlacesWithNaNWhereNothingWasPut) {
  files::File file = create();
  RecordBlock block(layout());
  block.begin(0);
  fill(block, block.length());
  block.write(file);
  block.begin(block.end());
  fill(block, 2);
  block.write(file);

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
          if (t < kBlockRecords + 2) {
            EXPECT_EQ(stored[at], value(s, e, t, i)) << series[s].name;
          } else {
            EXPECT_TRUE(std::isnan(stored[at])) << series[s].name;
          }
        }
      }
    }
  }
}

TEST_F(RecordBlocks, HaveTheChecksumsThatVerifyFindsInTheFileAlsoWhenTheyAreReadAgain) {
  std::vector<std::int64_t> steps;
  for (std::int64_t t = 0; t < kRecords; ++t) steps.push_back(10 * t);
  std::vector<std::int64_t> sums;
  {
    files::File file = create();
    file.write("step", {0}, {kRecords}, steps.data());
    RecordBlock block(layout());
    for (block.begin(0); block.length() > 0; block.begin(block.end())) {
      fill(block, block.length());
      for (std::int64_t t = block.first(); t < block.end(); ++t) {
        sums.push_back(block.checksum(t, steps[static_cast<std::size_t>(t)]));
      }
      block.write(file);
    }
    file.close();
  }
  files::File file = files::File::open(path_);
  EXPECT_EQ(record_checksums(file, kRecords), sums);

  constexpr std::int64_t kPart = 3;
  RecordBlock block(layout());
  block.begin(kBlockRecords);
  block.read(file, kPart);
  for (std::int64_t t = kBlockRecords; t < kBlockRecords + kPart; ++t) {
    const auto at = static_cast<std::size_t>(t);
    EXPECT_EQ(block.checksum(t, steps[at]), sums[at]);
    EXPECT_NE(block.checksum(t, steps[at] + 1), sums[at]);
  }
}

}  // namespace
}  // namespace sharpseek
