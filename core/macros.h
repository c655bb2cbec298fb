#pragma once

/// SHARPSEEK_HOST_DEVICE marks small functions that run on the CPU and, under nvcc, on the GPU. Kernel bodies depend on
/// being inlined, whatever the compiler's own estimate of their cost.
#ifdef __CUDACC__
#define SHARPSEEK_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define SHARPSEEK_HOST_DEVICE inline __attribute__((always_inline))
#endif

/// SHARPSEEK_UNROLL_FIXED goes before loops whose lengths are constants in kernels of fixed sizes: there every index is
/// known and arrays live in registers. Elsewhere it is nothing.
#if defined(__CUDACC__) && defined(SHARPSEEK_FIXED_SIZES)
#define SHARPSEEK_UNROLL_FIXED _Pragma("unroll")
#else
#define SHARPSEEK_UNROLL_FIXED
#endif
