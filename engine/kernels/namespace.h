#pragma once

/// Kernel headers are compiled once per instruction set, with different compiler flags. Each copy of their functions
/// lives in an inline namespace named after the set, so that the linker can never put one copy in another's place.
#ifndef SHARPSEEK_LANE_ISA
#error "compile kernel sources with -DSHARPSEEK_LANE_ISA=<name>"
#endif

#define SHARPSEEK_LANES_BEGIN  \
  namespace sharpseek::lanes { \
  inline namespace SHARPSEEK_LANE_ISA {
#define SHARPSEEK_LANES_END \
  }                         \
  }
