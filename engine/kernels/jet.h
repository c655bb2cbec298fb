#pragma once

#include "engine/kernels/dual.h"

SHARPSEEK_LANES_BEGIN

/// A Taylor series along one direction, cut behind the second order: value + first t + second t^2. With R = Jet<lane>
/// and weights w + u t the backward pass of a network gives its gradient's series: gradient, H u, and half of
/// D^3 L[u, u, .], exactly, by the same op bodies. Coefficients instead of derivatives make a product six
/// multiplications; Dual<Dual<lane>> takes nine.
template <class T>
struct Jet {
  T value;
  T first;
  T second;
  SHARPSEEK_HOST_DEVICE Jet() {}
  SHARPSEEK_HOST_DEVICE Jet(T v, T a, T b) : value(v), first(a), second(b) {}
  SHARPSEEK_HOST_DEVICE Jet(T v, T a) : value(v), first(a), second(constant<T>(0)) {}
  SHARPSEEK_HOST_DEVICE explicit Jet(typename LaneTraits<T>::Real c) : value(c), first(0), second(0) {}
};

template <class T>
struct LaneTraits<Jet<T>> {
  using Real = typename LaneTraits<T>::Real;
  using Tangent = T;
  static constexpr bool dual = true;
  static constexpr int registers = 3 * LaneTraits<T>::registers;
};

template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> operator+(Jet<T> a, Jet<T> b) {
  return {a.value + b.value, a.first + b.first, a.second + b.second};
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> operator-(Jet<T> a, Jet<T> b) {
  return {a.value - b.value, a.first - b.first, a.second - b.second};
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> operator*(Jet<T> a, Jet<T> b) {
  return {a.value * b.value, fused(a.value, b.first, a.first * b.value),
          fused(a.value, b.second, fused(a.first, b.first, a.second * b.value))};
}
/// With a constant.
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> operator-(Jet<T> a, T b) {
  return {a.value - b, a.first, a.second};
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> operator*(Jet<T> a, T b) {
  return {a.value * b, a.first * b, a.second * b};
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> fused(Jet<T> a, Jet<T> b, Jet<T> c) {
  return {fused(a.value, b.value, c.value), fused(a.value, b.first, fused(a.first, b.value, c.first)),
          fused(a.value, b.second, fused(a.first, b.first, fused(a.second, b.value, c.second)))};
}
/// f(x) from f, f' and f'' / 2 at x.value.
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> composed(Jet<T> x, T f, T slope, T half_bend) {
  return {f, slope * x.first, fused(slope, x.second, half_bend * x.first * x.first)};
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> exponential(Jet<T> x) {
  const T e = exponential(x.value);
  return composed(x, e, e, constant<T>(0.5) * e);
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> logarithm(Jet<T> x) {
  const T slope = inverted(x.value);
  return composed(x, logarithm(x.value), slope, constant<T>(-0.5) * slope * slope);
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> hyperbolic_tangent(Jet<T> x) {
  const T t = hyperbolic_tangent(x.value);
  const T slope = constant<T>(1) - t * t;
  return composed(x, t, slope, constant<T>(0) - t * slope);
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> normal_distribution(Jet<T> x) {
  const T density = normal_density(x.value);
  return composed(x, normal_distribution(x.value), density, constant<T>(-0.5) * x.value * density);
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> step(Jet<T> x) {
  return {step(x.value), constant<T>(0)};
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> positive_part(Jet<T> x) {
  return composed(x, positive_part(x.value), step(x.value), constant<T>(0));
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> inverted(Jet<T> x) {
  const T r = inverted(x.value);
  return composed(x, r, constant<T>(0) - r * r, r * r * r);
}
template <class T>
SHARPSEEK_HOST_DEVICE Jet<T> reciprocal_root(Jet<T> x) {
  const T r = reciprocal_root(x.value);
  const T cube = r * r * r;
  return composed(x, r, constant<T>(-0.5) * cube, constant<T>(0.375) * cube * r * r);
}
template <class T>
SHARPSEEK_HOST_DEVICE T primal(Jet<T> x) {
  return x.value;
}

SHARPSEEK_LANES_END
