#pragma once

#include <cstddef>

#include "engine/cpu/choice.h"

SHARPSEEK_LANES_BEGIN

/// Eigenvectors of a tridiagonal matrix in each lane by inverse iteration from its eigenvalues (as EISPACK's tinvit;
/// Parlett, The Symmetric Eigenvalue Problem, 4.6). Each is kept orthogonal to all before it, so that copies of an
/// eigenvalue get vectors of their own. The same number of steps for every lane: no decision is needed.
template <class D>
class TridiagonalVectors {
  using Mask = typename Masks<D>::Mask;

 public:
  static constexpr int kWorkArrays = 5;  ///< of P elements

  /// T's diagonal [P] and lower diagonal [P - 1], and a size below which its numbers are rounding errors.
  TridiagonalVectors(int dimension, const D* diagonal, const D* off, D negligible, D* work)
      : p_(dimension), d_(diagonal), e_(off), negligible_(negligible) {
    inverse_ = work;
    first_ = work + p_;
    second_ = work + 2 * p_;
    factor_ = work + 3 * p_;
    swapped_ = work + 4 * p_;
  }

  /// Vector `which` of vectors[.., P], which holds what it starts from, for this eigenvalue.
  void find(D eigenvalue, D* vectors, int which) {
    constexpr int kSteps = 3;  // the first finds it, the second refines it, the third is for clusters
    factorise(eigenvalue);
    D* x = vectors + static_cast<std::ptrdiff_t>(which) * p_;
    orthonormalise(vectors, which);
    for (int step = 0; step < kSteps; ++step) {
      solve(x);
      orthonormalise(vectors, which);
    }
  }

 private:
  /// T - lambda = L U with exchanges of neighbouring rows: U's three diagonals (the first inverted), L's factors.
  void factorise(D lambda) {
    // u and v: what elimination has left of the row above, on the diagonal and right of it.
    D u = d_[0] - lambda;
    D v = p_ > 1 ? e_[0] : D(0);
    for (int i = 1; i < p_; ++i) {
      const D below = e_[i - 1];
      const D next = d_[i] - lambda;
      const D beyond = i + 1 < p_ ? e_[i] : D(0);
      // The larger pivot of the two rows, in each lane.
      const Mask swap = magnitude(below) > magnitude(u);
      const D inverse = D(1) / away_from_zero(choose<D>(swap, below, u));
      const D factor = inverse * choose<D>(swap, u, below);
      inverse_[i - 1] = inverse;
      // A swapped row brings a third diagonal into U.
      first_[i - 1] = choose<D>(swap, next, v);
      second_[i - 1] = choose<D>(swap, beyond, D(0));
      factor_[i] = factor;
      swapped_[i] = choose<D>(swap, D(1), D(0));
      u = choose<D>(swap, v, next) - factor * choose<D>(swap, next, v);
      v = choose<D>(swap, -factor * beyond, beyond);
    }
    inverse_[p_ - 1] = D(1) / away_from_zero(u);
  }

  D away_from_zero(D pivot) const {
    return choose<D>(magnitude(pivot) < negligible_, with_sign(negligible_, pivot), pivot);
  }

  void solve(D* x) const {
    // L y = x, with the exchanges as they were made.
    for (int i = 1; i < p_; ++i) {
      const Mask swap = swapped_[i] > D(0);
      const D upper = choose<D>(swap, x[i], x[i - 1]);
      const D lower = choose<D>(swap, x[i - 1], x[i]);
      x[i - 1] = upper;
      x[i] = lower - factor_[i] * upper;
    }

    // U x = y from below; the pivots are inverted already.
    D next = D(0);
    D after = D(0);
    for (int i = p_ - 1; i >= 0; --i) {
      D value = x[i];
      if (i + 1 < p_) value = value - first_[i] * next;
      if (i + 2 < p_) value = value - second_[i] * after;
      x[i] = value * inverse_[i];
      after = next;
      next = x[i];
    }
  }

  /// Twice is enough (Kahan).
  void orthonormalise(D* vectors, int which) const {
    D* x = vectors + static_cast<std::ptrdiff_t>(which) * p_;
    // A step of inverse iteration can be as large as 1 / rounding: to size 1, before squares overflow.
    D largest = D(0);
    for (int i = 0; i < p_; ++i) largest = larger(largest, magnitude(x[i]));
    scale(x, D(1) / choose<D>(largest == D(0), D(1), largest));
    for (int pass = 0; pass < 2; ++pass) {
      for (int k = 0; k < which; ++k) {
        const D* y = vectors + static_cast<std::ptrdiff_t>(k) * p_;
        const D overlap = dot(x, y);
        for (int i = 0; i < p_; ++i) x[i] = x[i] - overlap * y[i];
      }
      const D norm = square_root(dot(x, x));
      scale(x, D(1) / choose<D>(norm == D(0), D(1), norm));
    }
  }

  void scale(D* x, D factor) const {
    for (int i = 0; i < p_; ++i) x[i] = x[i] * factor;
  }

  D dot(const D* x, const D* y) const {
    D sum[4] = {D(0), D(0), D(0), D(0)};
    int i = 0;
    for (; i + 4 <= p_; i += 4) {
      for (int part = 0; part < 4; ++part) sum[part] = fused(x[i + part], y[i + part], sum[part]);
    }
    for (; i < p_; ++i) sum[0] = fused(x[i], y[i], sum[0]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }

  int p_;
  const D* d_;
  const D* e_;
  D negligible_;
  D* inverse_;
  D* first_;
  D* second_;
  D* factor_;
  D* swapped_;
};

SHARPSEEK_LANES_END
