// Whole Hessians and the eigensolvers of one instruction set: compiled for each with -DSHARPSEEK_LANE_ISA=<name>,
// -DSHARPSEEK_NARROW_LANE=<lanes of float32>, -DSHARPSEEK_WIDE_LANE=<lanes of float64> and the set's flags.
#include "engine/cpu/chain_hessian.h"
#include "engine/cpu/lane_group_spectrum.h"
#include "engine/cpu/spectrum_kernels.h"

namespace sharpseek::lanes {

#define SHARPSEEK_JOIN_(a, b) a##_##b
#define SHARPSEEK_JOIN(a, b) SHARPSEEK_JOIN_(a, b)
#define SHARPSEEK_SPECTRUM SHARPSEEK_JOIN(spectrum, SHARPSEEK_LANE_ISA)

using NarrowLane = SHARPSEEK_NARROW_LANE;
using WideLane = SHARPSEEK_WIDE_LANE;

/// Declared in isa.cpp.
extern const SpectrumKernels SHARPSEEK_SPECTRUM;

const SpectrumKernels SHARPSEEK_SPECTRUM{find_spectrum<WideLane, float>, find_spectrum<WideLane, double>,
                                         find_chain_hessian<NarrowLane, float>, find_chain_hessian<WideLane, double>};

}  // namespace sharpseek::lanes
