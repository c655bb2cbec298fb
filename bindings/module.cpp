// sharpseek's eigenvalue, trace and density algorithms for Python. The public face is analysis/sharpseek/curvature:
// here are only numbers, capsules of DLPack and options.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <exception>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/python_operator.h"
#include "core/error.h"
#include "sharpness/dense.h"
#include "sharpness/density.h"
#include "sharpness/lanczos.h"
#include "sharpness/trace.h"

namespace nb = nanobind;

namespace sharpseek {
namespace {

std::vector<double> numbers(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kCPU, at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

nb::dict spectrum_dict(const Spectrum& spectrum) {
  nb::dict result;
  result["values"] = numbers(spectrum.values);
  result["residuals"] = numbers(spectrum.residuals);
  result["status"] = static_cast<int>(spectrum.status.at(0));
  result["products"] = spectrum.matvecs;
  if (spectrum.vectors.defined()) result["vectors"] = to_capsule(spectrum.vectors[0].contiguous());
  return result;
}

nb::dict trace_dict(const TraceEstimate& estimate) {
  nb::dict result;
  result["trace"] = numbers(estimate.trace);
  result["standard_error"] = numbers(estimate.standard_error);
  result["half_width"] = numbers(estimate.half_width);
  result["products"] = estimate.matvecs[0].item<std::int64_t>();
  return result;
}

/// Runs without the interpreter's lock: products take it.
template <class Body>
auto unlocked(Body body) {
  const nb::gil_scoped_release unlock;
  return body();
}

nb::dict run_lanczos(PythonOperator& op, std::int64_t count, bool smallest, double tolerance, std::int64_t steps,
                     std::int64_t basis, bool vectors, bool multiplicities, const std::optional<nb::object>& start) {
  LanczosOptions options{.count = count,
                         .end = smallest ? SpectrumEnd::kSmallest : SpectrumEnd::kLargest,
                         .tolerance = tolerance,
                         .steps = steps,
                         .basis = basis,
                         .vectors = vectors,
                         .multiplicities = multiplicities,
                         .frugal = true,
                         .start = {},
                         .interrupted = [&op] { return op.interrupted(); }};
  if (start) options.start = from_capsule(*start).unsqueeze(0);
  return spectrum_dict(unlocked([&] { return lanczos(op, options); }));
}

nb::dict run_dense(PythonOperator& op) {
  const DenseSpectrum dense = unlocked([&] { return dense_spectrum(op, op.dimension()); });
  nb::dict result = spectrum_dict(dense.spectrum);
  result["trace"] = dense.trace.item<double>();
  return result;
}

nb::dict run_trace(PythonOperator& op, const std::string& method, std::int64_t products, std::uint64_t seed) {
  static const std::map<std::string, TraceMethod> methods{
      {"hutchinson", TraceMethod::kHutchinson}, {"hutch++", TraceMethod::kHutchPlus}, {"xtrace", TraceMethod::kXTrace}};
  const auto known = methods.find(method);
  require(known != methods.end(), "method = ", method, ": must be hutchinson, hutch++ or xtrace");
  const TraceOptions options{.method = known->second, .products = products, .seed = seed};
  return trace_dict(unlocked([&] { return estimate_trace(op, options); }));
}

nb::dict run_block_traces(PythonOperator& op, const std::vector<std::int64_t>& sizes, std::int64_t products,
                          std::uint64_t seed) {
  const TraceOptions options{.products = products, .seed = seed};
  return trace_dict(unlocked([&] { return block_traces(op, sizes, options); }));
}

nb::dict run_density(PythonOperator& op, std::int64_t probes, std::int64_t steps, std::int64_t points, double width,
                     std::uint64_t seed) {
  const DensityOptions options{
      .probes = probes, .steps = steps, .points = points, .width = width, .seed = seed, .interrupted = [&op] {
        return op.interrupted();
      }};
  const SpectralDensity density = unlocked([&] { return spectral_density(op, options); });
  nb::dict result;
  result["grid"] = numbers(density.grid);
  result["density"] = numbers(density.density);
  result["half_width"] = numbers(density.half_width);
  result["sigma"] = density.sigma.item<double>();
  result["products"] = density.matvecs;
  result["probes"] = density.probes;
  return result;
}

void translate(const std::exception_ptr& error, void*) {
  try {
    std::rethrow_exception(error);
  } catch (const UserError& mistake) {
    PyErr_SetString(PyExc_ValueError, mistake.what());
  } catch (const c10::Error& failure) {
    PyErr_SetString(PyExc_RuntimeError, failure.what_without_backtrace());
  }
}

}  // namespace
}  // namespace sharpseek

NB_MODULE(_curvature, module) {
  using namespace sharpseek;  // NOLINT(google-build-using-namespace)
  nb::set_leak_warnings(false);
  nb::register_exception_translator(translate);
  nb::class_<PythonOperator>(module, "Operator")
      .def("__init__",
           [](PythonOperator* self, nb::callable product, nb::callable interrupted, std::int64_t dimension,
              const nb::object& like, bool pure) {
             new (self) PythonOperator(std::move(product), std::move(interrupted), dimension, from_capsule(like), pure);
           })
      .def("interrupted", &PythonOperator::interrupted);
  module.def("lanczos", &run_lanczos, nb::arg("op"), nb::kw_only(), nb::arg("count"), nb::arg("smallest"),
             nb::arg("tolerance"), nb::arg("steps"), nb::arg("basis"), nb::arg("vectors"), nb::arg("multiplicities"),
             nb::arg("start").none());
  module.def("dense", &run_dense, nb::arg("op"));
  module.def("trace", &run_trace, nb::arg("op"), nb::kw_only(), nb::arg("method"), nb::arg("products"),
             nb::arg("seed"));
  module.def("block_traces", &run_block_traces, nb::arg("op"), nb::kw_only(), nb::arg("sizes"), nb::arg("products"),
             nb::arg("seed"));
  module.def("density", &run_density, nb::arg("op"), nb::kw_only(), nb::arg("probes"), nb::arg("steps"),
             nb::arg("points"), nb::arg("width"), nb::arg("seed"));
}
