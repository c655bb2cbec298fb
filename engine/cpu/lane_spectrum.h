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

/// Writes the matrices [P][P][L] of one group.
template <class Real>
using GroupMatrices = std::function<void(std::int64_t group, Real* matrices)>;

/// The spectra of all replicas of a layout, a replica a lane, in float64 lanes. A replica's result depends on no other
/// and on no number of threads. The matrices come from products with the unit vectors, or, if there is such a function,
/// all at once; residuals are then those of products with the vectors found.
template <class Real>
WholeSpectrum lane_spectrum(const lanes::SpectrumKernels& kernels, ThreadPool& pool, const lanes::LaneLayout& layout,
                            std::int64_t dimension, std::int64_t vectors, const GroupProducts<Real>& products,
                            const GroupMatrices<Real>& matrices = {});

}  // namespace sharpseek
