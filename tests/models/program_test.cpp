#include <string>
#include <utility>
#include <vector>

#include "models/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {
namespace {

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const UserError& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(ProgramBuilder, RefusesAValueThatNeverReachesTheOutput) {
  ProgramBuilder net({1, 4});
  const ValueId hidden = net.linear(net.input(), net.matrix("W_1", 8, 4));
  net.tanh(hidden);  // nobody reads it
  const ValueId output = net.linear(hidden, net.matrix("W_2", 3, 8));
  EXPECT_THAT(message_of([&] { std::move(net).finish(output); }), testing::HasSubstr("tanh"));
}

TEST(ProgramBuilder, RefusesAParameterThatIsNeverUsed) {
  ProgramBuilder net({1, 4});
  net.matrix("W_forgotten", 8, 4);
  const ValueId output = net.linear(net.input(), net.matrix("W_1", 3, 4));
  EXPECT_THAT(message_of([&] { std::move(net).finish(output); }), testing::HasSubstr("W_forgotten"));
}

TEST(ProgramBuilder, NamesBothShapesOfAMistake) {
  ProgramBuilder net({2, 4});
  const ParameterId narrow = net.matrix("W_1", 8, 3);
  const std::string text = message_of([&] { net.linear(net.input(), narrow); });
  EXPECT_THAT(text, testing::AllOf(testing::HasSubstr("4"), testing::HasSubstr("3")));
  EXPECT_THROW(net.select(net.input(), 2), UserError);
}

TEST(ProgramBuilder, OpsGiveTheShapesOfTheirRowsAndRefuseWhatDoesNotFit) {
  ProgramBuilder net({3, 4});
  const ValueId x = net.input();
  EXPECT_EQ(net.shape(net.flatten(x)), (ValueShape{1, 12}));
  EXPECT_EQ(net.shape(net.linear(x, net.matrix("W", 7, 4))), (ValueShape{3, 7}));
  EXPECT_EQ(net.shape(net.select(x, 2)), (ValueShape{1, 4}));
  EXPECT_EQ(net.shape(net.mean(x)), (ValueShape{1, 4}));
  for (const OpKind kind : kActivations) EXPECT_EQ(net.shape(net.activation(kind, x)), net.shape(x)) << name_of(kind);

  EXPECT_EQ(message_of([&] {
              net.op(OpKind::kMultiply, {x, net.mean(x)});
            }),
            "program: multiply needs values of one shape, got [3, 4] and [1, 4]");
  EXPECT_EQ(message_of([&] { net.attention(x, x, net.mean(x), 2); }),
            "program: attention needs values of one shape, got [3, 4] and [1, 4]");
  EXPECT_EQ(message_of([&] { net.attention(x, x, x, 3); }), "program: attention cannot split 4 features into 3 heads");
  EXPECT_EQ(message_of([&] { net.select(x, -1); }), "program: token -1 of a value with 3 tokens");
  EXPECT_EQ(message_of([&] { net.add(x, {}); }), "program: value -1 does not exist");
  EXPECT_EQ(message_of([&] { net.attention(x, {99}, x, 1); }), "program: value 99 does not exist");
  EXPECT_EQ(message_of([&] { net.tanh({}); }), "program: value -1 does not exist");
  EXPECT_EQ(message_of([&] { net.linear(x, {}); }), "program: parameter -1 does not exist");
  const ParameterId tokens = net.parameter("p", 3, 4, 0.1);
  EXPECT_NO_THROW(net.add_parameter(x, tokens));
  EXPECT_EQ(message_of([&] { net.bias(x, tokens); }), "program: bias cannot take p [3, 4] on a value [3, 4]");
  EXPECT_EQ(message_of([&] { net.add_parameter(net.mean(x), tokens); }),
            "program: add parameter cannot take p [3, 4] on a value [1, 4]");
}

TEST(ProgramBuilder, RefusesAnOutputWithSeveralTokens) {
  ProgramBuilder net({2, 4});
  const ValueId y = net.linear(net.input(), net.matrix("W_1", 3, 4));
  EXPECT_THROW(std::move(net).finish(y), UserError);
}

struct Count {
  const char* name;
  ModelOptions options;
  std::int64_t parameters;
};

class ParameterCount : public testing::TestWithParam<Count> {};

TEST_P(ParameterCount, IsThatOfTheEquations) {
  const Program program = make_model(GetParam().options);
  EXPECT_EQ(program.parameter_count(), GetParam().parameters);
  std::int64_t offset = 0;
  for (const Parameter& block : program.parameters()) {
    EXPECT_EQ(block.offset, offset) << block.name;
    offset += block.size();
  }
  EXPECT_EQ(offset, program.parameter_count());
  EXPECT_EQ(program.outputs(), GetParam().options.outputs);
}

ModelOptions options_of(const std::string& kind, int width, int depth) {
  ModelOptions options;
  options.kind = kind;
  options.width = width;
  options.depth = depth;
  return options;
}

std::vector<Count> counts() {
  ModelOptions biased = options_of("mlp", 8, 3);
  biased.bias = true;
  ModelOptions recurrent = options_of("rnn", 8, 2);
  recurrent.inputs = 2;
  recurrent.sequence = 3;
  ModelOptions attention = options_of("transformer", 6, 2);
  attention.inputs = 2;
  attention.sequence = 3;
  attention.heads = 2;
  attention.mlp_width = 10;
  ModelOptions gated = options_of("gated-mlp", 5, 3);
  gated.bias = true;
  ModelOptions residual = options_of("residual-mlp", 6, 2);
  residual.mlp_width = 10;
  residual.bias = true;
  return {{"residual", residual, 6 * 4 + 2 * (10 * 6 + 10 + 6 * 10 + 6) + 3 * 6 + 3},
          {"gated", gated, 2 * (5 * 4 + 5) + 2 * (5 * 5 + 5) + 3 * 5 + 3},
          {"linear", options_of("linear", 8, 4), 8 * 4 + 8 * 8 + 8 * 8 + 3 * 8},
          {"one_matrix", options_of("linear", 8, 1), 3 * 4},
          {"mlp_bias", biased, 8 * 4 + 8 + 8 * 8 + 8 + 3 * 8 + 3},
          {"rnn", recurrent, (8 * 2 + 8 * 8) + (8 * 8 + 8 * 8) + 3 * 8},
          {"transformer", attention, 6 * 2 + 3 * 6 + 2 * (4 * 6 * 6 + 2 * 6 * 10) + 3 * 6}};
}

INSTANTIATE_TEST_SUITE_P(Models, ParameterCount, testing::ValuesIn(counts()),
                         [](const auto& test) { return test.param.name; });

TEST(MakeModel, NamesKeyValueAndWhatIsAllowed) {
  const auto refused = [](auto change) {
    ModelOptions options;
    change(options);
    return message_of([&] { make_model(options); });
  };
  EXPECT_THAT(refused([](ModelOptions& o) { o.kind = "cnn"; }),
              testing::AllOf(testing::HasSubstr("model.kind"), testing::HasSubstr("cnn"), testing::HasSubstr("rnn")));
  EXPECT_THAT(refused([](ModelOptions& o) { o.width = 0; }), testing::HasSubstr("model.width = 0"));
  EXPECT_THAT(refused([](ModelOptions& o) { o.depth = 0; }), testing::HasSubstr("model.depth = 0"));
  EXPECT_THAT(refused([](ModelOptions& o) {
                o.kind = "mlp";
                o.activation = "sine";
              }),
              testing::AllOf(testing::HasSubstr("model.activation = sine"), testing::HasSubstr("| softplus | silu |")));
  EXPECT_THAT(refused([](ModelOptions& o) { o.initialisation = "xavier"; }),
              testing::AllOf(testing::HasSubstr("model.initialisation = xavier"), testing::HasSubstr("kaiming")));
  EXPECT_THAT(refused([](ModelOptions& o) {
                o.kind = "gated-mlp";
                o.readout = "mean";
              }),
              testing::HasSubstr("model.readout = mean"));
  EXPECT_THAT(refused([](ModelOptions& o) {
                o.kind = "rnn";
                o.sequence = 2;
                o.readout = "middle";
              }),
              testing::AllOf(testing::HasSubstr("model.readout = middle"), testing::HasSubstr("tokens")));
  EXPECT_THAT(refused([](ModelOptions& o) {
                o.kind = "transformer";
                o.sequence = 2;
                o.readout = "first";
              }),
              testing::AllOf(testing::HasSubstr("model.readout = first"), testing::HasSubstr("last")));
  EXPECT_THAT(refused([](ModelOptions& o) {
                o.kind = "transformer";
                o.heads = 3;
                o.sequence = 2;
              }),
              testing::HasSubstr("model.heads"));
}

TEST(ProgramBuilder, SizesBeyondInt32AreRefused) {
  constexpr int kLarge = 1 << 17;
  EXPECT_THROW(ProgramBuilder({kLarge, kLarge}), UserError);
  ProgramBuilder net({kLarge, 1});
  EXPECT_THROW(net.linear(net.input(), net.matrix("W", kLarge, 1)), UserError);
  EXPECT_THROW(net.matrix("V", kLarge, kLarge), UserError);
  EXPECT_THROW(make_model({.inputs = 1'000'000'000, .sequence = 1'000'000'000}), UserError);
}

TEST(MakeModel, ReadsOutTheTokensThatAreAskedFor) {
  for (const char* kind : {"transformer", "rnn"}) {
    ModelOptions options = options_of(kind, 6, 1);
    options.sequence = 4;
    for (const auto& [readout, outputs] :
         {std::pair{"", 3}, std::pair{"mean", 3}, std::pair{"last", 3}, std::pair{"tokens", 12}}) {
      options.readout = readout;
      EXPECT_EQ(make_model(options).outputs(), outputs) << kind << ' ' << readout;
      EXPECT_EQ(options.outputs * output_tokens(options), outputs) << kind << ' ' << readout;
    }
  }
}

TEST(ProgramBuilder, JoinsTokensOfAsManyFeatures) {
  ProgramBuilder net({3, 2});
  const ValueId joined = net.join(net.select(net.input(), 1), net.input());
  EXPECT_EQ(net.shape(joined), (ValueShape{4, 2}));
  EXPECT_THAT(message_of([&] { net.join(net.input(), net.flatten(net.input())); }),
              testing::HasSubstr("join needs tokens of as many features, got [3, 2] and [1, 6]"));
  constexpr int kMany = 1 << 30;
  ProgramBuilder large({kMany, 1});
  EXPECT_THROW(large.join(large.input(), large.input()), UserError);
}

TEST(MakeModel, KaimingWidensWhatGoesIntoActivationsOnly) {
  const auto deviations = [](ModelOptions options) {
    std::vector<double> ratios;
    options.initialisation = "kaiming";
    const Program wide = make_model(options);
    options.initialisation = "lecun";
    const Program usual = make_model(options);
    for (std::size_t i = 0; i < wide.parameters().size(); ++i) {
      const double to = wide.parameters()[i].standard_deviation;
      const double from = usual.parameters()[i].standard_deviation;
      ratios.push_back(from == to ? 1 : to * to / (from * from));
    }
    return ratios;
  };
  ModelOptions sequence = options_of("rnn", 5, 1);
  sequence.sequence = 3;
  ModelOptions attention = options_of("transformer", 6, 1);
  attention.sequence = 3;
  const auto near = [](const std::vector<double>& expected) {
    return testing::Pointwise(testing::DoubleEq(), expected);
  };
  EXPECT_THAT(deviations(options_of("mlp", 5, 3)), near({2, 2, 1}));
  EXPECT_THAT(deviations(options_of("gated-mlp", 5, 2)), near({2, 1, 1}));        // gate, linear map, readout
  EXPECT_THAT(deviations(options_of("residual-mlp", 5, 1)), near({1, 2, 1, 1}));  // W_e, W_1, W_2, W_out
  EXPECT_THAT(deviations(options_of("linear", 5, 3)), near({1, 1, 1}));
  EXPECT_THAT(deviations(sequence), near({2, 2, 1}));
  // W_e, position, W_q, W_k, W_v, W_p, W_1, W_2, W_out
  EXPECT_THAT(deviations(attention), near({1, 1, 1, 1, 1, 1, 2, 1, 1}));
}

TEST(Program, KnowsWhetherItIsSmooth) {
  ModelOptions options = options_of("mlp", 8, 2);
  EXPECT_TRUE(make_model(options).smooth());
  options.activation = "relu";
  EXPECT_FALSE(make_model(options).smooth());
}

}  // namespace
}  // namespace sharpseek
