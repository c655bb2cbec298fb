#include <vector>

#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {

/// Gradient fluctuation, in total and per layer, and gradient variance, of one sample.
Quantity gradient_quantity() {
  return {
      "gradient",
      true,
      {{"gradient_fluctuation", "", "1",
        "E|grad l|^2 of the loss l of one sample, uncentred; fresh label noise integrated out exactly, noise that was "
        "drawn once is each sample's own"},
       {"gradient_variance", "", "1", "gradient_fluctuation - |E grad l|^2"},
       {"layer_fluctuation", "layer", "1", "the part of gradient_fluctuation in each parameter block"}},
      [](MeasuringContext& context, Measurement& result) {
        const GradientMoments& moments = context.objective.moments();
        std::vector<at::Tensor> layers;
        // E|g|^2 is a sum over parameters, so that a layer has its part of it.
        for (const Block& block : context.objective.blocks()) {
          layers.push_back(moments.second_moment.narrow(1, block.offset, block.size()).sum(1));
        }
        result["layer_fluctuation"] = at::stack(layers, 1);
        result["gradient_fluctuation"] = moments.second_moment.sum(1);
        result["gradient_variance"] = moments.second_moment.sum(1) - moments.mean.square().sum(1);
      }};
}

}  // namespace sharpseek
