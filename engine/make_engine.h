#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/engine.h"

namespace sharpseek {

/// How an engine is chosen: the flags of `sharpseek run`.
struct EngineOptions {
  std::string engine = "auto";    ///< auto | torch | lanes
  std::string device = "auto";    ///< auto | cpu | cuda | cuda:N
  std::string dtype = "float32";  ///< float32 | float64
  std::string isa = "auto";       ///< lanes: auto | scalar | sse4.2 | avx2 | avx512
  int threads = 0;                ///< 0: all cores this process may use
  /// torch: bytes that a Hessian product may hold and keep; by default 1 GiB, on CUDA a quarter of the device's memory
  std::optional<std::int64_t> memory = {};
  bool tf32 = false;  ///< torch on CUDA: float32 products with 10 bits of mantissa, faster
};

/// Loads what "auto", "cpu", "cuda" or "cuda:N" needs. Throws UserError naming --device unless it can be used. To be
/// called before torch's first backward pass, because torch remembers for good what devices there are then.
void open_device(const std::string& device);

/// Makes the engine of these options. Throws UserError naming flag and value.
std::unique_ptr<Engine> make_engine(const Program& program, const EngineOptions& options);

}  // namespace sharpseek
