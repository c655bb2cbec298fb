#pragma once

#include <string>
#include <vector>

#include "engine/cpu/kernels.h"
#include "engine/cpu/spectrum_kernels.h"

namespace sharpseek::lanes {

/// Instruction sets that kernels were compiled for, from the plainest: scalar, sse4.2, avx2, avx512.
struct InstructionSet {
  std::string name;
  bool available;  ///< on this processor, with the operating system's consent
};
std::vector<InstructionSet> instruction_sets();

/// Those that the program was compiled without.
std::vector<InstructionSet> sets_left_out();

/// The name of the best available set, or `wanted` itself. Throws UserError "--isa ..." for an unknown set or one that
/// this processor or this program lacks.
std::string choose_instruction_set(const std::string& wanted);

/// The kernels of an available set.
template <class Real>
const Kernels<Real>& kernels(const std::string& isa);

/// Its eigensolvers.
const SpectrumKernels& spectrum_kernels(const std::string& isa);

}  // namespace sharpseek::lanes
