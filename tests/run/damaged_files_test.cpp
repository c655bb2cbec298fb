// HDF5 files that are valid, but not what a run writes: refused by UserError, whatever their types and shapes.
#include <gtest/gtest.h>
#include <hdf5_hl.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/tensors.h"
#include "experiments/run/verify.h"
#include "files/netcdf_file.h"
#include "files/samples.h"

namespace sharpseek {
namespace {

using files::Handle;

class DamagedFiles : public testing::Test {
 protected:
  DamagedFiles() {
    std::filesystem::remove(path_);
    const Handle order(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
    H5Pset_link_creation_order(order, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    file_ = Handle(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, order, H5P_DEFAULT), H5Fclose);
  }
  ~DamagedFiles() override { std::filesystem::remove(path_); }

  Handle variable(const std::string& name, const std::vector<hsize_t>& shape, hid_t type = H5T_NATIVE_DOUBLE) {
    const Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose);
    const Handle chunked(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);  // nothing is allocated
    if (!shape.empty()) {
      H5Pset_chunk(chunked, static_cast<int>(shape.size()), std::vector<hsize_t>(shape.size(), 1).data());
    }
    return {H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, chunked, H5P_DEFAULT), H5Dclose};
  }
  /// An attribute with this many values, where one is expected.
  void attribute(hid_t object, const char* name, hid_t type, hsize_t count) {
    const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Handle made(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    const std::vector<char> zeros(count * H5Tget_size(type));
    H5Awrite(made, type, zeros.data());
  }
  files::File closed() {
    file_.reset();
    return files::File::open(path_);
  }

  /// Tests run side by side.
  std::string path_ =
      testing::TempDir() + "damaged-" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".h5";
  Handle file_;
};

TEST_F(DamagedFiles, SeveralValuesInsteadOfOneAreRefused) {
  attribute(file_, "steps", H5T_NATIVE_INT64, 100);
  const Handle text(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(text, 8);
  attribute(file_, "config", text, 100);
  files::File file = closed();
  EXPECT_THROW(file.integer_attribute("/", "steps"), UserError);
  EXPECT_THROW(file.text_attribute("/", "config"), UserError);
}

TEST_F(DamagedFiles, ShapesBeyondMemoryAreRefusedAlsoWhereTheirProductOverflows) {
  const hsize_t huge = hsize_t{1} << 33;
  variable("wide", {huge, huge});
  variable("long", {huge << 10});
  files::File file = closed();
  for (const char* name : {"wide", "long"}) {
    EXPECT_THROW(file.numbers(name), UserError) << name;
    EXPECT_THROW(file.integers(name), UserError) << name;
    EXPECT_THROW(files::read_array(file, name), UserError) << name;
    EXPECT_THROW(read_tensor(file, name), UserError) << name;
  }
  EXPECT_THROW(file.elements("wide", {huge, huge}), UserError);
  EXPECT_EQ(file.elements("wide", {3, 4}), 12u);
}

TEST_F(DamagedFiles, TextsThatWouldEndAtANulAreNotWritten) {
  using namespace std::string_literals;
  file_.reset();
  std::filesystem::remove(path_);
  files::File file(path_, files::Storage::kPacked);
  file.attribute("/", "name", "whole"s);
  EXPECT_EQ(file.text_attribute("/", "name"), "whole");
  EXPECT_THROW(file.attribute("/", "other", "a\0b"s), UserError);
  EXPECT_THROW(file.coordinate("layer", {"W_1", "W\0"s}), UserError);
}

TEST_F(DamagedFiles, DimensionsThatAreNotVectorsAreRefused) {
  H5DSset_scale(variable("replica", {2, 3}), "replica");
  files::File file = closed();
  EXPECT_THROW(file.variables(), UserError);
  EXPECT_THROW(file.length("replica"), UserError);
}

TEST_F(DamagedFiles, RecordsOfSeveralExtraDimensionsHaveChecksums) {
  const std::vector<std::string> names{"replica", "time", "eigen", "grid"};
  const std::vector<hsize_t> shape{2, 2, 3, 5};
  std::vector<Handle> scales;
  Handle values = variable("values", shape);
  for (std::size_t i = 0; i < names.size(); ++i) {
    scales.push_back(variable(names[i], {shape[i]}));
    H5DSset_scale(scales.back(), names[i].c_str());
    H5DSattach_scale(values, scales.back(), static_cast<unsigned>(i));
  }
  variable("step", {2}, H5T_NATIVE_INT64);
  scales.clear();
  values.reset();
  files::File file = closed();
  EXPECT_EQ(record_checksums(file, 2).size(), 2u);
}

/// A file with strings and a variable over them, whose bytes can be changed.
class DamagedHeaps : public DamagedFiles {
 protected:
  DamagedHeaps() {
    file_.reset();
    std::filesystem::remove(path_);
    files::File file(path_, files::Storage::kPacked);
    file.coordinate("layer", {"W_first", "W_second"});
    file.variable("trace", {"layer"});
    file.close();
    std::ifstream in(path_, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    string_ = bytes_.find("W_first");
    heap_ = bytes_.rfind("GCOL", string_);
  }
  /// The file with one byte changed.
  files::File changed(std::size_t at, char value) {
    std::string damaged = bytes_;
    damaged.at(at) = value;
    std::ofstream(path_, std::ios::binary) << damaged;
    return files::File::open(path_);
  }

  std::string bytes_;
  std::size_t string_ = 0;
  std::size_t heap_ = 0;
};

TEST_F(DamagedHeaps, StringsThatCannotBeThereAreRefused) {
  const std::vector<std::string> written{"W_first", "W_second"};
  EXPECT_EQ(changed(0, bytes_[0]).texts("layer"), written);
  std::string reference(12, '\0');  // length and heap of the first string
  const std::uint32_t length = 7;
  std::memcpy(reference.data(), &length, 4);
  std::memcpy(reference.data() + 4, &heap_, 8);
  const std::size_t refers = bytes_.find(reference);
  ASSERT_NE(refers, std::string::npos);
  EXPECT_THROW(changed(string_ - 8, 8).texts("layer"), UserError) << "another size";
  EXPECT_THROW(changed(string_ - 3, 1).texts("layer"), UserError) << "a size beyond all bounds";
  EXPECT_THROW(changed(string_ - 16, 99).texts("layer"), UserError) << "another index";
  EXPECT_THROW(changed(heap_ + 9, 0).texts("layer"), UserError) << "a heap too short for its objects";
  EXPECT_THROW(changed(heap_, 'X').texts("layer"), UserError) << "no heap";
  EXPECT_THROW(changed(refers, 100).texts("layer"), UserError) << "another length";
  EXPECT_THROW(changed(refers + 9, 1).texts("layer"), UserError) << "an address beyond the file";
  EXPECT_THROW(changed(refers + 12, 77).texts("layer"), UserError) << "an index that no object has";
}

TEST_F(DamagedHeaps, NamesOfDimensionsDoNotComeFromThem) {
  for (std::size_t at = bytes_.find("GCOL"); at != std::string::npos; at = bytes_.find("GCOL", at + 1))
    bytes_[at] = 'X';
  files::File file = changed(0, bytes_[0]);
  const std::vector<files::VariableInfo> found = file.variables();
  ASSERT_EQ(found.size(), 2U);
  for (const files::VariableInfo& variable : found) EXPECT_EQ(variable.dimensions, std::vector<std::string>{"layer"});
}

TEST_F(DamagedFiles, GroupsThatContainThemselvesAreRefused) {
  H5Lcreate_soft("/", file_, "circle", H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_THROW(closed().variables(), UserError);
}

TEST_F(DamagedFiles, CheckpointsWhosePartsDoNotFitAreRefused) {
  Handle group(H5Gcreate2(file_, "checkpoint", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  attribute(variable("checkpoint/parameters", {4, 3}), "step", H5T_NATIVE_INT64, 1);
  variable("checkpoint/loss_sum", {4});
  variable("checkpoint/loss_count", {1}, H5T_NATIVE_INT64);
  variable("checkpoint/diverged_at", {4}, H5T_NATIVE_INT64);
  group.reset();
  files::File file = closed();
  EXPECT_THROW(read_state(file, at::kDouble), UserError);
}

}  // namespace
}  // namespace sharpseek
