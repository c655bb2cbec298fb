#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "core/parallel.h"
#include "engine/cpu/spectrum_kernels.h"
#include "engine/lane_layout.h"
#include "engine/whole_spectrum.h"

namespace sharpseek {

/// Writes A v for `count` vectors of one group: vectors and products [count][P][L].
template <class Real>
using GroupProducts = std::function<void(std::int64_t group, std::int64_t count, const Real* vectors, Real* products)>;

/// The spectra of all replicas of a layout, from products with the unit vectors: a replica a lane, in float64 lanes. A
/// replica's result depends on no other and on no number of threads.
template <class Real>
WholeSpectrum lane_spectrum(const lanes::SpectrumKernels& kernels, ThreadPool& pool, const lanes::LaneLayout& layout,
                            std::int64_t dimension, std::int64_t vectors, const GroupProducts<Real>& products);

}  // namespace sharpseek
