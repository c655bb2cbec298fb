#include "experiments/run/options.h"

#include <utility>

namespace sharpseek {

EngineOptions EngineChoice::over(EngineOptions options) const {
  const auto choose = [](const auto& chosen, auto& value) {
    if (chosen) value = *chosen;
  };
  choose(engine, options.engine);
  choose(device, options.device);
  choose(dtype, options.dtype);
  choose(isa, options.isa);
  choose(threads, options.threads);
  choose(tf32, options.tf32);
  return options;
}

}  // namespace sharpseek
