// The kernels of one instruction set and one number type: compiled for each with -DSHARPSEEK_LANE_ISA=<name>,
// -DSHARPSEEK_LANE_REAL=float|double, -DSHARPSEEK_LANE_TYPE=<lane type> and the set's flags; -DSHARPSEEK_LANE_FIXED
// where the fixed_*.cpp are compiled for it too.
#include "engine/cpu/kernel_names.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/lane_group_evaluation.h"
#include "engine/cpu/lane_group_training.h"

namespace sharpseek::lanes {

using KernelReal = SHARPSEEK_LANE_REAL;
using KernelLane = SHARPSEEK_LANE_TYPE;

#ifdef SHARPSEEK_LANE_FIXED
#define SHARPSEEK_FIXED(name) SHARPSEEK_NAMED_OF(name, SHARPSEEK_LANE_FIXED)
bool SHARPSEEK_FIXED(train_dense)(const TrainJob<float>& job);
bool SHARPSEEK_FIXED(train_small)(const TrainJob<float>& job);
bool SHARPSEEK_FIXED(train_sequence)(const TrainJob<float>& job);
#endif

namespace {

bool train_fixed([[maybe_unused]] const TrainJob<KernelReal>& job) {
#ifdef SHARPSEEK_LANE_FIXED
  return SHARPSEEK_FIXED(train_dense)(job) || SHARPSEEK_FIXED(train_small)(job) || SHARPSEEK_FIXED(train_sequence)(job);
#else
  return false;
#endif
}

}  // namespace

#define SHARPSEEK_JOIN_(a, b, c) a##_##b##_##c
#define SHARPSEEK_JOIN(a, b, c) SHARPSEEK_JOIN_(a, b, c)
#define SHARPSEEK_KERNELS SHARPSEEK_JOIN(kernels, SHARPSEEK_LANE_ISA, SHARPSEEK_LANE_REAL)

/// Declared in isa.cpp.
extern const Kernels<KernelReal> SHARPSEEK_KERNELS;

const Kernels<KernelReal> SHARPSEEK_KERNELS{
    Lanes<KernelLane>::kCount,
    [](const TrainJob<KernelReal>& job) { LaneGroupTraining<KernelLane>(job).run(); },
    train_fixed,
    draw_one_batch<KernelLane, KernelReal>,
    [](const NormalJob<KernelReal>& job) { map_words<KernelLane>(job.words, job.count, job.normals); },
    evaluate_outputs<KernelLane, KernelReal>,
    evaluate_gradient<KernelLane, KernelReal>,
    evaluate_product<KernelLane, KernelReal>,
    evaluate_pullback<KernelLane, KernelReal>,
    evaluate_pullback_sums<KernelLane, KernelReal>,
    evaluate_pullback_derivative<KernelLane, KernelReal>,
    evaluate_pushforward<KernelLane, KernelReal>,
};

}  // namespace sharpseek::lanes
