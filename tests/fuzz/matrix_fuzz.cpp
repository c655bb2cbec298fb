// Any bytes as a matrix file and as a covariance file: a finite matrix, or UserError.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "core/error.h"
#include "data/covariance.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int file = memfd_create("matrix.csv", 0);
  if (file < 0 || write(file, data, size) != static_cast<ssize_t>(size)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  try {
    const sharpseek::Matrix matrix = sharpseek::read_matrix(path);
    if (matrix.size() == 0 || !matrix.allFinite()) std::abort();
  } catch (const sharpseek::UserError&) {
  }
  for (int outputs : {1, 2, 3}) {
    try {
      const sharpseek::Matrix covariance = sharpseek::read_covariance(path, outputs);
      if (covariance.rows() != outputs || covariance.cols() != outputs) std::abort();
      // What is called positive definite must have a Cholesky factor.
      if (covariance.llt().info() != Eigen::Success) std::abort();
    } catch (const sharpseek::UserError&) {
    }
  }
  close(file);
  return 0;
}
