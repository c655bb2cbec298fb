#pragma once

#include "engine/kernels/scalar.h"
#ifndef __CUDACC__
#include "engine/kernels/lane_vector.h"  // before op bodies: argument-dependent lookup does not find its functions
#endif

SHARPSEEK_LANES_BEGIN

/// K tangents at once: derivatives along K directions, which share the value's part of the work.
template <class T, int K>
struct Pack {
  T of[K];
  SHARPSEEK_HOST_DEVICE Pack() {}
  SHARPSEEK_HOST_DEVICE explicit Pack(typename LaneTraits<T>::Real c) {
    for (int k = 0; k < K; ++k) of[k] = T(c);
  }
};

template <class T, int K>
struct LaneTraits<Pack<T, K>> {
  using Real = typename LaneTraits<T>::Real;
  static constexpr bool kDual = false;
  static constexpr int kRegisters = K * LaneTraits<T>::kRegisters;
};

template <class T, int K>
SHARPSEEK_HOST_DEVICE Pack<T, K> operator+(Pack<T, K> a, Pack<T, K> b) {
  for (int k = 0; k < K; ++k) a.of[k] = a.of[k] + b.of[k];
  return a;
}
template <class T, int K>
SHARPSEEK_HOST_DEVICE Pack<T, K> operator-(Pack<T, K> a, Pack<T, K> b) {
  for (int k = 0; k < K; ++k) a.of[k] = a.of[k] - b.of[k];
  return a;
}
template <class T, int K>
SHARPSEEK_HOST_DEVICE Pack<T, K> operator*(T a, Pack<T, K> b) {
  for (int k = 0; k < K; ++k) b.of[k] = a * b.of[k];
  return b;
}
template <class T, int K>
SHARPSEEK_HOST_DEVICE Pack<T, K> operator*(Pack<T, K> a, T b) {
  for (int k = 0; k < K; ++k) a.of[k] = a.of[k] * b;
  return a;
}
template <class T, int K>
SHARPSEEK_HOST_DEVICE Pack<T, K> fused(T a, Pack<T, K> b, Pack<T, K> c) {
  for (int k = 0; k < K; ++k) c.of[k] = fused(a, b.of[k], c.of[k]);
  return c;
}
template <class T, int K>
SHARPSEEK_HOST_DEVICE Pack<T, K> fused(Pack<T, K> a, T b, Pack<T, K> c) {
  for (int k = 0; k < K; ++k) c.of[k] = fused(a.of[k], b, c.of[k]);
  return c;
}

/// A value and its derivative along one direction, or along K of them (V = Pack). With R = Dual<lane> the backward pass
/// of a network gives, in addition to the gradient, exactly the Hessian times the direction (Pearlmutter, Neural
/// Computation 6, 1994): the same op bodies, no second implementation.
template <class T, class V = T>
struct Dual {
  T value;
  V tangent;
  SHARPSEEK_HOST_DEVICE Dual() {}
  SHARPSEEK_HOST_DEVICE Dual(T v, V t) : value(v), tangent(t) {}
  SHARPSEEK_HOST_DEVICE explicit Dual(typename LaneTraits<T>::Real c) : value(c), tangent(0) {}
};

template <class T, class V>
struct LaneTraits<Dual<T, V>> {
  using Real = typename LaneTraits<T>::Real;
  using Tangent = V;
  static constexpr bool kDual = true;
  static constexpr int kRegisters = LaneTraits<T>::kRegisters + LaneTraits<V>::kRegisters;
};

template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> operator+(Dual<T, V> a, Dual<T, V> b) {
  return {a.value + b.value, a.tangent + b.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> operator-(Dual<T, V> a, Dual<T, V> b) {
  return {a.value - b.value, a.tangent - b.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> operator*(Dual<T, V> a, Dual<T, V> b) {
  // (a b)' = a b' + a' b
  return {a.value * b.value, fused(a.value, b.tangent, a.tangent * b.value)};
}
/// With a constant.
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> operator-(Dual<T, V> a, T b) {
  return {a.value - b, a.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> operator*(Dual<T, V> a, T b) {
  return {a.value * b, a.tangent * b};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> fused(Dual<T, V> a, Dual<T, V> b, Dual<T, V> c) {
  // (a b + c)' = a b' + a' b + c'
  return {fused(a.value, b.value, c.value), fused(a.value, b.tangent, fused(a.tangent, b.value, c.tangent))};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> exponential(Dual<T, V> x) {
  const T e = exponential(x.value);
  return {e, e * x.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> logarithm(Dual<T, V> x) {
  // (log x)' = x' / x
  return {logarithm(x.value), inverted(x.value) * x.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> hyperbolic_tangent(Dual<T, V> x) {
  // (tanh x)' = (1 - t^2) x'
  const T t = hyperbolic_tangent(x.value);
  return {t, fused(t * x.tangent, constant<T>(0) - t, x.tangent)};
}
/// exp(-x^2 / 2) / sqrt(2 pi).
template <class R>
SHARPSEEK_HOST_DEVICE R normal_density(R x) {
  return exponential(x * x * constant<R>(-0.5)) * constant<R>(0.39894228040143267794);
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> normal_distribution(Dual<T, V> x) {
  return {normal_distribution(x.value), normal_density(x.value) * x.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> step(Dual<T, V> x) {
  return {step(x.value), constant<V>(0)};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> positive_part(Dual<T, V> x) {
  return {positive_part(x.value), step(x.value) * x.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> inverted(Dual<T, V> x) {
  // (1 / x)' = -r^2 x'
  const T r = inverted(x.value);
  return {r, (constant<T>(0) - r * r) * x.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE Dual<T, V> reciprocal_root(Dual<T, V> x) {
  // (x^(-1/2))' = -r^3 x' / 2
  const T r = reciprocal_root(x.value);
  return {r, constant<T>(-0.5) * r * r * r * x.tangent};
}
template <class T, class V>
SHARPSEEK_HOST_DEVICE T primal(Dual<T, V> x) {
  return x.value;
}

/// A value as an R: tangents zero.
template <class R, class T>
SHARPSEEK_HOST_DEVICE R lifted(T value) {
  if constexpr (LaneTraits<R>::kDual) {
    return R(value, constant<typename LaneTraits<R>::Tangent>(0));
  } else {
    return value;
  }
}

SHARPSEEK_LANES_END
