#pragma once

#include <cstddef>

#include "engine/cpu/choice.h"

SHARPSEEK_LANES_BEGIN

/// Householder's reduction of one symmetric matrix in each lane, A = Q T Q' with T tridiagonal (Golub and Van Loan,
/// Matrix Computations, 8.3.1).
template <class D>
class Tridiagonal {
 public:
  /// `a` [P, P]: the lower triangle by columns, a[j P + i] for i >= j, is read and overwritten by the reflectors. The
  /// other arrays have P elements: T's diagonal and lower diagonal (P - 1 of them), and room for work.
  struct Arrays {
    D* a;
    D* diagonal;
    D* off;
    D* scale;
    D* w;
    D* sums;
  };

  Tridiagonal(int dimension, const Arrays& arrays) : p_(dimension), in_(arrays) { reduce(); }

  /// y <- Q y.
  void rotate(D* y) const {
    // Q = H_0 H_1 ..: the last reflector first.
    for (int k = p_ - 3; k >= 0; --k) {
      const D* v = column(k);
      D sum[4] = {y[k + 1], D(0), D(0), D(0)};  // v's first element is 1
      int i = k + 2;
      for (; i + 4 <= p_; i += 4) {
        for (int part = 0; part < 4; ++part) sum[part] = fused(v[i + part], y[i + part], sum[part]);
      }
      for (; i < p_; ++i) sum[0] = fused(v[i], y[i], sum[0]);
      const D step = -in_.scale[k] * ((sum[0] + sum[1]) + (sum[2] + sum[3]));
      y[k + 1] = y[k + 1] + step;
      for (i = k + 2; i < p_; ++i) y[i] = fused(step, v[i], y[i]);
    }
  }

 private:
#ifdef __AVX512F__
  static constexpr int kColumns = 4;  ///< that the update takes at once: their vectors fill the registers
#else
  static constexpr int kColumns = 2;
#endif

  D* column(int j) const { return in_.a + static_cast<std::ptrdiff_t>(j) * p_; }

  /// Column by column: each reflector turns what is left of A. The turn of one column and the product with the next
  /// column's reflector are one pass over the matrix.
  void reduce() {
    for (int k = 0; k < p_; ++k) {
      // Reflector k is made of column k as the reflectors before leave it, so that this column is turned first; the
      // other columns are turned on the way to A v_k.
      if (k > 0) turn_column(k);
      in_.diagonal[k] = column(k)[k];
      if (k + 1 == p_) break;
      reflect(k);
      // A v_k from the lower triangle: an element counts for its row and for its column.
      for (int i = k + 1; i < p_; ++i) in_.sums[i] = D(0);
      int j = k + 1;
      for (; j + kColumns <= p_; j += kColumns) turn_and_multiply<kColumns>(k, j);
      for (; j < p_; ++j) turn_and_multiply<1>(k, j);
      finish_vector(k);
    }
  }

  /// Reflector k - 1 on column k: A <- A - v w' - w v'.
  void turn_column(int k) {
    const D* v = column(k - 1);
    const D vk = first_one(v, k - 1, k);
    const D wk = in_.w[k];
    D* a = column(k);
    a[k] = a[k] - (vk * wk + wk * vk);
    for (int i = k + 1; i < p_; ++i) a[i] = a[i] - (v[i] * wk + in_.w[i] * vk);
  }

  /// Element i of reflector k, whose first, i = k + 1, is 1 and not stored.
  D first_one(const D* v, int k, int i) const { return i == k + 1 ? D(1) : v[i]; }

  /// The reflector that leaves of column k the diagonal and one number below: H = I - scale v v'.
  void reflect(int k) {
    D* x = column(k);
    D square = D(0);
    for (int i = k + 2; i < p_; ++i) square = fused(x[i], x[i], square);
    const D head = x[k + 1];
    // With the sign opposite to the head's, head - norm does not cancel.
    const D norm = -with_sign(square_root(fused(head, head, square)), head);
    const auto nothing = square == D(0);  // already in shape: H = I
    const D safe = choose<D>(nothing, D(1), norm);
    in_.scale[k] = choose<D>(nothing, D(0), (safe - head) / safe);
    in_.off[k] = choose<D>(nothing, head, norm);
    // v = x / (head - norm), so that its first element is 1.
    const D factor = choose<D>(nothing, D(0), D(1) / choose<D>(nothing, D(1), head - norm));
    for (int i = k + 2; i < p_; ++i) x[i] = x[i] * factor;
  }

  /// Columns j .. j + N - 1 of the rest: reflector k - 1's turn, and their part of sums = A v_k.
  template <int N>
  void turn_and_multiply(int k, int j) {
    const D* before = k > 0 ? column(k - 1) : nullptr;
    const D* v = column(k);
    D v_before[N];
    D w_before[N];
    D vj[N];
    D sum[N];
    for (int n = 0; n < N; ++n) {
      v_before[n] = k > 0 ? before[j + n] : D(0);
      w_before[n] = k > 0 ? in_.w[j + n] : D(0);
      vj[n] = first_one(v, k, j + n);
      sum[n] = D(0);
    }
    // The triangle at the diagonal.
    for (int n = 0; n < N; ++n) {
      D* a = column(j + n);
      for (int m = n; m < N; ++m) {
        const D turned = a[j + m] - fused(v_before[m], w_before[n], w_before[m] * v_before[n]);
        a[j + m] = turned;
        sum[n] = fused(turned, vj[m], sum[n]);
        if (m > n) sum[m] = fused(turned, vj[n], sum[m]);
      }
    }

    // The rows below it, all N columns in one pass: an element serves the sums of its row and its column.
    D* const a = column(j);
    if (k > 0) {
      for (int i = j + N; i < p_; ++i) {
        const D vb = before[i];
        const D wb = in_.w[i];
        const D vi = v[i];
        D s = in_.sums[i];
        for (int n = 0; n < N; ++n) {
          D turned = a[n * p_ + i];
          turned = turned - wb * v_before[n];
          turned = turned - vb * w_before[n];
          a[n * p_ + i] = turned;
          sum[n] = fused(turned, vi, sum[n]);
          s = fused(turned, vj[n], s);
        }
        in_.sums[i] = s;
      }
    } else {
      for (int i = j + N; i < p_; ++i) {
        const D vi = v[i];
        D s = in_.sums[i];
        for (int n = 0; n < N; ++n) {
          const D turned = a[n * p_ + i];
          sum[n] = fused(turned, vi, sum[n]);
          s = fused(turned, vj[n], s);
        }
        in_.sums[i] = s;
      }
    }
    // The columns' own sums last: rows above have added to them already.
    for (int n = 0; n < N; ++n) in_.sums[j + n] = in_.sums[j + n] + sum[n];
  }

  /// w = scale A v - (scale^2 / 2) (v' A v) v.
  void finish_vector(int k) {
    const D* v = column(k);
    const D scale = in_.scale[k];
    D dot = in_.sums[k + 1];
    for (int i = k + 2; i < p_; ++i) dot = fused(in_.sums[i], v[i], dot);
    // With this w, H A H = A - v w' - w v'.
    const D part = D(-0.5) * scale * scale * dot;
    in_.w[k + 1] = fused(scale, in_.sums[k + 1], part);
    for (int i = k + 2; i < p_; ++i) in_.w[i] = fused(scale, in_.sums[i], part * v[i]);
  }

  int p_;
  Arrays in_;
};

SHARPSEEK_LANES_END
