// The eigensolvers of one instruction set: compiled for each with -DSHARPSEEK_LANE_ISA=<name>,
// -DSHARPSEEK_LANE_TYPE=<lanes of float64> and the set's flags.
#include "engine/cpu/spectrum_group.h"
#include "engine/cpu/spectrum_kernels.h"

namespace sharpseek::lanes {

#define SHARPSEEK_JOIN_(a, b) a##_##b
#define SHARPSEEK_JOIN(a, b) SHARPSEEK_JOIN_(a, b)
#define SHARPSEEK_SPECTRUM SHARPSEEK_JOIN(spectrum, SHARPSEEK_LANE_ISA)

/// Declared in isa.cpp.
extern const SpectrumKernels SHARPSEEK_SPECTRUM;

const SpectrumKernels SHARPSEEK_SPECTRUM{find_spectrum<SHARPSEEK_LANE_TYPE, float>,
                                         find_spectrum<SHARPSEEK_LANE_TYPE, double>};

}  // namespace sharpseek::lanes
