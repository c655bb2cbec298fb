#pragma once

#include "engine/cpu/choice.h"

SHARPSEEK_LANES_BEGIN

/// Sweeps of QL that an eigenvalue may take; two or three are usual.
inline constexpr int kMostSweeps = 60;

/// The eigenvalues of a tridiagonal matrix in each lane by QL without square roots (Pal, Walker and Kahan's variant, as
/// LAPACK's dsterf; Parlett, The Symmetric Eigenvalue Problem, 8.15). A lane deflates and stops by its own numbers:
/// what it holds does not depend on its neighbours, however long these keep the sweeps going.
template <class D>
class TridiagonalValues {
  using Mask = typename Masks<D>::Mask;

 public:
  /// diagonal[P] becomes the eigenvalues, ascending; squares[P - 1], those of the other diagonal, are used up.
  /// What lies below `negligible`, a square too, is taken as zero.
  TridiagonalValues(int dimension, D* diagonal, D* squares, D negligible)
      : p_(dimension), d_(diagonal), e_(squares), negligible_(negligible) {
    for (int l = 0; l + 1 < p_; ++l) {
      // Row l is done once nothing couples it to the next row in any lane.
      for (int sweeps = 0; find_blocks(l) > l; ++sweeps) {
        if (sweeps == kMostSweeps) {
          // Lanes that are still coupled have failed: cut, so that the others can continue.
          failed_ = failed_ | (block_end_ > D(l));
          for (int i = l; i + 1 < p_; ++i) e_[i] = choose<D>(block_end_ > D(l), D(0), e_[i]);
          break;
        }
        sweep(l);
      }
    }
    sort();
  }

  /// Lanes whose values are not to be trusted.
  Mask failed() const { return failed_; }

 private:
  /// Sets block_end_, the last row of each lane's unreduced block that begins at row l; returns the largest.
  int find_blocks(int l) {
    block_end_ = D(p_ - 1);
    Mask open = D(0) < D(1);
    // A lane's block ends at the first negligible element.
    int i = l;
    for (; i + 1 < p_ && Masks<D>::any(open); ++i) {
      const Mask ends = open & (e_[i] <= negligible_);
      block_end_ = choose<D>(ends, D(i), block_end_);
      open = open & !(e_[i] <= negligible_);
    }
    return Masks<D>::any(open) ? p_ - 1 : i - 1;
  }

  /// Wilkinson's shift: the eigenvalue of the block's first two rows that is nearer to the first.
  D shift(int l) const {
    const Mask active = block_end_ > D(l);
    // 1 in lanes without a block: their shift is not used, and must not divide by 0.
    const D root = square_root(choose<D>(active, e_[l], D(1)));
    const D half = (d_[l + 1] - d_[l]) / (root + root);
    return d_[l] - root / (half + with_sign(square_root(fused(half, half, D(1))), half));
  }

  /// One sweep of all blocks that begin at row l, from their ends upwards.
  void sweep(int l) {
    const D sigma = shift(l);
    // From the longest block's end; lanes with shorter ones join at their own (begins).
    int last = p_ - 1;
    while (!Masks<D>::any(block_end_ >= D(last))) --last;
    D c = D(1);
    D s = D(0);
    D gamma = D(0);
    D square = D(0);
    for (int i = last - 1; i >= l; --i) {
      const Mask inside = block_end_ > D(i);
      const Mask begins = inside & (block_end_ <= D(i + 1));
      gamma = choose<D>(begins, d_[i + 1] - sigma, gamma);
      square = choose<D>(begins, gamma * gamma, square);
      c = choose<D>(begins, D(1), c);
      s = choose<D>(begins, D(0), s);
      // One rotation, in squares: c and s are cos^2 and sin^2, `square` is gamma^2 / c (LAPACK's dsterf).
      const D off = choose<D>(inside, e_[i], D(1));
      const D radius = square + off;
      if (i + 2 < p_) e_[i + 1] = choose<D>(inside & !begins, s * radius, e_[i + 1]);
      const D c_before = c;
      const D gamma_before = gamma;
      c = square / radius;
      s = off / radius;
      const D alpha = d_[i];
      gamma = c * (alpha - sigma) - s * gamma_before;
      d_[i + 1] = choose<D>(inside, gamma_before + (alpha - gamma), d_[i + 1]);
      // gamma^2 / c, or its limit where c is 0.
      square = choose<D>(c == D(0), c_before * off, gamma * gamma * (radius / square));
    }

    // The block's first row, in the lanes that have swept.
    const Mask active = block_end_ > D(l);
    e_[l] = choose<D>(active, s * square, e_[l]);
    d_[l] = choose<D>(active, sigma + gamma, d_[l]);
  }

  /// By insertion, all lanes in step.
  void sort() {
    for (int n = 1; n < p_; ++n) {
      D carried = d_[n];
      for (int i = 0; i < n; ++i) {
        const D low = smaller(d_[i], carried);
        carried = larger(d_[i], carried);
        d_[i] = low;
      }
      d_[n] = carried;
    }
  }

  int p_;
  D* d_;
  D* e_;
  D negligible_;
  D block_end_ = D(0);
  Mask failed_ = D(1) < D(0);
};

SHARPSEEK_LANES_END
