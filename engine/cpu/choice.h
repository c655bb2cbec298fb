#pragma once

#include <cmath>

#include "engine/kernels/lane_vector.h"

SHARPSEEK_LANES_BEGIN

/// Decisions of each lane for itself: comparisons give a mask, and a mask chooses between two results.
template <class D>
struct Masks;

template <Scalar T>
struct Masks<T> {
  using Mask = bool;
  static bool any(bool mask) { return mask; }
  static T choose(bool mask, T yes, T no) { return mask ? yes : no; }
  static T magnitude(T x) { return std::fabs(x); }
};

template <class T, class A>
struct Masks<xsimd::batch<T, A>> {
  using D = xsimd::batch<T, A>;
  using Mask = typename D::batch_bool_type;
  static bool any(Mask mask) { return xsimd::any(mask); }
  static D choose(Mask mask, D yes, D no) { return xsimd::select(mask, yes, no); }
  static D magnitude(D x) { return xsimd::abs(x); }
};

template <class D>
D choose(typename Masks<D>::Mask mask, D yes, D no) {
  return Masks<D>::choose(mask, yes, no);
}
template <class D>
D magnitude(D x) {
  return Masks<D>::magnitude(x);
}
/// |x| with the sign of `sign`, plus where that is 0.
template <class D>
D with_sign(D x, D sign) {
  return choose<D>(sign < D(0), -magnitude(x), magnitude(x));
}
template <class D>
D smaller(D a, D b) {
  return choose<D>(b < a, b, a);
}

SHARPSEEK_LANES_END
