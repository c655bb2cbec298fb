#include "sharpness/flatness.h"

#include <string>

#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {

/// Rise of the loss under random and worst perturbations of the weights.
Quantity flatness_quantity() {
  return {
      "flatness",
      false,
      {{"random_rise", "", "1",
        "mean rise of the loss at a distance (measure --radius, 0.05) from the weights, uniform directions, others at "
        "each record and replica"},
       {"random_rise_error", "", "1", "its standard error over directions", false},
       {"worst_rise", "", "1", "largest rise found at that distance by projected gradient ascent: a lower bound"},
       {"sam_rise", "", "1", "rise at that distance along the gradient (one step of SAM)"},
       {"filter_random_rise", "", "1", "random_rise with each weight's change scaled by the norm of its filter"},
       {"filter_random_rise_error", "", "1", "its standard error over directions", false},
       {"filter_worst_rise", "", "1", "worst_rise with each weight's change scaled by the norm of its filter"},
       {"filter_sam_rise", "", "1", "sam_rise with each weight's change scaled by the norm of its filter"}},
      [](MeasuringContext& context, Measurement& result) {
        for (bool filter : {false, true}) {
          // The same directions with and without filters: their rises can be compared.
          FlatnessOptions options;
          options.radius = context.options.radius;
          options.filter_normalised = filter;
          options.seed = context.probes.seed;
          options.keys = context.probes.keys;
          const Flatness found = flatness(context.objective, options);
          const std::string prefix = filter ? "filter_" : "";
          result[prefix + "random_rise"] = found.random;
          result[prefix + "random_rise_error"] = found.random_error;
          result[prefix + "worst_rise"] = found.worst;
          result[prefix + "sam_rise"] = found.sam;
        }
      }};
}

}  // namespace sharpseek
