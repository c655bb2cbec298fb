// HDF5 files that are valid, but not what a run writes: refused by UserError, whatever their types and shapes.
#include <gtest/gtest.h>
#include <hdf5_hl.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/checkpoint.h"
#include "experiments/hdf5.h"
#include "experiments/hdf5_input.h"
#include "experiments/verify.h"

namespace sharpseek {
namespace {

using hdf5::Handle;

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
  hdf5::File closed() {
    file_.reset();
    return hdf5::File::open(path_);
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
  {
    hdf5::File file = closed();
    EXPECT_THROW(file.integer_attribute("/", "steps"), UserError);
    EXPECT_THROW(file.text_attribute("/", "config"), UserError);
  }
  const hdf5::InputFile input(path_);
  EXPECT_THROW(input.integer("/", "steps"), UserError);
  EXPECT_THROW(input.text("config"), UserError);
}

TEST_F(DamagedFiles, ShapesBeyondMemoryAreRefusedAlsoWhereTheirProductOverflows) {
  const hsize_t huge = hsize_t{1} << 33;
  variable("wide", {huge, huge});
  variable("long", {huge << 10});
  {
    hdf5::File file = closed();
    for (const char* name : {"wide", "long"}) {
      EXPECT_THROW(file.numbers(name), UserError) << name;
      EXPECT_THROW(file.integers(name), UserError) << name;
    }
    EXPECT_THROW(file.elements("wide", {huge, huge}), UserError);
    EXPECT_EQ(file.elements("wide", {3, 4}), 12u);
  }
  const hdf5::InputFile input(path_);
  EXPECT_THROW(input.tensor("wide"), UserError);
  EXPECT_THROW(input.tensor("long"), UserError);
}

TEST_F(DamagedFiles, DimensionsThatAreNotVectorsAreRefused) {
  H5DSset_scale(variable("replica", {2, 3}), "replica");
  hdf5::File file = closed();
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
  hdf5::File file = closed();
  EXPECT_EQ(record_checksums(file, 2).size(), 2u);
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
  hdf5::File file = closed();
  EXPECT_THROW(read_state(file, at::kDouble), UserError);
}

}  // namespace
}  // namespace sharpseek
