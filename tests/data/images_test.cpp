// Image data sets: the digits that we ship, and MNIST's files.
#include "data/images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/task.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::kReorderedSums;

constexpr std::uint32_t kImages = 0x803;
constexpr std::uint32_t kLabels = 0x801;

std::string big_endian(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xFF);
  return text;
}

/// Six images of 2 x 3 pixels, image i with pixels 40 i + 0 .. 5; classes 0 1 2 0 1 2.
std::string images_file(std::uint32_t magic = kImages, std::uint32_t count = 6) {
  std::string bytes = big_endian(magic) + big_endian(count) + big_endian(2) + big_endian(3);
  for (int i = 0; i < 6; ++i) {
    for (int p = 0; p < 6; ++p) bytes += static_cast<char>(40 * i + p);
  }
  return bytes;
}

std::string labels_file(std::uint32_t magic = kLabels, std::uint32_t count = 6) {
  return big_endian(magic) + big_endian(count) + std::string("\0\1\2\0\1\2", 6);
}

/// A folder with MNIST's files, removed at the end.
class IdxFolder {
 public:
  IdxFolder() : path_(fs::path(testing::TempDir()) / ("sharpseek-idx-" + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~IdxFolder() { fs::remove_all(path_); }
  IdxFolder(const IdxFolder&) = delete;
  IdxFolder& operator=(const IdxFolder&) = delete;

  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }
  void compress(const std::string& name, const std::string& bytes) const {
    gzFile file = ::gzopen((path_ / name).c_str(), "wb");
    ASSERT_EQ(::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
    ::gzclose(file);
  }
  void cut(const std::string& name, std::uintmax_t bytes) const { fs::resize_file(path_ / name, bytes); }
  std::uintmax_t size(const std::string& name) const { return fs::file_size(path_ / name); }
  std::string dataset() const { return "idx:" + path_.string(); }

 private:
  fs::path path_;
};

std::string refusal(const std::string& dataset, std::int64_t count = 0) {
  try {
    read_images(dataset, count);
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

TEST(Digits, AreThoseOfUci) {
  const Images digits = read_images("digits");
  ASSERT_EQ(digits.pixels.rows(), 1797);
  ASSERT_EQ(digits.pixels.cols(), 64);
  EXPECT_EQ(count_images("digits"), 1797);
  // The number of images of each class, the sum of all pixels and the first image, as scikit-learn's load_digits has
  // them.
  std::vector<int> count(10);
  for (const int c : digits.classes) ++count.at(static_cast<std::size_t>(c));
  EXPECT_EQ(count, (std::vector<int>{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}));
  EXPECT_EQ(digits.pixels.sum() * 16, 561718);
  EXPECT_EQ(digits.pixels.row(0).head(8) * 16, (Matrix(1, 8) << 0, 0, 5, 13, 9, 1, 0, 0).finished());
  EXPECT_EQ(digits.pixels.minCoeff(), 0);
  EXPECT_EQ(digits.pixels.maxCoeff(), 1);
  EXPECT_EQ(read_images("digits", 5).pixels, digits.pixels.topRows(5));
}

TEST(Idx, ReadsFilesAsTheyAreAndCompressed) {
  const IdxFolder folder;
  folder.write("train-images-idx3-ubyte", images_file());
  folder.compress("train-labels-idx1-ubyte.gz", labels_file());
  const Images images = read_images(folder.dataset());
  ASSERT_EQ(images.pixels.rows(), 6);
  ASSERT_EQ(images.pixels.cols(), 6);
  EXPECT_EQ(images.pixels(4, 3), 163 / 255.0);
  EXPECT_EQ(images.classes, (std::vector<int>{0, 1, 2, 0, 1, 2}));
  const Images some = read_images(folder.dataset(), 4);
  EXPECT_EQ(some.pixels, images.pixels.topRows(4));
  EXPECT_EQ(some.classes.size(), 4u);
  EXPECT_EQ(count_images(folder.dataset()), 6);
}

TEST(Idx, RefusesWhatIsMissingOrOfAnotherFormat) {
  const IdxFolder folder;
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("holds no train-images-idx3-ubyte or train-images-idx3-ubyte.gz"));
  folder.write("train-images-idx3-ubyte", images_file());
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("holds no train-labels-idx1-ubyte"));
  folder.write("train-labels-idx1-ubyte", images_file());
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("train-labels-idx1-ubyte: begins with 2051"));
  folder.write("train-labels-idx1-ubyte", labels_file(kLabels, 5));
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("has 6 images"));
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("has 5 labels"));
  folder.write("train-images-idx3-ubyte", "P5 28 28 255");
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("ends after 12 bytes, 16 are needed"));
  folder.write("train-images-idx3-ubyte", images_file(0xD03));
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("begins with 3331, an IDX file of bytes in 3 dimensions with 2051"));
}

TEST(Idx, RefusesFilesThatAreTruncatedOrTooLong) {
  const IdxFolder folder;
  folder.write("train-labels-idx1-ubyte", labels_file());
  folder.write("train-images-idx3-ubyte", images_file());
  folder.cut("train-images-idx3-ubyte", 16 + 30);
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("ends after 46 bytes, 52 are needed"));
  EXPECT_THAT(refusal(folder.dataset(), 5), testing::IsEmpty());  // these are there
  folder.write("train-images-idx3-ubyte", images_file() + "x");
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("has more data than its header says"));
  fs::remove(folder.dataset().substr(4) + "/train-images-idx3-ubyte");
  folder.compress("train-images-idx3-ubyte.gz", images_file());
  folder.cut("train-images-idx3-ubyte.gz", folder.size("train-images-idx3-ubyte.gz") - 12);
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("train-images-idx3-ubyte.gz: its compressed data are damaged"));
}

TEST(Idx, RefusesAHeaderThatNoMemoryHolds) {
  const IdxFolder folder;
  folder.write("train-labels-idx1-ubyte", labels_file(kLabels, 0xFFFFFFFF));
  std::string bytes = big_endian(kImages) + big_endian(0xFFFFFFFF) + big_endian(30000) + big_endian(30000);
  folder.write("train-images-idx3-ubyte", bytes);
  EXPECT_THAT(refusal(folder.dataset()), HasSubstr("of memory that are available"));
}

TEST(ImageTask, HasOneOutputForEachClassAndTheirLeastSquaresTeacher) {
  const IdxFolder folder;
  folder.write("train-images-idx3-ubyte", images_file());
  folder.write("train-labels-idx1-ubyte", labels_file());
  TaskOptions options;
  options.inputs = 3;
  options.sequence = 2;
  options.outputs = 4;
  options.dataset = folder.dataset();
  options.teacher.specification = "fit";
  const Task task = make_task(options, 1);
  EXPECT_EQ(task.dataset, read_images(folder.dataset()).pixels);
  // Normal equations; the pixels of these images have rank 2, so that the smallest solution counts.
  Matrix y = Matrix::Zero(6, 4);
  for (int i = 0; i < 6; ++i) y(i, i % 3) = 1;
  const Matrix& x = task.dataset;
  const Matrix& v = *task.teacher.matrix;
  EXPECT_LT((x.transpose() * (y - x * v.transpose())).norm(), kReorderedSums);
  const Eigen::CompleteOrthogonalDecomposition<Matrix> smallest(x);
  EXPECT_LT((v.transpose() - smallest.solve(y)).norm(), 1e-9);
  EXPECT_EQ(task.teacher.parameters, std::vector<double>(v.data(), v.data() + v.size()));

  options.outputs = 2;
  EXPECT_THROW(make_task(options, 1), UserError);
  options.outputs = 4;
  options.inputs = 4;
  EXPECT_THROW(make_task(options, 1), UserError);
  options.inputs = 3;
  options.samples = 7;
  EXPECT_THROW(make_task(options, 1), UserError);
  options.samples = 3;
  EXPECT_EQ(make_task(options, 1).dataset.rows(), 3);
  EXPECT_EQ(dataset_size(options), 3);
}

TEST(HeldOutImages, AreTheLastDigitsWhichTrainingDoesNotSee) {
  TaskOptions options;
  options.inputs = 64;
  options.outputs = 10;
  options.dataset = "digits";
  options.labels.kind = "soft";
  options.test = 297;
  const Task task = make_task(options, 1);
  const Images all = read_images("digits");
  EXPECT_EQ(task.dataset, all.pixels.topRows(1500));
  EXPECT_EQ(task.test, all.pixels.bottomRows(297));
  EXPECT_EQ(dataset_size(options), 1500);
  for (int i : {0, 100, 296}) {
    for (int c = 0; c < 10; ++c) {
      EXPECT_EQ(task.test_logits(i, c), c == all.classes[static_cast<std::size_t>(1500 + i)] ? 1 : 0) << i;
    }
  }
  options.samples = 1501;
  EXPECT_THROW(make_task(options, 1), UserError);
  options.samples = 0;
  for (std::int64_t test : {-1, 1797, 1798}) {
    options.test = test;
    EXPECT_THROW(make_task(options, 1), UserError) << test;
  }
}

TEST(HeldOutImages, OfAFolderAreTheFirstOfItsTestFiles) {
  const IdxFolder folder;
  folder.write("train-images-idx3-ubyte", images_file());
  folder.write("train-labels-idx1-ubyte", labels_file());
  TaskOptions options;
  options.inputs = 6;
  options.outputs = 3;
  options.dataset = folder.dataset();
  options.teacher.specification = "fit";
  const Task before = make_task(options, 1);
  options.test = 2;
  EXPECT_THROW(make_task(options, 1), UserError);  // no such file
  std::string images = images_file();
  images.back() = static_cast<char>(255);  // of the last image
  folder.write("t10k-images-idx3-ubyte", images);
  folder.write("t10k-labels-idx1-ubyte", labels_file());
  const Task task = make_task(options, 1);
  EXPECT_EQ(task.test, before.dataset.topRows(2));
  EXPECT_EQ(task.dataset, before.dataset);
  EXPECT_EQ(task.teacher.parameters, before.teacher.parameters);
  options.test = 6;
  EXPECT_EQ(make_task(options, 1).test(5, 5), 1);
  options.test = 7;
  EXPECT_THROW(make_task(options, 1), UserError);
}

}  // namespace
}  // namespace sharpseek
