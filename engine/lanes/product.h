#pragma once

#include "engine/lanes/frame.h"

#ifdef __CUDACC__
#define SHARPSEEK_UNROLL _Pragma("unroll")
#define SHARPSEEK_NOINLINE __device__ __host__
#else
#define SHARPSEEK_UNROLL _Pragma("GCC unroll 8")
#define SHARPSEEK_NOINLINE __attribute__((noinline))
#endif

SHARPSEEK_LANES_BEGIN

/// C[m cm + n] (+)= sum_k A[m am + k ak] B[n bn + k bk], one matrix of a product in every lane. Strides choose what is
/// transposed.
template <class P>
struct Product {
  int depth;  ///< K
  P a;
  Index am, ak;
  P b;
  Index bn, bk;
  P c;
  Index cm;
  bool add;
};

/// One register tile of M x N accumulators; a, b and c point to its corner.
template <int M, int N, class P>
SHARPSEEK_HOST_DEVICE void tile(const Product<P>& product, P a, P b, P c) {
  using R = Element<P>;
  R sum[M][N];
  SHARPSEEK_UNROLL for (int m = 0; m < M; ++m) {
    SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) sum[m][n] = constant<R>(0);
  }
  // Pointers are incremented: with strides of ptrdiff_t the compiler keeps them in registers.
  int k = product.depth;
  do {
    R right[N];
    SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) right[n] = b[n * product.bn];
    SHARPSEEK_UNROLL for (int m = 0; m < M; ++m) {
      const R left = a[m * product.am];
      SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) sum[m][n] = fused(left, right[n], sum[m][n]);
    }
    a = a + product.ak;
    b = b + product.bk;
  } while (--k);
  SHARPSEEK_UNROLL for (int m = 0; m < M; ++m) {
    SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) {
      const Index i = m * product.cm + n;
      c[i] = product.add ? c[i] + sum[m][n] : sum[m][n];
    }
  }
}

/// tile<m, n> for m <= M, n <= N known at run time.
template <int M, int N, class P>
SHARPSEEK_HOST_DEVICE void tile_of(int m, int n, const Product<P>& product, P a, P b, P c) {
  if (m == M && n == N) return tile<M, N>(product, a, b, c);
  if constexpr (N > 1) {
    if (n < N) return tile_of<M, N - 1>(m, n, product, a, b, c);
  }
  if constexpr (M > 1) {
    if (m < M) return tile_of<M - 1, N>(m, n, product, a, b, c);
  }
}

/// Largest tile edge <= T that splits `length` evenly: 6 = 3 + 3, not 4 + 2.
template <int T>
SHARPSEEK_HOST_DEVICE int even_edge(int length) {
  return length <= T ? length : length <= 2 * T ? (length + 1) / 2 : T;
}

template <class P>
SHARPSEEK_NOINLINE void multiply(int rows, int columns, Product<P> product) {
  constexpr int kRows = 4;
  constexpr int kColumns = LaneTraits<Element<P>>::dual ? 2 : 4;  // a Dual takes two registers
  const int m_edge = even_edge<kRows>(rows);
  const int n_edge = even_edge<kColumns>(columns);
  for (int m = 0; m < rows; m += m_edge) {
    for (int n = 0; n < columns; n += n_edge) {
      tile_of<kRows, kColumns>(rows - m < m_edge ? rows - m : m_edge, columns - n < n_edge ? columns - n : n_edge,
                               product, product.a + m * product.am, product.b + n * product.bn,
                               product.c + (m * product.cm + n));
    }
  }
}

SHARPSEEK_LANES_END
