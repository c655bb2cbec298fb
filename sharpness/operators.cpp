#include "sharpness/operators.h"

#include <ATen/ATen.h>

#include <utility>

#include "core/error.h"

namespace sharpseek {

SumOperator::SumOperator(std::vector<Term> terms, double shift) : terms_(std::move(terms)), shift_(shift) {
  require(!terms_.empty(), "sum of operators: needs at least one term");
  for (const Term& term : terms_) {
    require(term.op->replicas() == replicas() && term.op->dimension() == dimension(), "sum of operators: [",
            term.op->replicas(), ", ", term.op->dimension(), "] does not fit [", replicas(), ", ", dimension(), "]");
  }
}

at::Tensor SumOperator::apply(const at::Tensor& vectors) {
  at::Tensor sum = vectors * shift_;
  for (const Term& term : terms_) sum.add_(term.op->apply(vectors), term.factor);
  return sum;
}

at::Tensor OuterProductOperator::apply(const at::Tensor& vectors) {
  return at::bmm(at::bmm(vectors, rows_.transpose(1, 2)), rows_);
}

at::Tensor ScaledOperator::apply(const at::Tensor& vectors) {
  return op_->apply((vectors * scale_).contiguous()) * scale_;
}

BlockOperator::BlockOperator(std::shared_ptr<LinearOperator> op, std::int64_t first, std::int64_t count)
    : op_(std::move(op)), first_(first), count_(count) {
  require(first >= 0 && count >= 1 && first + count <= op_->dimension(), "block ", first, " + ", count,
          " does not lie inside dimension ", op_->dimension());
}

at::Tensor BlockOperator::apply(const at::Tensor& vectors) {
  // Zeros outside the block go in, the block's part comes out.
  at::Tensor whole = at::zeros({vectors.size(0), vectors.size(1), op_->dimension()}, vectors.options());
  whole.narrow(2, first_, count_).copy_(vectors);
  return op_->apply(whole).narrow(2, first_, count_);
}

}  // namespace sharpseek
