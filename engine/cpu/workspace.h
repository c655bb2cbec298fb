#pragma once

#include <cstdlib>
#include <new>

#include "engine/kernels/lane_vector.h"

SHARPSEEK_LANES_BEGIN

/// One aligned block for all arrays of a kernel call, handed out in pieces. Uninitialised.
template <class R>
class Workspace {
 public:
  explicit Workspace(std::size_t elements) {
    const std::size_t bytes = (elements * sizeof(R) + 63) / 64 * 64;
    first_ = static_cast<R*>(std::aligned_alloc(64, bytes > 0 ? bytes : 64));
    if (first_ == nullptr) std::abort();
    next_ = first_;
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() { std::free(first_); }

  R* take(std::size_t elements) {
    R* piece = next_;
    next_ += elements;
    return piece;
  }

 private:
  R* first_;
  R* next_;
};

/// Lanes of a group: how R is read from and written to [..][L] arrays of numbers.
template <class R>
struct Lanes;

template <Scalar T>
struct Lanes<T> {
  static constexpr int kCount = 1;
  static T load(const T* from) { return *from; }
  static void store(T* to, T x) { *to = x; }
  static bool all_below(T x, T limit) { return x < limit; }  ///< false with NaN
};

template <class T, class A>
struct Lanes<xsimd::batch<T, A>> {
  static constexpr int kCount = static_cast<int>(xsimd::batch<T, A>::size);
  static SHARPSEEK_HOST_DEVICE xsimd::batch<T, A> load(const T* from) { return xsimd::batch<T, A>::load_aligned(from); }
  static SHARPSEEK_HOST_DEVICE void store(T* to, xsimd::batch<T, A> x) { x.store_aligned(to); }
  static SHARPSEEK_HOST_DEVICE bool all_below(xsimd::batch<T, A> x, T limit) {
    return xsimd::all(x < xsimd::batch<T, A>(limit));
  }
};

SHARPSEEK_LANES_END
