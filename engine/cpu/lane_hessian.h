#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "core/parallel.h"
#include "engine/cpu/chain.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/lane_jobs.h"
#include "engine/cpu/lane_spectrum.h"
#include "engine/cpu/spectrum_kernels.h"
#include "engine/engine.h"
#include "engine/lane_layout.h"
#include "engine/linear_operator.h"
#include "engine/whole_spectrum.h"

namespace sharpseek {

/// Hessian products, everything but the vectors packed once.
template <class Real>
class LaneHessian : public CurvatureMatrix, public WholeSpectra {
 public:
  using Kernel = void (*)(const lanes::ProductJob<Real>&);

  LaneHessian(const lanes::PlanView& plan, Kernel kernel, const lanes::SpectrumKernels& spectra, ThreadPool& pool,
              lanes::LaneLayout layout, const at::Tensor& parameters, const Samples& samples,
              bool residual_only = false)
      : CurvatureMatrix(parameters),
        plan_(plan),
        kernel_(kernel),
        spectra_(spectra),
        pool_(pool),
        layout_(layout),
        weights_(layout.pack(parameters)),
        samples_(samples),
        inputs_(packed_inputs(layout, samples.inputs)),
        targets_(layout.pack(flat(samples.targets))),
        residual_only_(residual_only) {}

  at::Tensor apply(const at::Tensor& vectors) override {
    const std::int64_t count = vectors.size(1);
    const std::int64_t parameters = vectors.size(2);
    const at::Tensor packed = layout_.pack(vectors.reshape({vectors.size(0), count * parameters}));  // [G, K P, L]
    at::Tensor products = at::empty_like(packed);
    // One task is one group and a few vectors: enough tasks for all threads even when there is one group.
    const std::int64_t piece =
        std::max<std::int64_t>(1, count * layout_.groups() / (std::int64_t{4} * pool_.threads()));
    const std::int64_t pieces = (count + piece - 1) / piece;
    pool_.run(layout_.groups() * pieces, [&](std::int64_t task) {
      const std::int64_t group = task / pieces;
      const std::int64_t first = task % pieces * piece;
      const std::int64_t offset = group * packed.stride(0) + first * parameters * layout_.lanes();
      multiply(group, std::min(piece, count - first), packed.data_ptr<Real>() + offset,
               products.data_ptr<Real>() + offset);
    });
    return layout_.unpack(products).view({vectors.size(0), count, parameters});
  }

  WholeSpectrum whole_spectrum(std::int64_t vectors) override {
    const GroupProducts<Real> by_products = [this](std::int64_t group, std::int64_t count, const Real* directions,
                                                   Real* products) { multiply(group, count, directions, products); };
    // A chain's whole Hessian costs less than P products; other networks take the products.
    const std::vector<lanes::ChainLayer> layers = lanes::chain_of(plan_);
    GroupMatrices<Real> at_once;
    if (!layers.empty()) {
      at_once = [&](std::int64_t group, Real* matrices) { chain_hessian(layers, group, matrices); };
    }
    return lane_spectrum<Real>(spectra_, pool_, layout_, dimension(), vectors, by_products, at_once);
  }

 private:
  /// What jobs on the Hessian of one group share: samples, weights, targets and loss.
  template <class Job>
  Job job_of(std::int64_t group) const {
    Job job{sample_job<Real>(plan_, samples_, inputs_, weights_, group)};
    job.targets = targets_.data_ptr<Real>() + group * targets_.stride(0);
    job.kind = samples_.loss.kind;
    job.loss_tokens = samples_.loss.tokens;
    job.residual_only = residual_only_;
    return job;
  }

  /// Of one group: directions and products [count][P][L].
  void multiply(std::int64_t group, std::int64_t count, const Real* directions, Real* products) {
    auto job = job_of<lanes::ProductJob<Real>>(group);
    job.vectors = static_cast<int>(count);
    job.directions = directions;
    job.products = products;
    kernel_(job);
  }

  /// The matrices [P][P][L] of one group.
  void chain_hessian(const std::vector<lanes::ChainLayer>& layers, std::int64_t group, Real* matrices) {
    auto job = job_of<lanes::ChainJob<Real>>(group);
    job.layers = layers.data();
    job.depth = static_cast<int>(layers.size());
    job.matrix = matrices;
    if constexpr (std::is_same_v<Real, double>) {
      spectra_.wide_chain(job);
    } else {
      spectra_.narrow_chain(job);
    }
  }

  lanes::PlanView plan_;
  Kernel kernel_;
  const lanes::SpectrumKernels& spectra_;
  ThreadPool& pool_;
  lanes::LaneLayout layout_;
  at::Tensor weights_;
  Samples samples_;
  at::Tensor inputs_;
  at::Tensor targets_;
  bool residual_only_;
};

}  // namespace sharpseek
