// Operators against explicit matrices, and an objective's matrices against autograd and sums over samples.
#include <memory>
#include <vector>

#include "sharpness/operators.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/cases.h"
#include "engine/make_engine.h"
#include "sharpness/dense.h"
#include "sharpness/dense_operator.h"
#include "sharpness/objective.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kManyOperations;
using testing_support::random_tensor;
using testing_support::relative_difference;

at::Tensor symmetric(std::uint32_t seed) {
  const at::Tensor a = random_tensor({2, 9, 9}, seed);
  return a + a.transpose(1, 2);
}

TEST(Operators, AreTheMatricesTheyName) {
  const at::Tensor a = symmetric(1), b = symmetric(2);
  const auto op_a = std::make_shared<DenseOperator>(a);
  const auto op_b = std::make_shared<DenseOperator>(b);
  SumOperator sum({{2.0, op_a}, {-0.5, op_b}}, 3);
  EXPECT_LT(relative_difference(dense_matrix(sum).matrix, 2 * a - 0.5 * b + 3 * at::eye(9, at::kDouble)),
            kFewOperations);
  BlockOperator block(op_a, 2, 4);
  EXPECT_LT(relative_difference(dense_matrix(block).matrix, a.narrow(1, 2, 4).narrow(2, 2, 4)), kFewOperations);
  const at::Tensor g = random_tensor({2, 3, 9}, 4);
  OuterProductOperator outer(g);
  EXPECT_LT(relative_difference(dense_matrix(outer).matrix, at::bmm(g.transpose(1, 2), g)), kFewOperations);
}

TEST(Operators, RefuseWhatDoesNotFit) {
  const auto op = std::make_shared<DenseOperator>(symmetric(1));
  const auto other = std::make_shared<DenseOperator>(at::zeros({2, 4, 4}, at::kDouble));
  EXPECT_THROW(SumOperator({{1.0, op}, {1.0, other}}), UserError);
  EXPECT_THROW(BlockOperator(op, 7, 3), UserError);
}

class ObjectiveTest : public testing::TestWithParam<const char*> {};

TEST_P(ObjectiveTest, MatricesAreSumsOverSamplesWithTheNoiseIntegratedOut) {
  ModelOptions model;
  model.kind = "mlp";
  model.width = 5;
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = GetParam(), .dtype = "float64"});
  const at::Tensor weights = testing_support::random_weights(program, 2);
  const Samples samples{random_tensor({7, 1, 4}, 1), random_tensor({7, 3}, 2)};
  const at::Tensor factors = 0.3 * random_tensor({2, 3, 3}, 3);
  EngineObjective objective(*engine, weights, samples, {factors, {}});

  // Columns of the Jacobian, [E, N, o, P].
  std::vector<at::Tensor> rows;
  for (std::int64_t o = 0; o < 3; ++o) {
    at::Tensor unit = at::zeros({1, 7, 3}, at::kDouble);
    unit.select(2, o).fill_(1);
    rows.push_back(engine->per_sample_pullback(weights, samples.inputs, unit));
  }
  const at::Tensor jacobian = at::stack(rows, 2);
  const at::Tensor gauss_newton = 2.0 / 7 * at::einsum("enop,enoq->epq", {jacobian, jacobian});
  EXPECT_LT(relative_difference(dense_matrix(*objective.gauss_newton()).matrix, gauss_newton), kManyOperations);

  const at::Tensor r = engine->outputs(weights, samples.inputs) - samples.targets;
  const at::Tensor signal = 2 * at::einsum("enop,eno->enp", {jacobian, r});
  const at::Tensor noise = 2 * at::einsum("enop,eok->enkp", {jacobian, factors});
  const at::Tensor second =
      (at::einsum("enp,enq->epq", {signal, signal}) + at::einsum("enkp,enkq->epq", {noise, noise})) / 7;
  EXPECT_LT(relative_difference(dense_matrix(*objective.gradient_second_moment()).matrix, second), kManyOperations);
  EXPECT_LT(relative_difference(second.diagonal(0, 1, 2), objective.moments().second_moment), kManyOperations);
}

INSTANTIATE_TEST_SUITE_P(Engines, ObjectiveTest, testing::Values("torch", "lanes"));

TEST(EngineObjective, BatchCurvatureIsUnbiased) {
  // Without noise on the labels and with many batches: E|g_B|^2 = |grad L|^2 + variance / b.
  ModelOptions model;
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .dtype = "float64"});
  const at::Tensor weights = testing_support::random_weights(program, 2);
  const Samples samples{random_tensor({20, 1, 4}, 1), random_tensor({20, 3}, 2)};
  const at::Tensor factors = 0.5 * at::eye(3, at::kDouble).repeat({2, 1, 1});
  EngineObjective objective(*engine, weights, samples, {factors, {}});
  std::vector<at::Tensor> squares;
  for (std::int64_t b = 0; b < 4000; ++b) squares.push_back(objective.batch(b, 3).square);
  const at::Tensor all = at::stack(squares);
  const at::Tensor mean = objective.moments().mean.square().sum(1);
  const at::Tensor expected = mean + (objective.moments().second_moment.sum(1) - mean) / 3;
  const at::Tensor error = all.std(0) / std::sqrt(4000.0);
  EXPECT_LT(((all.mean(0) - expected).abs() / error).max().item<double>(), 4);
}

}  // namespace
}  // namespace sharpseek
