#include "sharpness/density.h"

#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {

/// The density of the Hessian's eigenvalues with its confidence band.
Quantity density_quantity() {
  return {"density",
          false,
          {{"density_grid", "grid", "1", "eigenvalue at each point of the density"},
           {"density", "grid", "1",
            "density of the Hessian's eigenvalues by stochastic Lanczos quadrature, each node a Gaussian of width "
            "density_sigma; integrates to 1"},
           {"density_half_width", "grid", "1", "half width of its pointwise 95 % band, from the spread of probes"},
           {"density_sigma", "", "1", "width of the Gaussians", false}},
          [](MeasuringContext& context, Measurement& result) {
            DensityOptions options;
            options.points = kDensityPoints;
            options.seed = context.probes.seed;
            options.keys = context.probes.keys;
            const SpectralDensity density = spectral_density(*context.objective.hessian(), options);
            result["density_grid"] = density.grid;
            result["density"] = density.density;
            result["density_half_width"] = density.half_width;
            result["density_sigma"] = density.sigma;
          }};
}

}  // namespace sharpseek
