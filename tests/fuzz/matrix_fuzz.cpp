// Any bytes as a matrix file and as a covariance file: a finite matrix and a covariance whose square root is finite, or
// UserError in one line.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "core/error.h"
#include "data/covariance.h"
#include "tests/fuzz/expect.h"

namespace {

using namespace sharpseek;

template <class Action>
void or_refused(Action action) {
  try {
    action();
  } catch (const UserError& error) {
    expect(std::string(error.what()).find('\n') == std::string::npos, "a message of several lines");
  }
}

void check_matrix(const std::string& path) {
  const Matrix matrix = read_matrix(path);
  expect(matrix.size() > 0 && matrix.allFinite(), "an empty matrix, or one that is not finite");
}

void check_covariance(const std::string& path, int size, bool may_be_singular) {
  const Matrix covariance = read_covariance(path, size, may_be_singular);
  expect(covariance.rows() == size && covariance.cols() == size, "a covariance of another size");
  expect(covariance == covariance.transpose(), "a covariance that is not symmetric");
  if (!may_be_singular) expect(symmetric_square_root(covariance).allFinite(), "a covariance without a root");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int file = memfd_create("matrix.csv", 0);
  expect(file >= 0 && write(file, data, size) == static_cast<ssize_t>(size), "no file in memory");
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  or_refused([&] { check_matrix(path); });
  for (int outputs : {1, 2, 3}) {
    or_refused([&] { check_covariance(path, outputs, false); });
    or_refused([&] { check_covariance(path, outputs, true); });
  }
  close(file);
  return 0;
}
