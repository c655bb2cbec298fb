#pragma once

/// SHARPSEEK_HOST_DEVICE marks small functions that run on the CPU and, under nvcc, on the GPU. Kernel bodies depend on
/// being inlined, whatever the compiler's own estimate of their cost.
#ifdef __CUDACC__
#define SHARPSEEK_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define SHARPSEEK_HOST_DEVICE inline __attribute__((always_inline))
#endif
