#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/matrix.h"

namespace sharpseek {

/// Images with their classes.
struct Images {
  Matrix pixels;             ///< [N, pixels of an image], row by row, each over the largest value: from 0 to 1
  std::vector<int> classes;  ///< [N], from 0
};

/// Whether a data set is one of images: digits | idx:DIR.
bool names_images(const std::string& dataset);

/// The first `count` images of a data set (0: all). `digits`: the 1797 optical digits of UCI (data/NOTICE), 8 x 8,
/// pixels over 16. `idx:DIR`: the files train-images-idx3-ubyte and train-labels-idx1-ubyte of MNIST and the data sets
/// in its format, each as it is or compressed (.gz), pixels over 255. Throws UserError naming the file for one that is
/// missing, truncated, or of another format, and where images and labels are not as many.
Images read_images(const std::string& dataset, std::int64_t count = 0);

/// `count` images that no training sees: of `digits` the last ones, which a training set must leave out; of `idx:DIR`
/// the first ones of t10k-images-idx3-ubyte. Throws UserError as read_images(), and where there are fewer.
Images read_test_images(const std::string& dataset, std::int64_t count);

/// How many images there are; of idx:DIR as its header says.
std::int64_t count_images(const std::string& dataset);

/// The bytes of data/digits.csv.gz.
std::span<const unsigned char> digits_file();

}  // namespace sharpseek
