#pragma once

#include <cstdint>

namespace sharpseek {

/// Threads that this process may use, at least 1: its processor affinity, the CPU quota of its control group
/// (containers, Slurm), and OMP_NUM_THREADS where set, whichever is least. Our pool and LibTorch's OpenMP both take
/// this number.
int available_threads();

/// Bytes that this process may still allocate: what the kernel calls available, or what its control groups
/// leave, or what the limit of its address space leaves, whichever is least. 0 where neither can be read.
std::int64_t available_memory();

namespace detail {

/// CPUs of a quota "QUOTA PERIOD" as cpu.max has it, rounded up; 0 for "max" and for anything else.
int quota_threads(const char* text);

}  // namespace detail

}  // namespace sharpseek
