#pragma once

namespace sharpseek {

class ModuleObjective;

/// Checks, before anything is measured, that a module's loss has a Hessian and that LibTorch computes it. Throws
/// UserError, in one line, unless
///
/// - loss, gradient and product H v are finite and the same when computed twice;
/// - samples do not mix: f(x)_n, alone, is what it is among others;
/// - H is symmetric: v' H w = w' H v for random v and w;
/// - on a few samples in float64 (where the module runs in it), H is symmetric and H v, like g' v, agrees with
///   differences of gradients and losses.
///
/// Cost beyond that of computing twice: one product and one forward pass of at most 64 samples; on at most four samples
/// in float64, two products and, for a smooth network, two gradients. What rounding or the kinks of ReLU explain is no
/// fault: asymmetry is compared with the change of H v at weights that differ by rounding, and differences must settle
/// on another value as their step shrinks.
void check_module(ModuleObjective& objective);

}  // namespace sharpseek
