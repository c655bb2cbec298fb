#include "sharpness/operators.h"

#include <ATen/ATen.h>

#include <cmath>
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

BlockOperator::BlockOperator(std::shared_ptr<LinearOperator> op, std::int64_t first, std::int64_t count)
    : op_(std::move(op)), first_(first), count_(count) {
  require(first >= 0 && count >= 1 && first + count <= op_->dimension(), "block ", first, " + ", count,
          " does not lie inside dimension ", op_->dimension());
}

at::Tensor BlockOperator::apply(const at::Tensor& vectors) {
  at::Tensor whole = at::zeros({vectors.size(0), vectors.size(1), op_->dimension()}, vectors.options());
  whole.narrow(2, first_, count_).copy_(vectors);
  return op_->apply(whole).narrow(2, first_, count_);
}

RestrictedOperator::RestrictedOperator(std::shared_ptr<LinearOperator> op, at::Tensor basis)
    : op_(std::move(op)), basis_(std::move(basis)) {
  require(basis_.dim() == 3 && basis_.size(2) == op_->dimension(), "restriction: the basis does not fit dimension ",
          op_->dimension());
  basis_ = basis_.expand({op_->replicas(), -1, -1});
}

at::Tensor RestrictedOperator::apply(const at::Tensor& vectors) {
  return at::matmul(op_->apply(at::matmul(vectors, basis_)), basis_.transpose(1, 2));
}

PreconditionedOperator::PreconditionedOperator(std::shared_ptr<LinearOperator> op, const at::Tensor& diagonal)
    : op_(std::move(op)) {
  const double least = diagonal.min().item<double>();
  require(least > 0, "preconditioner: the diagonal has ", least, ": must be above 0");
  scale_ = diagonal.to(op_->options()).rsqrt().unsqueeze(1);
}

at::Tensor PreconditionedOperator::apply(const at::Tensor& vectors) { return op_->apply(vectors * scale_) * scale_; }

at::Tensor adam_diagonal(const at::Tensor& second_moment, double beta_2, std::int64_t steps, double epsilon) {
  require(beta_2 >= 0 && beta_2 < 1, "adam: beta_2 = ", beta_2, ": must be from 0 to below 1");
  require(steps >= 1, "adam: steps ", steps, ": must be at least 1");
  return (second_moment / (1 - std::pow(beta_2, static_cast<double>(steps)))).sqrt() + epsilon;
}

}  // namespace sharpseek
