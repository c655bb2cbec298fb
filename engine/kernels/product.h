#pragma once

#include "engine/kernels/frame.h"

#ifdef __CUDACC__
#define SHARPSEEK_UNROLL _Pragma("unroll")
#define SHARPSEEK_NOINLINE __device__ __host__ __noinline__
#else
#define SHARPSEEK_UNROLL _Pragma("GCC unroll 8")
#define SHARPSEEK_NOINLINE __attribute__((noinline))
#endif

SHARPSEEK_LANES_BEGIN

/// What becomes of a product's elements: C is the product.
struct Store {
  template <class P>
  SHARPSEEK_HOST_DEVICE void operator()(P c, Index i, Element<P> x) const {
    c[i] = x;
  }
};

/// The product is a gradient of C, which takes a step along it: C + rate x product.
template <class R>
struct Descend {
  R rate;
  template <class P>
  SHARPSEEK_HOST_DEVICE void operator()(P c, Index i, R x) const {
    c[i] = fused(rate, x, R(c[i]));
  }
};

/// C[m cm + n] = (F[m cm + n] +) sum_k A[m am + k ak] B[n bn + k bk], one matrix of a product in every lane. Strides
/// choose what is transposed.
template <class P, class B = P, class How = Store>
struct Product {
  int depth;  ///< K
  P a;
  Index am, ak;
  B b;
  Index bn, bk;
  P c;
  Index cm;
  bool add;  ///< F, which may be C
  P from;
  How put = {};
};

/// Elements that lie `stride` apart.
template <class P>
struct Spaced {
  P first;
  Index stride;
  SHARPSEEK_HOST_DEVICE Element<P> operator[](Index i) const { return first[i * stride]; }
};

/// One register tile of M x N accumulators whose corner is element (row, column) of C.
template <int M, int N, class P, class B, class How>
SHARPSEEK_HOST_DEVICE void tile(const Product<P, B, How>& product, int row, int column) {
  using R = Element<P>;
  R sum[M][N];
  SHARPSEEK_UNROLL for (int m = 0; m < M; ++m) {
    SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) sum[m][n] = constant<R>(0);
  }
  P a = product.a + row * product.am;
  B b = product.b + column * product.bn;
  // Pointers are incremented: with strides of ptrdiff_t the compiler keeps them in registers.
  int k = product.depth;
  do {
#ifdef SHARPSEEK_INLINE_PRODUCTS
    // An array would be written to memory too: GCC unrolls these loops after it looks for such stores.
    const Spaced<B> right{b, product.bn};
#else
    R right[N];
    SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) right[n] = b[n * product.bn];
#endif
    SHARPSEEK_UNROLL for (int m = 0; m < M; ++m) {
      const R left = a[m * product.am];
      SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) sum[m][n] = fused(left, R(right[n]), sum[m][n]);
    }
    a = a + product.ak;
    b = b + product.bk;
  } while (--k);

  // F last, after all terms: the order of additions does not depend on the tiles.
  const Index corner = row * product.cm + column;
  const P c = product.c + corner;
  if (product.add) {
    const P from = product.from + corner;
    SHARPSEEK_UNROLL for (int m = 0; m < M; ++m) {
      SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) {
        product.put(c, m * product.cm + n, R(from[m * product.cm + n] + sum[m][n]));
      }
    }
  } else {
    SHARPSEEK_UNROLL for (int m = 0; m < M; ++m) {
      SHARPSEEK_UNROLL for (int n = 0; n < N; ++n) product.put(c, m * product.cm + n, sum[m][n]);
    }
  }
}

/// tile<m, n> for m <= M, n <= N known at run time: the ragged ends of wide products.
template <int M, int N, class P, class B, class How>
SHARPSEEK_HOST_DEVICE void tile_of(int m, int n, const Product<P, B, How>& product, int row, int column) {
  if (m == M && n == N) return tile<M, N>(product, row, column);
  if constexpr (N > 1) {
    if (n < N) return tile_of<M, N - 1>(m, n, product, row, column);
  }
  if constexpr (M > 1) {
    if (m < M) return tile_of<M - 1, N>(m, n, product, row, column);
  }
}

/// What is left over: fewer than a tile's rows or columns.
template <int M, int N, class P, class B, class How>
SHARPSEEK_NOINLINE void ragged_tile(int m, int n, const Product<P, B, How>& product, int row, int column) {
  tile_of<M, N>(m, n, product, row, column);
}

/// All tiles, for edges m <= M, n <= N known at run time: one choice for the whole product.
template <int M, int N, int kRows, int kColumns, class P, class B, class How>
SHARPSEEK_HOST_DEVICE void tiles_of(int m, int n, int rows, int columns, const Product<P, B, How>& product) {
  if (m == M && n == N) {
    for (int row = 0; row < rows; row += M) {
      for (int column = 0; column < columns; column += N) {
        // Whole tiles here, what is left at the edges in a function of its own: few call it, and it is long.
        if (rows - row >= M && columns - column >= N) {
          tile<M, N>(product, row, column);
        } else {
          ragged_tile<kRows, kColumns>(rows - row < M ? rows - row : M, columns - column < N ? columns - column : N,
                                       product, row, column);
        }
      }
    }
    return;
  }
  if constexpr (N > 1) {
    if (n < N) return tiles_of<M, N - 1, kRows, kColumns>(m, n, rows, columns, product);
  }
  if constexpr (M > 1) {
    if (m < M) return tiles_of<M - 1, N, kRows, kColumns>(m, n, rows, columns, product);
  }
}

/// Largest tile edge <= T that splits `length` evenly: 6 = 3 + 3, not 4 + 2.
template <int T>
SHARPSEEK_HOST_DEVICE int even_edge(int length) {
  return length <= T ? length : length <= 2 * T ? (length + 1) / 2 : T;
}

/// Registers that a lane's vectors have. Measured in docs/engine.md: the accumulators of a tile, with a row or column
/// of factors, nearly fill them.
#if defined(__AVX2__) && !defined(__AVX512F__)
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kVectorRegisters = 32;
#endif

/// Edges of the tiles of R.
template <class R>
inline constexpr int kTileRows = kVectorRegisters == 16 && LaneTraits<R>::kRegisters > 1 ? 2 : 4;
template <class R>
inline constexpr int kTileColumns = LaneTraits<R>::kRegisters == 1   ? (kVectorRegisters == 16 ? 3 : 4)
                                    : LaneTraits<R>::kRegisters <= 3 ? 2
                                                                     : 1;

#ifdef SHARPSEEK_FIXED_SIZES
/// Of constant sizes, on arrays in registers: nothing to tile.
template <class P, class B = P, class How = Store>
SHARPSEEK_HOST_DEVICE void multiply(int rows, int columns, Product<P, B, How> product) {
  using R = Element<P>;
  SHARPSEEK_UNROLL_FIXED
  for (int m = 0; m < rows; ++m) {
    SHARPSEEK_UNROLL_FIXED
    for (int n = 0; n < columns; ++n) {
      // The additions of tile(), in their order.
      R sum = constant<R>(0);
      SHARPSEEK_UNROLL_FIXED
      for (int k = 0; k < product.depth; ++k) {
        sum = fused(R(product.a[m * product.am + k * product.ak]), R(product.b[n * product.bn + k * product.bk]), sum);
      }
      const Index i = m * product.cm + n;
      product.put(product.c, i, product.add ? R(product.from[i] + sum) : sum);
    }
  }
}
#elif defined(SHARPSEEK_INLINE_PRODUCTS)
/// The largest edge <= T that divides `length`.
template <int T>
SHARPSEEK_HOST_DEVICE int exact_edge(int length) {
  if constexpr (T > 1) {
    if (length % T != 0) return exact_edge<T - 1>(length);
  }
  return T;
}

/// All tiles of a product that tiles of m <= M, n <= N rows and columns fill.
template <int M, int N, class P, class B, class How>
SHARPSEEK_HOST_DEVICE void exact_tiles(int m, int n, int rows, int columns, const Product<P, B, How>& product) {
  if (m == M && n == N) {
    for (int row = 0; row < rows; row += M) {
      for (int column = 0; column < columns; column += N) tile<M, N>(product, row, column);
    }
    return;
  }
  if constexpr (N > 1) {
    if (n < N) return exact_tiles<M, N - 1>(m, n, rows, columns, product);
  }
  if constexpr (M > 1) {
    if (m < M) return exact_tiles<M - 1, N>(m, n, rows, columns, product);
  }
}

/// Of sizes that the compiler knows where it inlines this: what remains is a loop over tiles.
template <class P, class B = P, class How = Store>
SHARPSEEK_HOST_DEVICE void multiply(int rows, int columns, Product<P, B, How> product) {
  constexpr int kRows = kTileRows<Element<P> >;
  constexpr int kColumns = kTileColumns<Element<P> >;
  exact_tiles<kRows, kColumns>(exact_edge<kRows>(rows), exact_edge<kColumns>(columns), rows, columns, product);
}
#else
template <class P, class B = P, class How = Store>
SHARPSEEK_NOINLINE void multiply(int rows, int columns, Product<P, B, How> product) {
  constexpr int kRows = kTileRows<Element<P> >;
  constexpr int kColumns = kTileColumns<Element<P> >;
  tiles_of<kRows, kColumns, kRows, kColumns>(even_edge<kRows>(rows), even_edge<kColumns>(columns), rows, columns,
                                             product);
}
#endif

SHARPSEEK_LANES_END
