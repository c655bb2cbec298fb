#include "engine/torch/chunked_engine.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/torch/tensor_op.h"

namespace sharpseek {
namespace {

/// Copies of all values that autograd holds at once: a forward pass; with its backward pass; a step; a second backward
/// pass through both. Estimates on the safe side (docs/gpu.md).
constexpr std::int64_t kForwardCopies = 2;
constexpr std::int64_t kGradientCopies = 5;
constexpr std::int64_t kProductCopies = 14;
/// A tangent pass of one sample: the inner engine takes as many samples at once as its own share of the memory holds.
constexpr std::int64_t kPassCopies = 8;
/// Copies of the parameters in addition to that.
constexpr std::int64_t kParameterCopies = 8;

/// Bytes of a replica.
double bytes(const Program& program, std::int64_t element, std::int64_t samples, std::int64_t copies) {
  double values = 0;
  // Values of one sample, and the scores of attention, twice: before and after softmax.
  for (const ValueShape& shape : program.values()) values += static_cast<double>(shape.tokens) * shape.features;
  values += 2.0 * static_cast<double>(score_elements(program));
  return static_cast<double>(element) *
         (values * static_cast<double>(samples * copies) +
          static_cast<double>(kParameterCopies) * static_cast<double>(program.parameter_count()));
}

/// Calls body(first, count) for consecutive chunks of at most `chunk` replicas; where memory runs out the chunk is
/// halved, for the rest too. `chunk` is left at what worked.
void in_chunks(std::int64_t replicas, std::int64_t& chunk, const Program& program,
               const std::function<void(std::int64_t first, std::int64_t count)>& body) {
  for (std::int64_t first = 0; first < replicas;) {
    const std::int64_t count = std::min(chunk, replicas - first);
    try {
      body(first, count);
      // Only what succeeded counts; a failed attempt is repeated with half as many.
      first += count;
    } catch (const c10::OutOfMemoryError&) {
      require(count > 1, "out of device memory: one replica of this network (", program.parameter_count(),
              " parameters) does not fit; take fewer samples, a smaller batch or a narrower model");
      chunk = count / 2;
    }
  }
}

/// Rows of targets or cotangents that belong to replicas first..first + count - 1; shared ones are shared.
at::Tensor part_of(const at::Tensor& values, std::int64_t first, std::int64_t count) {
  return values.dim() == 3 && values.size(0) > 1 ? values.narrow(0, first, count) : values;
}

Samples part_of(const Samples& samples, std::int64_t first, std::int64_t count) {
  return {samples.inputs.dim() == 4 ? samples.inputs.narrow(0, first, count) : samples.inputs,
          part_of(samples.targets, first, count), samples.loss};
}

/// Values of body(first, count) for consecutive chunks, one after the other.
at::Tensor joined(std::int64_t replicas, std::int64_t chunk, const Program& program,
                  const std::function<at::Tensor(std::int64_t first, std::int64_t count)>& body) {
  std::vector<at::Tensor> parts;
  in_chunks(replicas, chunk, program,
            [&](std::int64_t first, std::int64_t count) { parts.push_back(body(first, count)); });
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

class ChunkedProduct : public CurvatureMatrix {
 public:
  /// The inner engine's product for the replicas first .. first + count - 1.
  using Make = std::function<std::unique_ptr<LinearOperator>(std::int64_t first, std::int64_t count)>;

  ChunkedProduct(const at::Tensor& parameters, const Program& program, std::int64_t chunk, Make make)
      : CurvatureMatrix(parameters), program_(program), chunk_(chunk), make_(std::move(make)) {}

  at::Tensor apply(const at::Tensor& vectors) override {
    const std::int64_t replicas = vectors.size(0);
    std::vector<at::Tensor> products;
    in_chunks(replicas, chunk_, program_, [&](std::int64_t first, std::int64_t count) {
      // A part: its product is made anew each time, or all parts together would not fit.
      if (count < replicas) {
        whole_.reset();
        products.push_back(make_(first, count)->apply(vectors.narrow(0, first, count)));
        return;
      }
      if (whole_ == nullptr) whole_ = make_(0, replicas);
      products.push_back(whole_->apply(vectors));
    });
    return products.size() == 1 ? products.front() : at::cat(products);
  }

 private:
  const Program& program_;
  std::int64_t chunk_;
  Make make_;
  std::unique_ptr<LinearOperator> whole_;  ///< kept where one chunk holds all replicas
};

/// One stepper for each chunk of replicas.
class ChunkedStepper : public Stepper {
 public:
  ChunkedStepper(Engine& engine, TrainingProblem problem, std::int64_t chunk)
      : engine_(engine), problem_(std::move(problem)), chunk_(chunk) {}

  void advance(TrainingState& state, std::int64_t steps) override {
    std::vector<TrainingState> parts;
    in_chunks(static_cast<std::int64_t>(problem_.noise.size()), chunk_, engine_.program(),
              [&](std::int64_t first, std::int64_t count) {
                // Until it succeeds a part is a copy, so that a failed attempt leaves no trace.
                const TrainingProblem problem = part_of(problem_, first, count);
                TrainingState part = part_of(state, first, count);
                part.slots.resize(static_cast<std::size_t>(problem.slots()));
                try {
                  std::unique_ptr<Stepper>& stepper = steppers_[{first, count}];
                  if (stepper == nullptr) stepper = engine_.stepper(problem);
                  stepper->advance(part, steps);
                } catch (const c10::OutOfMemoryError&) {
                  steppers_.clear();
                  throw;
                }
                // A part whose replicas have no momentum needs no velocity; the others' place for it stays as it is.
                for (std::size_t i = part.slots.size(); i < state.slots.size(); ++i) {
                  part.slots.push_back(state.slots[i].narrow(0, first, count));
                }
                parts.push_back(std::move(part));
              });
    join(parts, state);
  }

 private:
  template <class T>
  static std::vector<T> slice(const std::vector<T>& all, std::int64_t first, std::int64_t count) {
    return {all.begin() + first, all.begin() + first + count};
  }

  static TrainingProblem part_of(const TrainingProblem& all, std::int64_t first, std::int64_t count) {
    std::vector<std::size_t> rows(static_cast<std::size_t>(count));
    std::iota(rows.begin(), rows.end(), static_cast<std::size_t>(first));
    return all.of(rows);
  }

  static TrainingState part_of(const TrainingState& all, std::int64_t first, std::int64_t count) {
    TrainingState part = all;
    part.parameters = all.parameters.narrow(0, first, count).clone();
    for (at::Tensor& slot : part.slots) slot = slot.narrow(0, first, count).clone();
    part.loss_sum = slice(all.loss_sum, first, count);
    part.loss_count = slice(all.loss_count, first, count);
    part.diverged_at = slice(all.diverged_at, first, count);
    return part;
  }

  static void join(const std::vector<TrainingState>& parts, TrainingState& state) {
    std::vector<at::Tensor> parameters;
    std::vector<std::vector<at::Tensor>> slots(state.slots.size());
    state.loss_sum.clear();
    state.loss_count.clear();
    state.diverged_at.clear();
    for (const TrainingState& part : parts) {
      parameters.push_back(part.parameters);
      // Every chunk has taken the same steps, in the order of the replicas.
      for (std::size_t i = 0; i < slots.size(); ++i) slots[i].push_back(part.slots[i]);
      state.loss_sum.insert(state.loss_sum.end(), part.loss_sum.begin(), part.loss_sum.end());
      state.loss_count.insert(state.loss_count.end(), part.loss_count.begin(), part.loss_count.end());
      state.diverged_at.insert(state.diverged_at.end(), part.diverged_at.begin(), part.diverged_at.end());
      state.step = part.step;
    }
    state.parameters = at::cat(parameters);
    for (std::size_t i = 0; i < slots.size(); ++i) state.slots[i] = at::cat(slots[i]);
  }

  Engine& engine_;
  TrainingProblem problem_;
  std::int64_t chunk_;
  std::map<std::pair<std::int64_t, std::int64_t>, std::unique_ptr<Stepper>> steppers_;
};

}  // namespace

ChunkedEngine::ChunkedEngine(std::unique_ptr<Engine> engine, std::int64_t memory_bytes)
    : engine_(std::move(engine)), memory_bytes_(memory_bytes) {}

std::int64_t ChunkedEngine::replicas_that_fit(std::int64_t samples, std::int64_t copies) const {
  const std::int64_t element = options().dtype() == at::kDouble ? 8 : 4;
  // A quarter is left to the allocator and to whoever else is on the device.
  const double each = bytes(program(), element, samples, copies);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(0.75 * static_cast<double>(memory_bytes_) / each));
}

std::int64_t ChunkedEngine::replicas_of_samples(std::int64_t samples, std::int64_t copies) const {
  // Every (replica, sample) is a replica there, with parameters of its own.
  return std::max<std::int64_t>(1, replicas_that_fit(1, copies) / samples);
}

at::Tensor ChunkedEngine::outputs(const at::Tensor& parameters, const at::Tensor& inputs) {
  return joined(parameters.size(0), replicas_that_fit(inputs.size(0), kForwardCopies), program(),
                [&](std::int64_t first, std::int64_t count) {
                  return engine_->outputs(parameters.narrow(0, first, count), inputs);
                });
}

at::Tensor ChunkedEngine::loss(const at::Tensor& parameters, const Samples& samples) {
  return joined(parameters.size(0), replicas_that_fit(samples.count(), kForwardCopies), program(),
                [&](std::int64_t first, std::int64_t count) {
                  return engine_->loss(parameters.narrow(0, first, count), part_of(samples, first, count));
                });
}

LossGradient ChunkedEngine::loss_gradient(const at::Tensor& parameters, const Samples& samples) {
  std::vector<at::Tensor> losses;
  const at::Tensor gradient = joined(parameters.size(0), replicas_that_fit(samples.count(), kGradientCopies), program(),
                                     [&](std::int64_t first, std::int64_t count) {
                                       const LossGradient part = engine_->loss_gradient(
                                           parameters.narrow(0, first, count), part_of(samples, first, count));
                                       losses.push_back(part.loss);
                                       return part.gradient;
                                     });
  return {at::cat(losses), gradient};
}

std::unique_ptr<LinearOperator> ChunkedEngine::hessian(const at::Tensor& parameters, const Samples& samples) {
  // The inner engine takes samples in chunks of its own: one of them must fit.
  return std::make_unique<ChunkedProduct>(parameters, program(), replicas_that_fit(1, kPassCopies),
                                          [this, parameters, samples](std::int64_t first, std::int64_t count) {
                                            return engine_->hessian(parameters.narrow(0, first, count),
                                                                    part_of(samples, first, count));
                                          });
}

std::unique_ptr<LinearOperator> ChunkedEngine::gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                                            const at::Tensor& metric) {
  return std::make_unique<ChunkedProduct>(
      parameters, program(), replicas_that_fit(1, kPassCopies),
      [this, parameters, inputs, metric](std::int64_t first, std::int64_t count) {
        // A metric that replicas share has a leading 1.
        const at::Tensor own = metric.size(0) > 1 ? metric.narrow(0, first, count) : metric;
        return engine_->gauss_newton(parameters.narrow(0, first, count), inputs, own);
      });
}

std::unique_ptr<LinearOperator> ChunkedEngine::residual_curvature(const at::Tensor& parameters,
                                                                  const Samples& samples) {
  return std::make_unique<ChunkedProduct>(parameters, program(), replicas_that_fit(1, 2 * kPassCopies),
                                          [this, parameters, samples](std::int64_t first, std::int64_t count) {
                                            return engine_->residual_curvature(parameters.narrow(0, first, count),
                                                                               part_of(samples, first, count));
                                          });
}

at::Tensor ChunkedEngine::per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                              const at::Tensor& cotangents) {
  return joined(parameters.size(0), replicas_of_samples(inputs.size(0), kGradientCopies), program(),
                [&](std::int64_t first, std::int64_t count) {
                  return engine_->per_sample_pullback(parameters.narrow(0, first, count), inputs,
                                                      part_of(cotangents, first, count));
                });
}

PullbackSums ChunkedEngine::pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                                          const at::Tensor& cotangents) {
  std::vector<at::Tensor> squares;
  const at::Tensor sum = joined(parameters.size(0), replicas_of_samples(inputs.size(0), kGradientCopies), program(),
                                [&](std::int64_t first, std::int64_t count) {
                                  const PullbackSums part = engine_->pullback_sums(
                                      parameters.narrow(0, first, count), inputs, part_of(cotangents, first, count));
                                  squares.push_back(part.squares);
                                  return part.sum;
                                });
  return {sum, at::cat(squares)};
}

at::Tensor ChunkedEngine::jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                                           const at::Tensor& vectors) {
  return joined(parameters.size(0), replicas_that_fit(inputs.size(0), kProductCopies), program(),
                [&](std::int64_t first, std::int64_t count) {
                  return engine_->jacobian_product(parameters.narrow(0, first, count), inputs,
                                                   vectors.narrow(0, first, count));
                });
}

at::Tensor ChunkedEngine::pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs,
                                              const at::Tensor& cotangents, const at::Tensor& directions) {
  return joined(parameters.size(0), replicas_of_samples(inputs.size(0), kProductCopies), program(),
                [&](std::int64_t first, std::int64_t count) {
                  return engine_->pullback_derivative(parameters.narrow(0, first, count), inputs,
                                                      part_of(cotangents, first, count),
                                                      directions.narrow(0, first, count));
                });
}

std::unique_ptr<Stepper> ChunkedEngine::stepper(const TrainingProblem& problem) {
  validate(problem, program());
  return std::make_unique<ChunkedStepper>(*engine_, problem, replicas_that_fit(problem.batch, kGradientCopies));
}

}  // namespace sharpseek
