#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "engine/cpu/spectrum_kernels.h"
#include "engine/cpu/tridiagonal.h"
#include "engine/cpu/tridiagonal_values.h"
#include "engine/cpu/tridiagonal_vectors.h"
#include "engine/cpu/workspace.h"

SHARPSEEK_LANES_BEGIN

/// The spectrum of one matrix in each lane of D, lanes first .. first + Lanes<D>::kCount - 1 of a job's group.
template <class D, class Real>
class LaneGroupSpectrum {
  using Mask = typename Masks<D>::Mask;
  static constexpr int kLanes = Lanes<D>::kCount;

 public:
  LaneGroupSpectrum(const SpectrumJob<Real>& job, int first)
      : job_(job), first_(first), p_(job.dimension), space_(size(2 * p_ + 12 + job.count, p_)) {
    products_ = take(p_);
    a_ = take(p_);
    vectors_ = take(job.count);
    values_ = take(1);
    off_ = take(1);
    squares_ = take(1);
    diagonal_ = take(1);
    work_ = take(8);
  }

  void run() {
    read();
    // A = Q T Q'
    const Tridiagonal<D> reduced(p_, {a_, diagonal_, off_, work_, work_ + p_, work_ + 2 * p_});

    // |T| by its largest row; elements below epsilon |T| are rounding. QL works on copies: the vectors need T.
    D norm = D(0);
    for (int i = 0; i < p_; ++i) {
      D row = magnitude(diagonal_[i]);
      if (i > 0) row = row + magnitude(off_[i - 1]);
      if (i + 1 < p_) row = row + magnitude(off_[i]);
      norm = larger(norm, row);
      values_[i] = diagonal_[i];
      if (i + 1 < p_) squares_[i] = off_[i] * off_[i];
    }
    const D negligible = D(std::numeric_limits<double>::epsilon()) * choose<D>(norm == D(0), D(1), norm);

    // Squares below (epsilon |T| / 2)^2 count as zero.
    const TridiagonalValues<D> found(p_, values_, squares_, D(0.25) * negligible * negligible);
    const Mask failed = found.failed();
    find_vectors(reduced, negligible);
    // read()'s scale is a power of two: taking it back is exact.
    for (int i = 0; i < p_; ++i) write(job_.values, i, values_[i] * unscale_);
    write(job_.trace, 0, trace_);
    write(job_.converged, 0, choose<D>(failed, D(0), D(1)));
  }

 private:
  static std::size_t size(int rows, int p) { return static_cast<std::size_t>(rows) * static_cast<std::size_t>(p); }
  D* take(int rows) { return space_.take(size(rows, p_)); }

  /// Element i of an array [..][L] of results: NaN where the matrix was not finite.
  void write(double* to, std::ptrdiff_t i, D x) const {
    Lanes<D>::store(to + i * job_.lanes + first_, choose<D>(finite_, x, D(std::numeric_limits<double>::quiet_NaN())));
  }

  /// The products in float64 and the lower triangle of the matrix, scaled by a power of two so that its largest element
  /// is 1 to 2 and no square overflows. A matrix that is not finite is put aside: its lane works on zeros.
  void read() {
    D largest = D(0);
    D sum = D(0);  // NaN where an element is not finite
    for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{p_} * p_; ++i) {
      alignas(64) double row[kLanes];
      const Real* from = job_.products + i * job_.lanes + first_;
      for (int lane = 0; lane < kLanes; ++lane) row[lane] = static_cast<double>(from[lane]);
      const D x = Lanes<D>::load(row);
      products_[i] = x;
      largest = larger(largest, magnitude(x));
      // 0 x is NaN where x is not finite.
      sum = fused(x, D(0), sum);
    }

    // The scale: 2^-exponent of the largest element.
    finite_ = sum == D(0);
    largest = choose<D>(finite_, largest, D(0));
    alignas(64) double factors[kLanes];
    alignas(64) double inverses[kLanes];
    Lanes<D>::store(factors, largest);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int exponent = factors[lane] > 0 ? std::clamp(std::ilogb(factors[lane]), -1000, 1000) : 0;
      factors[lane] = std::ldexp(1.0, -exponent);
      inverses[lane] = std::ldexp(1.0, exponent);
    }
    scale_ = Lanes<D>::load(factors);
    unscale_ = Lanes<D>::load(inverses);

    // (A + A') / 2, halved before the sum; the trace is that of the products.
    trace_ = D(0);
    for (int j = 0; j < p_; ++j) {
      const std::ptrdiff_t row = std::ptrdiff_t{j} * p_;
      for (int i = j; i < p_; ++i) {
        const D other = products_[std::ptrdiff_t{i} * p_ + j];
        const D mean = choose<D>(finite_, D(0.5) * scale_ * products_[row + i] + D(0.5) * scale_ * other, D(0));
        a_[row + i] = mean;
      }
      trace_ = trace_ + choose<D>(finite_, products_[row + j], D(0));
    }
  }

  /// Of the largest values: from T's vectors to the matrix's, with their residuals.
  void find_vectors(const Tridiagonal<D>& reduced, D negligible) {
    // Vectors of T, the largest value's first: each is kept orthogonal to those before it.
    TridiagonalVectors<D> inverse(p_, diagonal_, off_, negligible, work_ + 3 * p_);
    for (int k = 0; k < job_.count; ++k) {
      D* x = vectors_ + std::ptrdiff_t{k} * p_;
      for (int i = 0; i < p_; ++i) x[i] = D(job_.starts[k * p_ + i]);
      inverse.find(values_[p_ - 1 - k], vectors_, k);
    }

    // x <- Q x turns them into the matrix's own.
    for (int k = 0; k < job_.count; ++k) {
      D* x = vectors_ + std::ptrdiff_t{k} * p_;
      reduced.rotate(x);
      for (int i = 0; i < p_; ++i) write(job_.vectors, std::ptrdiff_t{k} * p_ + i, x[i]);
      write(job_.residuals, k, residual(x, values_[p_ - 1 - k] * unscale_));
    }
  }

  /// |A x - lambda x| with A's columns as the products gave them.
  D residual(const D* x, D lambda) const {
    D square = D(0);
    for (int i = 0; i < p_; i += kTogether) {
      const int count = p_ - i < kTogether ? p_ - i : kTogether;
      D sum[kTogether];
      for (int n = 0; n < count; ++n) sum[n] = -lambda * x[i + n];
      if (count == kTogether) {
        add_products<kTogether>(x, i, sum);
      } else {
        for (int n = 0; n < count; ++n) add_products<1>(x, i + n, sum + n);
      }
      for (int n = 0; n < count; ++n) {
        // Scaled like the matrix, or squares of large elements would overflow.
        const D scaled = sum[n] * scale_;
        square = fused(scaled, scaled, square);
      }
    }
    return square_root(square) * unscale_;
  }

  /// sum[n] += (A x)_(i + n).
  template <int N>
  void add_products(const D* x, int i, D* sum) const {
    D total[N];
    for (int n = 0; n < N; ++n) total[n] = sum[n];
    const D* column = products_ + i;
    for (int k = 0; k < p_; ++k, column += p_) {
      for (int n = 0; n < N; ++n) total[n] = fused(column[n], x[k], total[n]);
    }
    for (int n = 0; n < N; ++n) sum[n] = total[n];
  }

  static constexpr int kTogether = 8;  ///< rows of a product, whose sums do not wait for each other

  const SpectrumJob<Real>& job_;
  int first_;
  int p_;
  Workspace<D> space_;
  D* products_;
  D* a_;
  D* vectors_;
  D* values_;
  D* off_;
  D* squares_;
  D* diagonal_;
  D* work_;
  Mask finite_;
  D scale_;
  D unscale_;
  D trace_;
};

template <class D, class Real>
void find_spectrum(const SpectrumJob<Real>& job) {
  for (int first = 0; first < job.lanes; first += Lanes<D>::kCount) LaneGroupSpectrum<D, Real>(job, first).run();
}

SHARPSEEK_LANES_END
