#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <utility>

#include "core/parallel.h"
#include "sharpness/orthogonality.h"

namespace sharpseek {

/// Rows of vectors, one panel [m, P] for each replica: the products of Lanczos. On the CPU many small panels run side
/// by side in loops of our own (batched products of this size run serially in ATen); one panel, and any on a GPU, goes
/// to the matrix library.
class PanelProducts {
 public:
  /// For panels of E replicas; threads only where they are used.
  PanelProducts(std::int64_t replicas, const at::TensorOptions& options);

  /// w <- w - Q' Q w, twice, with the first `rows` rows of `panel` [E, capacity, P]; w [E, P], contiguous, in place.
  void project_out(const at::Tensor& panel, std::int64_t rows, at::Tensor& w);
  /// One Lanczos step's work on vectors: alpha = w'q with q the panel's row `row`, w made orthogonal to the rows up to
  /// it, beta = |w|, and w / beta stored as the next row. Gives (alpha, beta) [E] each, of the panel's options.
  std::pair<at::Tensor, at::Tensor> advance(at::Tensor& panel, std::int64_t row, at::Tensor& w);
  /// The same for one replica on the CPU at half the cost: the two last rows are subtracted first, as the three-term
  /// recurrence has it, so that one pass over the others has only rounding to remove. A second pass follows where it
  /// has removed more (Daniel, Gragg, Kaufman and Stewart, Math. Comp. 30, 1976). Other bits than advance(); on other
  /// devices and of several replicas it is advance().
  std::pair<at::Tensor, at::Tensor> advance_once(at::Tensor& panel, std::int64_t row, at::Tensor& w);
  /// The same with the two last rows and the first `locked` ones alone, and with all only where the estimate asks for
  /// it.
  std::pair<at::Tensor, at::Tensor> advance_partly(at::Tensor& panel, std::int64_t locked, std::int64_t row,
                                                   at::Tensor& w, OrthogonalityEstimate& estimate);
  /// Q w with the first `rows` rows of `panel`; w [E, P], contiguous: [E, rows], of the panel's options.
  at::Tensor overlaps(const at::Tensor& panel, std::int64_t rows, const at::Tensor& w);
  /// weights [E, k, rows] x the rows first..first + rows of the panel -> [E, k, P].
  at::Tensor combine(const at::Tensor& weights, const at::Tensor& panel, std::int64_t first);
  /// Calls body(e) for every replica, on all threads.
  void each(const std::function<void(std::int64_t)>& body);

 private:
  /// Subtracts the rows `row` and row - 1 of the only panel: alpha and what is left of |w|.
  static std::pair<double, double> recurrence(const at::Tensor& panel, std::int64_t row, at::Tensor& w);
  /// Subtracts the first `rows` rows, a second time where less than sqrt(1/2) of `before` is left: |w|.
  static double subtract(const at::Tensor& panel, std::int64_t rows, at::Tensor& w, double before);
  /// The row becomes w / norm.
  static void store(at::Tensor& panel, std::int64_t row, const at::Tensor& w, double norm);

  std::int64_t replicas_;
  bool own_loops_;
  ThreadPool pool_;
};

}  // namespace sharpseek
