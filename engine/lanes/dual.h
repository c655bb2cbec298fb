#pragma once

#include "engine/lanes/scalar.h"
#ifndef __CUDACC__
#include "engine/lanes/batch.h"  // before op bodies: argument-dependent lookup does not find its functions
#endif

SHARPSEEK_LANES_BEGIN

/// A value and its derivative along one direction. With R = Dual<lane> the backward pass of a network gives, beside the
/// gradient, exactly the Hessian times the direction (Pearlmutter, Neural Computation 6, 1994): the same op bodies, no
/// second implementation.
template <class T>
struct Dual {
  T value;
  T tangent;
  SHARPSEEK_HOST_DEVICE Dual() {}
  SHARPSEEK_HOST_DEVICE Dual(T v, T t) : value(v), tangent(t) {}
  SHARPSEEK_HOST_DEVICE explicit Dual(typename LaneTraits<T>::Real c) : value(c), tangent(0) {}
};

template <class T>
struct LaneTraits<Dual<T>> {
  using Real = typename LaneTraits<T>::Real;
  static constexpr bool dual = true;
};

template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> operator+(Dual<T> a, Dual<T> b) {
  return {a.value + b.value, a.tangent + b.tangent};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> operator-(Dual<T> a, Dual<T> b) {
  return {a.value - b.value, a.tangent - b.tangent};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> operator*(Dual<T> a, Dual<T> b) {
  return {a.value * b.value, fused(a.value, b.tangent, a.tangent * b.value)};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> fused(Dual<T> a, Dual<T> b, Dual<T> c) {
  return {fused(a.value, b.value, c.value), fused(a.value, b.tangent, fused(a.tangent, b.value, c.tangent))};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> exponential(Dual<T> x) {
  const T e = exponential(x.value);
  return {e, e * x.tangent};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> hyperbolic_tangent(Dual<T> x) {
  const T t = hyperbolic_tangent(x.value);
  return {t, fused(t * x.tangent, constant<T>(0) - t, x.tangent)};
}
/// exp(-x^2 / 2) / sqrt(2 pi).
template <class R>
SHARPSEEK_HOST_DEVICE R normal_density(R x) {
  return exponential(x * x * constant<R>(-0.5)) * constant<R>(0.39894228040143267794);
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> normal_distribution(Dual<T> x) {
  return {normal_distribution(x.value), normal_density(x.value) * x.tangent};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> step(Dual<T> x) {
  return {step(x.value), constant<T>(0)};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> positive_part(Dual<T> x) {
  return {positive_part(x.value), step(x.value) * x.tangent};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> inverted(Dual<T> x) {
  const T r = inverted(x.value);
  return {r, constant<T>(0) - r * r * x.tangent};
}
template <class T>
SHARPSEEK_HOST_DEVICE Dual<T> reciprocal_root(Dual<T> x) {
  const T r = reciprocal_root(x.value);
  return {r, constant<T>(-0.5) * r * r * r * x.tangent};
}
template <class T>
SHARPSEEK_HOST_DEVICE T primal(Dual<T> x) {
  return x.value;
}

/// A value as an R: tangents zero.
template <class R, class T>
SHARPSEEK_HOST_DEVICE R lifted(T value) {
  if constexpr (LaneTraits<R>::dual) {
    return R(value, constant<T>(0));
  } else {
    return value;
  }
}

SHARPSEEK_LANES_END
