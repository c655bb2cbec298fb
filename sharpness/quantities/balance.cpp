#include <vector>

#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

/// Sums of columns of x [E, P] over one side of every balance: [E, balances].
at::Tensor side_sums(const at::Tensor& x, const std::vector<Balance>& balances, ParameterIndices Balance::*side) {
  std::vector<at::Tensor> sums;
  for (const Balance& balance : balances) sums.push_back(x.index_select(1, at::tensor(balance.*side)).sum(1));
  if (sums.empty()) return at::empty({x.size(0), 0}, at::kDouble);
  return at::stack(sums, 1);
}

}  // namespace

/// Squared gradients on the two sides of every symmetry, and its charge.
Quantity balance_quantity() {
  return {"balance",
          false,
          {{"balance_difference", "balance", "1",
            "E|g_in|^2 - E|g_out|^2 of the mini-batch gradient at these weights on fresh inputs, fresh label noise "
            "integrated out (a finite set: on its samples, with the noise that was drawn once); its stationary mean is "
            "0 at "
            "every learning rate where the symmetry holds"},
           {"balance_sum", "balance", "1", "E|g_in|^2 + E|g_out|^2 of the mini-batch gradient"},
           {"charge", "balance", "1", "|w_in|^2 - |w_out|^2"}},
          [](MeasuringContext& context, Measurement& result) {
            const at::Tensor batch =
                batch_second_moment(context.fresh_moments(), context.objective.sampling(context.batch));
            const at::Tensor in = side_sums(batch, context.balances, &Balance::in);
            const at::Tensor out = side_sums(batch, context.balances, &Balance::out);
            result["balance_difference"] = in - out;
            result["balance_sum"] = in + out;
            // What gradient flow conserves where the symmetry holds.
            const at::Tensor squares = context.objective.parameters().to(at::kCPU, at::kDouble).square();
            result["charge"] = side_sums(squares, context.balances, &Balance::in) -
                               side_sums(squares, context.balances, &Balance::out);
          },
          Needs::kState};
}

}  // namespace sharpseek
