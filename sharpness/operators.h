#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/linear_operator.h"

namespace sharpseek {

/// A term c A of a sum.
struct Term {
  double factor;
  std::shared_ptr<LinearOperator> op;
};

/// sum_i c_i A_i + shift I. Cost: the products of all terms.
class SumOperator final : public LinearOperator {
 public:
  /// Throws UserError unless all terms have the same replicas and dimension.
  explicit SumOperator(std::vector<Term> terms, double shift = 0);

  std::int64_t replicas() const override { return terms_.front().op->replicas(); }
  std::int64_t dimension() const override { return terms_.front().op->dimension(); }
  at::TensorOptions options() const override { return terms_.front().op->options(); }
  at::Tensor apply(const at::Tensor& vectors) override;

 private:
  std::vector<Term> terms_;
  double shift_;
};

/// sum_j g_j g_j' for rows g [E, r, P]: -1 times that of the mean gradient centres a covariance.
class OuterProductOperator : public LinearOperator {
 public:
  explicit OuterProductOperator(at::Tensor rows) : rows_(std::move(rows)) {}

  std::int64_t replicas() const override { return rows_.size(0); }
  std::int64_t dimension() const override { return rows_.size(2); }
  at::TensorOptions options() const override { return rows_.options(); }
  at::Tensor apply(const at::Tensor& vectors) override;

 private:
  at::Tensor rows_;
};

/// S A S for diagonal S [E, P]: with S = D^(-1/2) it has the eigenvalues of D^(-1) A. Cost: one product of A.
class ScaledOperator : public LinearOperator {
 public:
  ScaledOperator(std::shared_ptr<LinearOperator> op, const at::Tensor& scale)
      : op_(std::move(op)), scale_(scale.unsqueeze(1)) {}

  std::int64_t replicas() const override { return op_->replicas(); }
  std::int64_t dimension() const override { return op_->dimension(); }
  at::TensorOptions options() const override { return op_->options(); }
  at::Tensor apply(const at::Tensor& vectors) override;

 private:
  std::shared_ptr<LinearOperator> op_;
  at::Tensor scale_;  ///< [E, 1, P]
};

/// The block of A with rows and columns `first` .. `first + count` - 1: one layer's block. Cost: one product of A.
class BlockOperator : public LinearOperator {
 public:
  /// Throws UserError unless the block lies inside A.
  BlockOperator(std::shared_ptr<LinearOperator> op, std::int64_t first, std::int64_t count);

  std::int64_t replicas() const override { return op_->replicas(); }
  std::int64_t dimension() const override { return count_; }
  at::TensorOptions options() const override { return op_->options(); }
  at::Tensor apply(const at::Tensor& vectors) override;

 private:
  std::shared_ptr<LinearOperator> op_;
  std::int64_t first_;
  std::int64_t count_;
};

}  // namespace sharpseek
