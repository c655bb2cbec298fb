#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "sharpness/operators.h"
#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

/// x [E, some] with NaN up to `count` columns.
at::Tensor filled_up(const at::Tensor& x, std::int64_t count) {
  return at::constant_pad_nd(x, {0, count - x.size(1)}, std::numeric_limits<double>::quiet_NaN());
}

}  // namespace

/// Largest eigenvalues and trace of each layer's own block of the Hessian.
Quantity layer_spectrum_quantity() {
  return {
      "layer_spectrum",
      false,
      {{"layer_eigenvalues", "layer eigen", "1",
        "largest eigenvalues of the Hessian's diagonal block of each layer, descending; NaN beyond a layer's number "
        "of parameters",
        true, true},
       {"layer_eigenvalue_residuals", "layer eigen", "1", "|H_b v - lambda v| of each: an error bound", true, true},
       {"layer_trace", "layer", "1", "trace of the Hessian's diagonal block of each layer"},
       {"layer_trace_error", "layer", "1",
        "its standard error over random probes, which all layers share; 0 where the trace is exact"},
       {"layer_spectrum_status", "", "1",
        "0 converged, 1 not converged within the step limit, 2 not finite: the worst of the layers", false}},
      [](MeasuringContext& context, Measurement& result) {
        const std::int64_t wanted = context.eigenvalues();
        std::vector<at::Tensor> values, residuals;
        std::vector<std::int64_t> sizes;
        at::Tensor status = at::zeros({context.objective.replicas()}, at::kDouble);
        for (const Block& block : context.objective.blocks()) {
          // Each block by itself, as an operator of its own size.
          BlockOperator part(context.objective.hessian(), block.offset, block.size());
          LanczosOptions options = context.lanczos_options();
          options.count = std::min(wanted, block.size());
          const Spectrum spectrum = lanczos(part, options);
          values.push_back(filled_up(spectrum.values, wanted));
          residuals.push_back(filled_up(spectrum.residuals, wanted));
          status = at::maximum(status, status_tensor(spectrum));
          sizes.push_back(block.size());
        }
        // Probes of the whole Hessian give the traces of all blocks at once.
        TraceOptions how = context.trace_options();
        const bool exact = context.objective.dimension() <= context.options.exact_limit;
        how.products = exact ? context.objective.dimension() : how.products;
        const TraceEstimate traces = block_traces(*context.objective.hessian(), sizes, how);
        result["layer_eigenvalues"] = at::stack(values, 1);
        result["layer_eigenvalue_residuals"] = at::stack(residuals, 1);
        result["layer_trace"] = traces.trace;
        result["layer_trace_error"] = traces.standard_error;
        result["layer_spectrum_status"] = status;
      }};
}

}  // namespace sharpseek
