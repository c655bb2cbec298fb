#include "engine/cpu/isa.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek::lanes {

extern const Kernels<float> kernels_scalar_float;
extern const Kernels<double> kernels_scalar_double;
extern const SpectrumKernels spectrum_scalar;
#ifdef SHARPSEEK_LANES_SSE42
extern const Kernels<float> kernels_sse42_float;
extern const Kernels<double> kernels_sse42_double;
extern const SpectrumKernels spectrum_sse42;
#endif
#ifdef SHARPSEEK_LANES_AVX2
extern const Kernels<float> kernels_avx2_float;
extern const Kernels<double> kernels_avx2_double;
extern const SpectrumKernels spectrum_avx2;
#endif
#ifdef SHARPSEEK_LANES_AVX512
extern const Kernels<float> kernels_avx512_float;
extern const Kernels<double> kernels_avx512_double;
extern const SpectrumKernels spectrum_avx512;
#endif

namespace {

/// A set that the lane engine knows, and its kernels: null where it was not compiled (SHARPSEEK_LANE_SETS).
struct Entry {
  const char* name;
  bool (*present)();  ///< in this processor
  const Kernels<float>* narrow = nullptr;
  const Kernels<double>* wide = nullptr;
  const SpectrumKernels* spectrum = nullptr;

  bool compiled() const { return narrow != nullptr; }
};

// The compiler's own detection asks the operating system too (XGETBV).
bool has_sse42() { return __builtin_cpu_supports("sse4.2") != 0; }
bool has_avx2() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0; }
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512cd") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0;
}

const Entry kEntries[] = {
    {"scalar", [] { return true; }, &kernels_scalar_float, &kernels_scalar_double, &spectrum_scalar},
#ifdef SHARPSEEK_LANES_SSE42
    {"sse4.2", has_sse42, &kernels_sse42_float, &kernels_sse42_double, &spectrum_sse42},
#else
    {"sse4.2", has_sse42},
#endif
#ifdef SHARPSEEK_LANES_AVX2
    {"avx2", has_avx2, &kernels_avx2_float, &kernels_avx2_double, &spectrum_avx2},
#else
    {"avx2", has_avx2},
#endif
#ifdef SHARPSEEK_LANES_AVX512
    {"avx512", has_avx512, &kernels_avx512_float, &kernels_avx512_double, &spectrum_avx512},
#else
    {"avx512", has_avx512},
#endif
};

const Entry& entry(const std::string& name) {
  const auto found =
      std::find_if(std::begin(kEntries), std::end(kEntries), [&](const Entry& e) { return name == e.name; });
  SHARPSEEK_ASSERT(found != std::end(kEntries) && found->compiled() && found->present());
  return *found;
}

}  // namespace

std::vector<InstructionSet> instruction_sets() {
  std::vector<InstructionSet> sets;
  for (const Entry& e : kEntries) {
    if (e.compiled()) sets.push_back({e.name, e.present()});
  }
  return sets;
}

std::vector<InstructionSet> sets_left_out() {
  std::vector<InstructionSet> sets;
  for (const Entry& e : kEntries) {
    if (!e.compiled()) sets.push_back({e.name, e.present()});
  }
  return sets;
}

std::string choose_instruction_set(const std::string& wanted) {
  std::string best;
  std::string known = "auto";
  // Sets ascend: the last one that the processor has is the best.
  for (const InstructionSet& set : instruction_sets()) {
    known += " | " + set.name;
    if (set.available) best = set.name;
    if (set.name != wanted) continue;
    require(set.available, "--isa ", wanted, ": this processor does not have it");
    return wanted;
  }
  // A set that exists but was not compiled deserves a message of its own.
  for (const InstructionSet& set : sets_left_out()) {
    require(set.name != wanted, "--isa ", wanted, ": this program was compiled without it, must be ", known,
            "; SHARPSEEK_LANE_SETS=all ./lab build compiles all");
  }
  require(wanted == "auto", "--isa ", wanted, ": must be ", known);
  return best;
}

template <>
const Kernels<float>& kernels<float>(const std::string& isa) {
  return *entry(isa).narrow;
}
template <>
const Kernels<double>& kernels<double>(const std::string& isa) {
  return *entry(isa).wide;
}
const SpectrumKernels& spectrum_kernels(const std::string& isa) { return *entry(isa).spectrum; }

}  // namespace sharpseek::lanes
