#include "sharpness/panel.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "core/machine.h"

namespace sharpseek {
namespace {

// The clones' choice runs before ThreadSanitizer is ready, which instruments it all the same.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define SHARPSEEK_CLONES __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define SHARPSEEK_CLONES
#endif

/// Sixteen partial sums, so that the compiler may use vectors without reordering a sum.
template <class T>
[[gnu::always_inline]] inline T dot(const T* a, const T* b, std::int64_t n) {
  constexpr int kSums = 16;
  T sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int l = 0; l < kSums; ++l) sums[l] += a[i + l] * b[i + l];
  }
  T total = 0;
  for (; i < n; ++i) total += a[i] * b[i];
  for (T sum : sums) total += sum;
  return total;
}

template <class T>
[[gnu::always_inline]] inline void add_scaled(T* y, T scale, const T* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += scale * x[i];
}

template <class T>
[[gnu::always_inline]] inline void project(const T* panel, std::int64_t rows, std::int64_t n, T* w, T* overlap) {
  // The first pass loses digits where much cancels; the second has only rounding to remove.
  for (int pass = 0; pass < 2; ++pass) {
    for (std::int64_t j = 0; j < rows; ++j) overlap[j] = dot(panel + j * n, w, n);
    for (std::int64_t j = 0; j < rows; ++j) add_scaled(w, -overlap[j], panel + j * n, n);
  }
}

SHARPSEEK_CLONES void project_panel(const float* panel, std::int64_t rows, std::int64_t n, float* w, float* overlap) {
  project(panel, rows, n, w, overlap);
}
SHARPSEEK_CLONES void project_panel(const double* panel, std::int64_t rows, std::int64_t n, double* w,
                                    double* overlap) {
  project(panel, rows, n, w, overlap);
}
/// PanelProducts::advance for one replica: alpha, beta.
template <class T>
[[gnu::always_inline]] inline std::pair<T, T> advance_one(T* panel, std::int64_t row, std::int64_t n, T* w,
                                                          T* overlap) {
  // alpha before the projection removes that part of w.
  const T alpha = dot(panel + row * n, w, n);
  project(panel, row + 1, n, w, overlap);
  const T beta = std::sqrt(dot(w, w, n));
  const T scale = 1 / std::max(beta, T(1e-30));
  for (std::int64_t i = 0; i < n; ++i) panel[(row + 1) * n + i] = w[i] * scale;
  return {alpha, beta};
}

SHARPSEEK_CLONES std::pair<float, float> advance_panel(float* panel, std::int64_t row, std::int64_t n, float* w,
                                                       float* overlap) {
  return advance_one(panel, row, n, w, overlap);
}
SHARPSEEK_CLONES std::pair<double, double> advance_panel(double* panel, std::int64_t row, std::int64_t n, double* w,
                                                         double* overlap) {
  return advance_one(panel, row, n, w, overlap);
}
/// w <- w - a q - p previous with a = q'w and p = previous'w, in two passes over memory: a and |w|.
template <class T>
[[gnu::always_inline]] inline std::pair<T, T> recur(const T* q, const T* previous, std::int64_t n, T* w) {
  constexpr int kSums = 16;
  T with_q[kSums] = {};
  T with_previous[kSums] = {};
  T squares[kSums] = {};
  // First pass: both overlaps, each in sixteen partial sums.
  const std::int64_t whole = n - n % kSums;
  for (std::int64_t i = 0; i < whole; i += kSums) {
    for (int l = 0; l < kSums; ++l) {
      with_q[l] += q[i + l] * w[i + l];
      with_previous[l] += previous[i + l] * w[i + l];
    }
  }
  for (std::int64_t i = whole; i < n; ++i) {
    with_q[0] += q[i] * w[i];
    with_previous[0] += previous[i] * w[i];
  }
  // What is left over is in the first partial sums already.
  T a = 0;
  T p = 0;
  for (int l = 0; l < kSums; ++l) {
    a += with_q[l];
    p += with_previous[l];
  }

  // Second pass: subtract both, and measure what is left.
  for (std::int64_t i = 0; i < whole; i += kSums) {
    for (int l = 0; l < kSums; ++l) {
      w[i + l] -= a * q[i + l] + p * previous[i + l];
      squares[l] += w[i + l] * w[i + l];
    }
  }
  T square = 0;
  for (std::int64_t i = whole; i < n; ++i) {
    w[i] -= a * q[i] + p * previous[i];
    square += w[i] * w[i];
  }
  for (T part : squares) square += part;
  return {a, std::sqrt(square)};
}

SHARPSEEK_CLONES std::pair<float, float> recur_row(const float* q, const float* previous, std::int64_t n, float* w) {
  return recur(q, previous, n, w);
}
SHARPSEEK_CLONES std::pair<double, double> recur_row(const double* q, const double* previous, std::int64_t n,
                                                     double* w) {
  return recur(q, previous, n, w);
}
SHARPSEEK_CLONES float dot_row(const float* a, const float* b, std::int64_t n) { return dot(a, b, n); }
SHARPSEEK_CLONES double dot_row(const double* a, const double* b, std::int64_t n) { return dot(a, b, n); }
SHARPSEEK_CLONES void add_row(float* y, float scale, const float* x, std::int64_t n) { add_scaled(y, scale, x, n); }
SHARPSEEK_CLONES void add_row(double* y, double scale, const double* x, std::int64_t n) { add_scaled(y, scale, x, n); }

/// Calls run with a null pointer to the number type: float or double.
template <class Run>
void with_type(at::ScalarType type, Run run) {
  if (type == at::kFloat) {
    run(static_cast<float*>(nullptr));
  } else {
    run(static_cast<double*>(nullptr));
  }
}

}  // namespace

PanelProducts::PanelProducts(std::int64_t replicas, const at::TensorOptions& options)
    : replicas_(replicas),
      own_loops_(replicas > 1 && options.device().is_cpu()),
      pool_(replicas > 1 ? static_cast<int>(std::min<std::int64_t>(replicas, available_threads())) : 1) {}

void PanelProducts::each(const std::function<void(std::int64_t)>& body) { pool_.run(replicas_, body); }

void PanelProducts::project_out(const at::Tensor& panel, std::int64_t rows, at::Tensor& w) {
  if (rows == 0) return;
  // The matrix library, where one panel or a GPU keeps it busy.
  if (!own_loops_) {
    const at::Tensor q = panel.narrow(1, 0, rows);
    for (int pass = 0; pass < 2; ++pass) {
      if (replicas_ == 1) {
        w[0].sub_(at::mv(q[0].t(), at::mv(q[0], w[0])));
      } else {
        w.sub_(at::bmm(q.transpose(1, 2), at::bmm(q, w.unsqueeze(2))).squeeze(2));
      }
    }
    return;
  }

  // Else a replica is a task, whose thread keeps the room for overlaps.
  const std::int64_t n = w.size(1);
  const std::int64_t stride = panel.stride(0);
  const auto run = [&]<class T>(T*) {
    const T* q = panel.data_ptr<T>();
    T* x = w.data_ptr<T>();
    each([&](std::int64_t e) {
      thread_local std::vector<T> overlap;
      overlap.resize(static_cast<std::size_t>(rows));
      project_panel(q + e * stride, rows, n, x + e * n, overlap.data());
    });
  };
  with_type(w.scalar_type(), run);
}

std::pair<at::Tensor, at::Tensor> PanelProducts::advance(at::Tensor& panel, std::int64_t row, at::Tensor& w) {
  if (!own_loops_) {
    const at::Tensor alpha = (w * panel.select(1, row)).sum(-1);
    project_out(panel, row + 1, w);
    const at::Tensor beta = w.square().sum(-1).sqrt();
    panel.select(1, row + 1).copy_(w / beta.unsqueeze(1).clamp_min(1e-30));
    return {alpha, beta};
  }
  const std::int64_t n = w.size(1);
  const std::int64_t stride = panel.stride(0);
  at::Tensor alpha = at::empty({replicas_}, panel.options());
  at::Tensor beta = at::empty_like(alpha);
  const auto run = [&]<class T>(T*) {
    T* q = panel.data_ptr<T>();
    T* x = w.data_ptr<T>();
    T* a = alpha.data_ptr<T>();
    T* b = beta.data_ptr<T>();
    each([&](std::int64_t e) {
      thread_local std::vector<T> overlap;
      overlap.resize(static_cast<std::size_t>(row + 1));
      std::tie(a[e], b[e]) = advance_panel(q + e * stride, row, n, x + e * n, overlap.data());
    });
  };
  with_type(w.scalar_type(), run);
  return {alpha, beta};
}

std::pair<at::Tensor, at::Tensor> PanelProducts::advance_once(at::Tensor& panel, std::int64_t row, at::Tensor& w) {
  if (replicas_ > 1 || !panel.device().is_cpu()) return advance(panel, row, w);
  // After the two last rows only rounding is left for one pass over all of them.
  const auto [alpha, before] = recurrence(panel, row, w);
  const double beta = subtract(panel, row + 1, w, before);
  store(panel, row + 1, w, beta);
  return {at::full({1}, alpha, panel.options()), at::full({1}, beta, panel.options())};
}

std::pair<at::Tensor, at::Tensor> PanelProducts::advance_partly(at::Tensor& panel, std::int64_t locked,
                                                                std::int64_t row, at::Tensor& w,
                                                                OrthogonalityEstimate& estimate) {
  auto [alpha, beta] = recurrence(panel, row, w);
  // The recurrence knows nothing of locked vectors, so that rounding along them would grow.
  if (locked > 0) beta = subtract(panel, locked, w, 0);
  // The whole basis only when the estimate says that orthogonality is as good as lost.
  if (estimate.lost(alpha, beta)) {
    beta = subtract(panel, row + 1, w, beta);
    estimate.restored(beta);
  }
  store(panel, row + 1, w, beta);
  return {at::full({1}, alpha, panel.options()), at::full({1}, beta, panel.options())};
}

std::pair<double, double> PanelProducts::recurrence(const at::Tensor& panel, std::int64_t row, at::Tensor& w) {
  const std::int64_t n = w.size(1);
  std::pair<double, double> result;
  with_type(w.scalar_type(), [&]<class T>(T*) {
    const T* q = panel.data_ptr<T>() + row * n;
    // The first row has no previous one: of nothing, a vector of zeros.
    const std::vector<T> none(row == 0 ? static_cast<std::size_t>(n) : 0);
    result = recur_row(q, row == 0 ? none.data() : q - n, n, w.data_ptr<T>());
  });
  return result;
}

double PanelProducts::subtract(const at::Tensor& panel, std::int64_t rows, at::Tensor& w, double before) {
  at::Tensor x = w[0];
  const at::Tensor q = panel[0].narrow(0, 0, rows);
  const auto once = [&] {
    x.addmv_(q.t(), at::mv(q, x), 1, -1);
    return x.norm().item<double>();
  };
  const double after = once();
  // What is left after cancellation is not orthogonal yet; the second time is enough.
  return after < std::sqrt(0.5) * before ? once() : after;
}

void PanelProducts::store(at::Tensor& panel, std::int64_t row, const at::Tensor& w, double norm) {
  at::Tensor place = panel[0][row];
  at::mul_out(place, w[0], at::scalar_tensor(1 / std::max(norm, 1e-30), w.options()));
}

at::Tensor PanelProducts::overlaps(const at::Tensor& panel, std::int64_t rows, const at::Tensor& w) {
  if (!own_loops_) return at::bmm(panel.narrow(1, 0, rows), w.unsqueeze(2)).squeeze(2);
  at::Tensor out = at::empty({replicas_, rows}, panel.options());
  const std::int64_t n = w.size(1);
  const auto run = [&]<class T>(T*) {
    const T* q = panel.data_ptr<T>();
    const T* x = w.data_ptr<T>();
    T* y = out.data_ptr<T>();
    each([&](std::int64_t e) {
      for (std::int64_t j = 0; j < rows; ++j) y[e * rows + j] = dot_row(q + e * panel.stride(0) + j * n, x + e * n, n);
    });
  };
  with_type(w.scalar_type(), run);
  return out;
}

at::Tensor PanelProducts::combine(const at::Tensor& weights, const at::Tensor& panel, std::int64_t first) {
  // y_i = sum_j s_ij q_j, in the order of the rows.
  const std::int64_t rows = weights.size(2);
  const at::Tensor w = weights.to(panel.options()).contiguous();
  if (!own_loops_) return at::bmm(w, panel.narrow(1, first, rows));
  const std::int64_t count = weights.size(1);
  const std::int64_t n = panel.size(2);
  at::Tensor out = at::zeros({replicas_, count, n}, panel.options());
  const auto run = [&]<class T>(T*) {
    const T* q = panel.data_ptr<T>();
    const T* s = w.data_ptr<T>();
    T* y = out.data_ptr<T>();
    each([&](std::int64_t e) {
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t j = 0; j < rows; ++j) {
          add_row(y + (e * count + i) * n, s[(e * count + i) * rows + j], q + e * panel.stride(0) + (first + j) * n, n);
        }
      }
    });
  };
  with_type(panel.scalar_type(), run);
  return out;
}

}  // namespace sharpseek
