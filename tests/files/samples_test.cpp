// Samples as users write them: the values that a data set stands for, or one line that says why it has none.
#include "files/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"
#include "files/netcdf_file.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;
using files::Handle;
using testing::AllOf;
using testing::HasSubstr;

/// A folder with a file that tests write by HDF5's own calls.
class Hdf5Input : public testing::Test {
 protected:
  Hdf5Input() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    file_ = create("data.h5");
  }
  ~Hdf5Input() override {
    file_.reset();
    fs::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Handle create(const std::string& name) const {
    return {H5Fcreate(path(name).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose};
  }

  static Handle space(const std::vector<hsize_t>& shape) {
    return {H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose};
  }

  /// A data set of `type` with these values, which HDF5 converts.
  static Handle write(hid_t file, const std::string& name, const std::vector<hsize_t>& shape,
                      const std::vector<double>& values, hid_t type = H5T_NATIVE_DOUBLE, hid_t creation = H5P_DEFAULT) {
    Handle made(H5Dcreate2(file, name.c_str(), type, space(shape), H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose);
    if (!values.empty()) H5Dwrite(made, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    return made;
  }
  static void attribute(hid_t object, const char* name, const std::vector<double>& values,
                        hid_t type = H5T_NATIVE_DOUBLE) {
    const Handle made(H5Acreate2(object, name, type, space({values.size()}), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    H5Awrite(made, H5T_NATIVE_DOUBLE, values.data());
  }

  /// A data set of `file` that shows the sources one after the other, `rows` of each.
  struct Source {
    std::string file;
    std::string name;
    hsize_t rows;
  };
  static void show(hid_t file, const std::string& name, hsize_t rows, const std::vector<Source>& sources) {
    const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const Handle whole = space({rows});
    hsize_t first = 0;
    for (const Source& source : sources) {
      H5Sselect_hyperslab(whole, H5S_SELECT_SET, &first, nullptr, &source.rows, nullptr);
      H5Pset_virtual(creation, whole, source.file.c_str(), source.name.c_str(), space({source.rows}));
      first += source.rows;
    }
    const Handle made(
        H5Dcreate2(file, name.c_str(), H5T_NATIVE_DOUBLE, space({rows}), H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose);
    ASSERT_GE(made, 0);
  }

  std::vector<double> samples(const std::string& name) {
    file_.reset();
    files::File file = files::File::open(path("data.h5"));
    const files::Array read = files::read_samples(file, name, files::Booleans::kIntegers);
    return std::get<std::vector<double>>(files::as_reals(read).values);
  }
  std::string refusal(const std::string& name) {
    try {
      samples(name);
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("data.h5: " + name), testing::Not(HasSubstr("\n"))));
      return error.what();
    }
    return "(no error)";
  }

  fs::path folder_ = fs::path(testing::TempDir()) /
                     (std::string("hdf5-input-") + testing::UnitTest::GetInstance()->current_test_info()->name());
  Handle file_;
};

TEST_F(Hdf5Input, NumbersOfEveryTypeAreRead) {
  const std::vector<double> values{0, 1, 2, 100};
  Handle half(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  H5Tset_fields(half, 15, 10, 5, 0, 10);
  H5Tset_size(half, 2);
  H5Tset_ebias(half, 15);
  write(file_, "half", {4}, values, half);
  write(file_, "long_double", {4}, values, H5T_NATIVE_LDOUBLE);
  write(file_, "big_endian", {2, 2}, values, H5T_IEEE_F32BE);
  write(file_, "byte", {4}, values, H5T_STD_U8LE);
  write(file_, "big_integer", {4}, values, H5T_STD_I64BE);
  write(file_, "unsigned", {4}, values, H5T_STD_U64LE);
  for (const char* name : {"half", "long_double", "big_endian", "byte", "big_integer", "unsigned"}) {
    EXPECT_EQ(samples(name), values) << name;
  }
  files::File input = files::File::open(path("data.h5"));
  EXPECT_TRUE(files::read_samples(input, "byte", files::Booleans::kReals).integers());
  EXPECT_FALSE(files::read_samples(input, "half", files::Booleans::kIntegers).integers());
  EXPECT_EQ(files::read_samples(input, "big_endian", files::Booleans::kReals).shape, (std::vector<std::int64_t>{2, 2}));
}

TEST_F(Hdf5Input, BooleansOfNumPyHaveTheTypeThatIsAskedForAndOtherEnumerationsTheirValues) {
  const auto enumeration = [](hid_t base, const char* no, const char* yes, std::int16_t value) {
    Handle type(H5Tenum_create(base), H5Tclose);
    const std::int16_t zero = 0;
    H5Tenum_insert(type, no, &zero);  // little-endian: the first byte of an int8
    H5Tenum_insert(type, yes, &value);
    return type;
  };
  const Handle boolean = enumeration(H5T_STD_I8LE, "FALSE", "TRUE", 1);
  const Handle kinds = enumeration(H5T_STD_I16LE, "cat", "dog", 300);
  const Handle first(H5Dcreate2(file_, "boolean", boolean, space({3}), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                     H5Dclose);
  const std::int8_t flags[]{1, 0, 1};
  H5Dwrite(first, boolean, H5S_ALL, H5S_ALL, H5P_DEFAULT, flags);
  const Handle second(H5Dcreate2(file_, "kinds", kinds, space({2}), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose);
  const std::int16_t values[]{300, 0};
  H5Dwrite(second, kinds, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  EXPECT_EQ(samples("boolean"), (std::vector<double>{1, 0, 1}));
  EXPECT_EQ(samples("kinds"), (std::vector<double>{300, 0}));
  files::File input = files::File::open(path("data.h5"));
  EXPECT_FALSE(files::read_samples(input, "boolean", files::Booleans::kReals).integers());
  EXPECT_TRUE(files::read_samples(input, "boolean", files::Booleans::kIntegers).integers());
  EXPECT_TRUE(files::read_samples(input, "kinds", files::Booleans::kReals).integers());
}

TEST_F(Hdf5Input, WhatIsNoNumberIsNamed) {
  const Handle text(H5Tcopy(H5T_C_S1), H5Tclose);
  const Handle complex(H5Tcreate(H5T_COMPOUND, 16), H5Tclose);
  H5Tinsert(complex, "r", 0, H5T_NATIVE_DOUBLE);
  H5Tinsert(complex, "i", 8, H5T_NATIVE_DOUBLE);
  const Handle early(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_alloc_time(early, H5D_ALLOC_TIME_EARLY);
  write(file_, "text", {2}, {}, text, early);
  write(file_, "complex", {2}, {}, complex, early);
  write(file_, "bits", {2}, {}, H5T_STD_B8LE, early);
  write(file_, "big", {2}, {1, 1.5e19}, H5T_STD_U64LE);
  const Handle scalar(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle null(H5Screate(H5S_NULL), H5Sclose);
  for (const auto& [name, extent] : {std::pair<const char*, hid_t>{"scalar", scalar}, {"null", null}}) {
    H5Dclose(H5Dcreate2(file_, name, H5T_NATIVE_FLOAT, extent, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }
  write(file_, "none", {0, 3}, {});
  EXPECT_THAT(refusal("text"), HasSubstr("holds strings, must hold numbers"));
  EXPECT_THAT(refusal("complex"), HasSubstr("holds complex numbers"));
  EXPECT_THAT(refusal("bits"), HasSubstr("holds bit fields"));
  EXPECT_THAT(refusal("big"), HasSubstr("big[1] is above 9223372036854775806"));
  EXPECT_THAT(refusal("scalar"), HasSubstr("is a single value"));
  EXPECT_THAT(refusal("null"), HasSubstr("is empty"));
  EXPECT_THAT(refusal("none"), HasSubstr("holds no values"));
}

TEST_F(Hdf5Input, ANameThatLeadsToNoDataSetSaysWhereItLeads) {
  const Handle group(H5Gcreate2(file_, "train", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  write(file_, "train/x", {2}, {3, 4});
  H5Lcreate_soft("/train/x", file_, "good", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_soft("/train/y", file_, "dangling", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external("gone.h5", "/x", file_, "elsewhere", H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_EQ(samples("good"), (std::vector<double>{3, 4}));
  EXPECT_THAT(refusal("train"), HasSubstr("train is a group"));
  EXPECT_THAT(refusal("dangling"), HasSubstr("dangling is a link to /train/y"));
  EXPECT_THAT(refusal("elsewhere"), HasSubstr("elsewhere is a link to /x in gone.h5"));
  try {
    samples("inputs");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("has no data set inputs; it has train/x"));
  }
}

TEST_F(Hdf5Input, PackedNumbersAreUnpacked) {
  Handle both = write(file_, "both", {2, 2}, {-3, 0, 7, 1000}, H5T_STD_I16LE);
  attribute(both, "scale_factor", {0.25}, H5T_NATIVE_FLOAT);
  attribute(both, "add_offset", {10});
  attribute(both, "_FillValue", {-32768}, H5T_STD_I16LE);
  Handle scale = write(file_, "scale", {2}, {200, 255}, H5T_STD_U8LE);
  attribute(scale, "scale_factor", {2});
  Handle offset = write(file_, "offset", {2}, {1.5, 2}, H5T_NATIVE_FLOAT);
  attribute(offset, "add_offset", {-1}, H5T_STD_I32LE);
  both.reset();
  scale.reset();
  offset.reset();
  EXPECT_EQ(samples("both"), (std::vector<double>{9.25, 10, 11.75, 260}));
  EXPECT_EQ(samples("scale"), (std::vector<double>{400, 510}));
  EXPECT_EQ(samples("offset"), (std::vector<double>{0.5, 1}));
}

TEST_F(Hdf5Input, AValueThatStandsForNoneIsRefusedByItsPosition) {
  Handle fill = write(file_, "fill", {2, 3}, {1, 2, 3, 4, -9, -9}, H5T_STD_I32LE);
  attribute(fill, "_FillValue", {-9}, H5T_STD_I32LE);
  attribute(fill, "scale_factor", {0.1});
  Handle missing = write(file_, "missing", {3}, {1, 0.1, 2}, H5T_NATIVE_FLOAT);
  attribute(missing, "missing_value", {-1, 0.1});  // in more digits than float32 has
  Handle valid = write(file_, "valid", {3}, {1, -1, 3}, H5T_STD_I16LE);
  attribute(valid, "valid_range", {-1, 2}, H5T_STD_I16LE);
  Handle unpacked = write(file_, "unpacked", {2}, {10, 30}, H5T_STD_I16LE);  // 1 and 3
  attribute(unpacked, "scale_factor", {0.1});
  attribute(unpacked, "valid_max", {2.5});
  Handle sound = write(file_, "sound", {2}, {10, 30}, H5T_STD_I16LE);
  attribute(sound, "scale_factor", {0.1});
  attribute(sound, "valid_max", {30}, H5T_STD_I16LE);
  attribute(sound, "valid_min", {0.5});
  attribute(sound, "_FillValue", {3}, H5T_STD_I16LE);  // the unpacked value of none
  Handle sign = write(file_, "sign", {2}, {1, -56}, H5T_STD_I8LE);
  const Handle text(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Aclose(H5Acreate2(sign, "_Unsigned", text, space({1}), H5P_DEFAULT, H5P_DEFAULT));
  Handle words = write(file_, "words", {2}, {1, 2});
  H5Aclose(H5Acreate2(words, "scale_factor", text, space({1}), H5P_DEFAULT, H5P_DEFAULT));
  for (Handle* made : {&fill, &missing, &valid, &unpacked, &sound, &sign, &words}) made->reset();

  EXPECT_THAT(refusal("fill"), HasSubstr("fill[1, 1] is -9, its _FillValue"));
  EXPECT_THAT(refusal("missing"), HasSubstr("missing[1] is 0.1, its missing_value"));
  EXPECT_THAT(refusal("valid"), HasSubstr("valid[2] is 3: above its valid_range, 2"));
  EXPECT_THAT(refusal("unpacked"), HasSubstr("unpacked[1] is 3: above its valid_max, 2.5"));
  EXPECT_EQ(samples("sound"), (std::vector<double>{10 * 0.1, 30 * 0.1}));
  EXPECT_THAT(refusal("sign"), HasSubstr("_Unsigned"));
  EXPECT_THAT(refusal("words"), HasSubstr("scale_factor must be a number"));
}

TEST_F(Hdf5Input, TheFillValueOfNetcdfStandsForNoneOnlyWhereTheDataSetIsFilledWithIt) {
  constexpr double kFill = 9.9692099683868690e+36;
  const Handle filled(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_fill_value(filled, H5T_NATIVE_DOUBLE, &kFill);
  write(file_, "filled", {2}, {kFill, 1}, H5T_NATIVE_FLOAT, filled);
  write(file_, "plain", {2}, {-32767, 1}, H5T_STD_I16LE);
  const Handle integers(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const std::int16_t fill = -32767;
  H5Pset_fill_value(integers, H5T_NATIVE_INT16, &fill);
  write(file_, "integers", {2}, {1, -32767}, H5T_STD_I16LE, integers);
  const Handle bytes(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const std::uint8_t white = 255;
  H5Pset_fill_value(bytes, H5T_NATIVE_UINT8, &white);
  write(file_, "pixels", {2}, {255, 0}, H5T_STD_U8LE, bytes);
  EXPECT_THAT(refusal("filled"), HasSubstr("filled[0] is 9.969209968386869e+36, netCDF's fill value"));
  EXPECT_THAT(refusal("integers"), HasSubstr("integers[1] is -32767, netCDF's fill value"));
  EXPECT_EQ(samples("plain"), (std::vector<double>{-32767, 1}));
  EXPECT_EQ(samples("pixels"), (std::vector<double>{255, 0}));
}

TEST_F(Hdf5Input, NumbersThatAreNotFiniteAreNamed) {
  write(file_, "nan", {2, 2}, {1, 2, std::nan(""), 4}, H5T_NATIVE_FLOAT);
  write(file_, "infinite", {3}, {1, 2, -std::numeric_limits<double>::infinity()});
  Handle scaled = write(file_, "scaled", {2}, {1, 1e300});
  attribute(scaled, "scale_factor", {1e300});
  scaled.reset();
  EXPECT_THAT(refusal("nan"), HasSubstr("nan[1, 0] is nan"));
  EXPECT_THAT(refusal("infinite"), HasSubstr("infinite[2] is -inf"));
  EXPECT_THAT(refusal("scaled"), HasSubstr("scaled[1] is inf"));
}

TEST_F(Hdf5Input, ValuesThatWereNeverWrittenAreNotZeros) {
  const Handle chunked(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const hsize_t chunk = 2;
  H5Pset_chunk(chunked, 1, &chunk);
  H5Pset_deflate(chunked, 1);
  write(file_, "nothing", {4}, {});
  write(file_, "no_chunk", {4}, {}, H5T_NATIVE_DOUBLE, chunked);
  write(file_, "all", {5}, {1, 2, 3, 4, 5}, H5T_NATIVE_DOUBLE, chunked);
  const Handle part = write(file_, "part", {5}, {}, H5T_NATIVE_DOUBLE, chunked);
  const Handle target = space({5});
  const hsize_t first = 0;
  const hsize_t rows = 3;
  H5Sselect_hyperslab(target, H5S_SELECT_SET, &first, nullptr, &rows, nullptr);
  const double values[]{1, 2, 3};
  H5Dwrite(part, H5T_NATIVE_DOUBLE, space({3}), target, H5P_DEFAULT, values);
  EXPECT_EQ(samples("all"), (std::vector<double>{1, 2, 3, 4, 5}));
  EXPECT_THAT(refusal("nothing"), HasSubstr("never written"));
  EXPECT_THAT(refusal("no_chunk"), HasSubstr("only 0 of its 2 chunks"));
  EXPECT_THAT(refusal("part"), HasSubstr("only 2 of its 3 chunks"));
}

TEST_F(Hdf5Input, AFilterThatIsMissingIsNamed) {
  // Known while the file is written, like a plug-in of the one who wrote it.
  const auto nothing = [](unsigned, std::size_t, const unsigned*, std::size_t bytes, std::size_t*, void**) {
    return bytes;
  };
  for (const auto& [filter, expected] :
       {std::pair<H5Z_filter_t, const char*>{32015, "filter zstd (32015)"}, {400, "filter of tests (400)"}}) {
    const H5Z_class2_t made{H5Z_CLASS_T_VERS, filter, 1, 1, "of tests", nullptr, nullptr, nothing};
    ASSERT_GE(H5Zregister(&made), 0);
    const Handle chunked(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const hsize_t chunk = 2;
    H5Pset_chunk(chunked, 1, &chunk);
    H5Pset_filter(chunked, filter, 0, 0, nullptr);
    file_.reset();
    file_ = create("data.h5");
    write(file_, "packed", {4}, {1, 2, 3, 4}, H5T_NATIVE_DOUBLE, chunked);
    EXPECT_EQ(samples("packed"), (std::vector<double>{1, 2, 3, 4}));
    H5Zunregister(filter);
    EXPECT_THAT(refusal("packed"), AllOf(HasSubstr(expected), HasSubstr("not installed")));
  }
}

TEST_F(Hdf5Input, ValuesInRawFilesAreRefused) {
  std::ofstream(path("raw.bin")) << "too short";
  const Handle raw(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_external(raw, path("raw.bin").c_str(), 0, H5F_UNLIMITED);
  write(file_, "raw", {4}, {}, H5T_NATIVE_DOUBLE, raw);
  EXPECT_THAT(refusal("raw"), HasSubstr("raw files"));
}

TEST_F(Hdf5Input, VirtualDataSetsNeedEverySource) {
  Handle one = create("one.h5");
  write(one, "x", {2}, {1, 2});
  show(one, "shown", 2, {{".", "x", 2}});
  write(file_, "own", {1}, {5});
  show(file_, "whole", 5, {{"one.h5", "x", 2}, {path("one.h5"), "shown", 2}, {".", "own", 1}});
  show(file_, "lost", 6, {{"one.h5", "x", 2}, {"two.h5", "x", 2}, {"three%%.h5", "x", 2}});
  show(file_, "renamed", 2, {{"one.h5", "y", 2}});
  show(file_, "longer", 3, {{"one.h5", "x", 3}});
  show(file_, "gap", 5, {{"one.h5", "x", 2}});
  show(one, "deep", 2, {{"gone.h5", "x", 2}});
  show(file_, "nested", 2, {{"one.h5", "deep", 2}});
  one.reset();

  EXPECT_EQ(samples("whole"), (std::vector<double>{1, 2, 1, 2, 5}));
  EXPECT_THAT(refusal("renamed"), HasSubstr("one.h5, which has none"));
  EXPECT_THAT(refusal("longer"), HasSubstr("one.h5 than it has"));
  EXPECT_THAT(refusal("gap"), HasSubstr("has 5 values, but shows only 2"));
  const auto message = [&](const char* name) -> std::string {
    try {
      samples(name);
    } catch (const UserError& error) {
      return error.what();
    }
    return "(no error)";
  };
  EXPECT_THAT(message("lost"), HasSubstr("data.h5: its values are in two.h5, three%.h5, which are missing"));
  EXPECT_THAT(message("nested"), HasSubstr("one.h5: its values are in gone.h5, which is missing"));
  // The same file from elsewhere: nothing is where it was.
  fs::create_directories(folder_ / "far");
  fs::copy(folder_ / "data.h5", folder_ / "far/data.h5");
  EXPECT_THROW(files::File::open(path("far/data.h5")).numbers("whole"), UserError);
}

TEST_F(Hdf5Input, WhatIsNoHdf5FileIsNamed) {
  const auto message = [&](const std::string& name) -> std::string {
    try {
      files::File::open(path(name));
    } catch (const UserError& error) {
      return error.what();
    }
    return "(no error)";
  };
  std::ofstream(path("text.csv")) << "a,b\n1,2\n";
  std::ofstream(path("classic.nc")) << std::string("CDF\x01\0\0\0\0", 8);
  std::ofstream(path("empty.h5")) << "";
  write(file_, "x", {4096}, std::vector<double>(4096, 1));
  file_.reset();
  fs::resize_file(path("data.h5"), 5000);
  EXPECT_THAT(message("text.csv"), HasSubstr("text.csv: is no HDF5 file"));
  EXPECT_THAT(message("classic.nc"), HasSubstr("netCDF-3"));
  EXPECT_THAT(message("empty.h5"), HasSubstr("it is empty"));
  EXPECT_THAT(message("data.h5"), AllOf(HasSubstr("truncated"), testing::Not(HasSubstr("LOCKING"))));
  EXPECT_THAT(message("missing.h5"), HasSubstr("missing.h5: cannot be opened: No such file"));
  EXPECT_THAT(message("."), HasSubstr("is a folder"));
}

}  // namespace
}  // namespace sharpseek
