// `measure --module` from its files to its file, against the Hessian of a linear model.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "experiments/cli/commands.h"
#include "files/netcdf_file.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSamples = 12;
constexpr std::int64_t kInputs = 4;
constexpr std::int64_t kOutputs = 3;

/// A folder with y = W x as module.pt, and samples for it; removed in the end.
class MeasureModule : public testing::Test {
 protected:
  MeasureModule() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    at::manual_seed(4);
    inputs_ = at::randn({kSamples, kInputs}, at::kDouble);
    torch::jit::Module module("Linear");
    module.register_parameter("w", at::zeros({kOutputs, kInputs}, at::kDouble).requires_grad_(true),
                              /*is_buffer=*/false);
    module.define("def forward(self, x):\n  return x.matmul(self.w.t())\n");
    module.save(path("module.pt"));
  }
  ~MeasureModule() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// A file of samples with classes or numbers as targets.
  void write(const std::string& name, const at::Tensor& inputs, const at::Tensor& targets) const {
    files::File file(path(name), files::Storage::kChecked);
    file.define({"sample", kSamples});
    file.define({"input", kInputs});
    file.define({"output", kOutputs});
    file.variable("inputs", {"sample", "input"});
    file.write("inputs", {0, 0}, {kSamples, kInputs}, inputs.const_data_ptr<double>());
    if (targets.scalar_type() == at::kLong) {
      file.integer_variable("targets", {"sample"});
      file.write("targets", {0}, {kSamples}, targets.const_data_ptr<std::int64_t>());
    } else {
      file.variable("targets", {"sample", "output"});
      file.write("targets", {0, 0}, {kSamples, kOutputs}, targets.const_data_ptr<double>());
    }
    file.close();
  }

  int measure(const std::string& data, std::vector<std::string> more) const {
    std::vector<std::string> arguments{"--module", path("module.pt"), "--data", path(data)};
    if (std::find(more.begin(), more.end(), "--out") == more.end()) {
      arguments.insert(arguments.end(), {"--out", path("measure.h5")});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return command_measure(arguments);
  }

  /// What a run says on standard error, after the line about TorchScript, which only --quiet silences.
  std::string remark(const std::string& data, const std::vector<std::string>& more) const {
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    EXPECT_EQ(measure(data, more), 0);
    testing::internal::GetCapturedStdout();
    std::string said = testing::internal::GetCapturedStderr();
    const bool quiet = std::find(more.begin(), more.end(), "--quiet") != more.end();
    const std::size_t end = quiet ? 0 : said.find('\n') + 1;
    if (!quiet) {
      EXPECT_THAT(said.substr(0, end), testing::HasSubstr("is TorchScript, which PyTorch is retiring"));
    }
    return said.substr(end);
  }

  std::string refusal(const std::string& data, const std::vector<std::string>& more) const {
    try {
      measure(data, more);
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n")));
      EXPECT_FALSE(fs::exists(path("measure.h5")));
      return error.what();
    }
    return "(no error)";
  }

  fs::path folder_ = fs::path(testing::TempDir()) /
                     (std::string("measure-") + testing::UnitTest::GetInstance()->current_test_info()->name());
  at::Tensor inputs_;
};

TEST_F(MeasureModule, WritesLossTraceAndEigenvaluesOfSquaredErrors) {
  const at::Tensor targets = at::randn({kSamples, kOutputs}, at::kDouble);
  write("data.h5", inputs_, targets);
  testing::internal::CaptureStdout();
  const int status = measure("data.h5", {"--eigenvalues", "4"});
  const std::string table = testing::internal::GetCapturedStdout();
  ASSERT_EQ(status, 0);
  EXPECT_THAT(table, testing::AllOf(testing::HasSubstr("loss "), testing::HasSubstr("eigenvalues "),
                                    testing::HasSubstr("0 results not converged")));

  // Hessian 2/N X'X for every output: each of its eigenvalues three times.
  const at::Tensor moment = inputs_.t().matmul(inputs_) * (2.0 / kSamples);
  const at::Tensor own = at::linalg_eigvalsh(moment);
  files::File file = files::File::open(path("measure.h5"));
  EXPECT_NEAR(file.numbers("loss").front(), targets.square().sum(1).mean().item<double>(), 1e-12);
  EXPECT_NEAR(file.numbers("trace").front(), 3 * own.sum().item<double>(), 1e-10);
  const std::vector<double> found = file.numbers("eigenvalues");
  ASSERT_EQ(found.size(), 4u);
  for (int k = 0; k < 3; ++k) EXPECT_NEAR(found[static_cast<std::size_t>(k)], own[3].item<double>(), 1e-9);
  EXPECT_NEAR(found[3], own[2].item<double>(), 1e-9);
  EXPECT_EQ(file.text_attribute("/", "module"), path("module.pt"));
  EXPECT_EQ(file.text_attribute("/", "samples"), std::to_string(kSamples));
  EXPECT_EQ(file.text_attribute("/", "parameters"), std::to_string(kInputs * kOutputs));
  EXPECT_EQ(file.texts("layer"), std::vector<std::string>{"w"});
}

TEST_F(MeasureModule, TakesClassesForCrossEntropy) {
  write("data.h5", inputs_, at::arange(kSamples, at::kLong).remainder(kOutputs));
  ASSERT_EQ(measure("data.h5", {"--loss", "cross-entropy", "--quiet"}), 0);
  files::File file = files::File::open(path("measure.h5"));
  EXPECT_NEAR(file.numbers("loss").front(), std::log(3.0), 1e-12);  // of equal probabilities
  // Hessian (I/3 - 1/9) kron X'X/N, whose first factor has trace 2/3.
  EXPECT_NEAR(file.numbers("trace").front(), 2.0 / 3 * inputs_.square().sum().item<double>() / kSamples, 1e-10);
}

TEST_F(MeasureModule, TakesBooleansAsInputsTargetsAndClasses) {
  const at::Tensor flags = inputs_ > 0;
  const at::Tensor answers = at::arange(kSamples, at::kLong).remainder(3) == 1;
  const auto write_flags = [&](const std::string& name, const at::Tensor& inputs, const at::Tensor& targets) {
    using files::Handle;
    const Handle file(H5Fcreate(path(name).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
    const Handle type(H5Tenum_create(H5T_STD_I8LE), H5Tclose);  // as h5py writes NumPy's bool
    for (const auto& [label, value] : {std::pair<const char*, std::int8_t>{"FALSE", 0}, {"TRUE", 1}}) {
      H5Tenum_insert(type, label, &value);
    }
    for (const auto& [label, values] : {std::pair{"inputs", inputs}, std::pair{"targets", targets}}) {
      const std::vector<hsize_t> shape(values.sizes().begin(), values.sizes().end());
      const Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose);
      const Handle made(H5Dcreate2(file, label, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose);
      const at::Tensor bytes = values.to(at::kChar).contiguous();
      H5Dwrite(made, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.const_data_ptr());
    }
  };
  const double squares = flags.sum().item<double>() / kSamples;
  write_flags("targets.h5", flags, answers.unsqueeze(1).expand({kSamples, kOutputs}));
  ASSERT_EQ(measure("targets.h5", {"--quiet"}), 0);
  {
    files::File file = files::File::open(path("measure.h5"));
    EXPECT_NEAR(file.numbers("loss").front(), answers.sum().item<double>() * kOutputs / kSamples, 1e-12);
    EXPECT_NEAR(file.numbers("trace").front(), 2.0 * kOutputs * squares, 1e-10);
  }
  fs::remove(path("measure.h5"));
  write_flags("classes.h5", flags, answers);
  ASSERT_EQ(measure("classes.h5", {"--loss", "cross-entropy", "--quiet"}), 0);
  files::File file = files::File::open(path("measure.h5"));
  EXPECT_NEAR(file.numbers("loss").front(), std::log(3.0), 1e-12);
  EXPECT_NEAR(file.numbers("trace").front(), 2.0 / 3 * squares, 1e-10);
}

TEST_F(MeasureModule, PrintsJson) {
  write("data.h5", inputs_, at::zeros({kSamples, kOutputs}, at::kDouble));
  testing::internal::CaptureStdout();
  const int status = measure("data.h5", {"--format", "json"});
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_EQ(status, 0);
  EXPECT_THAT(text, testing::AllOf(testing::StartsWith("{"), testing::HasSubstr("\"trace\"")));
}

TEST_F(MeasureModule, ResultsThatAreNotFiniteAreCountedAndGiveStatusThree) {
  // With zero weights and targets every gradient is 0: the ratios of batch sharpness are 0 / 0.
  write("data.h5", inputs_, at::zeros({kSamples, kOutputs}, at::kDouble));
  testing::internal::CaptureStdout();
  EXPECT_EQ(measure("data.h5", {"--quantities", "batch_sharpness"}), 3);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), testing::HasSubstr(" 6 results not converged or not finite"));
}

TEST_F(MeasureModule, TheModulesPrecisionIsTheDefault) {
  const at::Tensor targets = at::randn({kSamples, kOutputs}, at::kDouble);
  write("data.h5", inputs_, targets);
  EXPECT_EQ(remark("data.h5", {}), "");
  EXPECT_EQ(files::File::open(path("measure.h5")).text_attribute("/", "engine"), "autograd cpu float64");
  EXPECT_EQ(files::File::open(path("measure.h5")).numbers("loss").front(),
            targets.square().sum(1).mean().item<double>());

  torch::jit::Module single("Linear");
  single.register_parameter("w", at::zeros({kOutputs, kInputs}, at::kFloat).requires_grad_(true), /*is_buffer=*/false);
  single.define("def forward(self, x):\n  return x.matmul(self.w.t())\n");
  single.save(path("module.pt"));
  fs::remove(path("measure.h5"));
  EXPECT_THAT(remark("data.h5", {}),
              testing::AllOf(testing::HasSubstr("data.h5: float64 numbers are rounded to float32"),
                             testing::EndsWith("remark\n")));
  EXPECT_EQ(files::File::open(path("measure.h5")).text_attribute("/", "engine"), "autograd cpu float32");
  for (const std::vector<std::string>& silent :
       {std::vector<std::string>{"--quiet"}, {"--dtype", "float32"}, {"--dtype", "float64"}}) {
    fs::remove(path("measure.h5"));
    EXPECT_EQ(remark("data.h5", silent), "");
  }
  // Numbers that float32 holds lose nothing.
  write("exact.h5", inputs_.to(at::kFloat).to(at::kDouble), at::ones({kSamples, kOutputs}, at::kDouble));
  fs::remove(path("measure.h5"));
  EXPECT_EQ(remark("exact.h5", {}), "");
}

TEST_F(MeasureModule, ThePlaceOfTheResultIsLookedAtBeforeTheWork) {
  write("data.h5", inputs_, at::zeros({kSamples, kOutputs}, at::kDouble));
  // The folder is made, and removed again where nothing comes of it.
  const std::string below = path("new/folder/measure.h5");
  EXPECT_THAT(refusal("missing.h5", {"--out", below}), testing::HasSubstr("missing.h5"));
  EXPECT_FALSE(fs::exists(path("new")));
  fs::create_directory(path("mine"));  // one that was there stays
  EXPECT_THAT(refusal("missing.h5", {"--out", path("mine/measure.h5")}), testing::HasSubstr("missing.h5"));
  EXPECT_TRUE(fs::exists(path("mine")));
  EXPECT_EQ(measure("data.h5", {"--quiet", "--out", below}), 0);
  EXPECT_TRUE(fs::exists(below));
  EXPECT_FALSE(fs::exists(below + ".new"));
  // Said although the data are missing, too: it comes first.
  EXPECT_THAT(refusal("missing.h5", {"--out", path("data.h5/measure.h5")}), testing::HasSubstr("data.h5"));
  EXPECT_THAT(refusal("missing.h5", {"--out", path("new")}), testing::HasSubstr("exists already"));
  EXPECT_THAT(refusal("missing.h5", {"--out", path("other/")}), testing::HasSubstr("must be a file"));
  EXPECT_FALSE(fs::exists(path("other")));
  EXPECT_THAT(refusal("missing.h5", {"--out", path(std::string(300, 'x'))}), testing::HasSubstr("cannot be created"));
}

TEST_F(MeasureModule, RefusalsNameTheOptionOrFile) {
  write("data.h5", inputs_, at::zeros({kSamples, kOutputs}, at::kDouble));
  at::Tensor broken = inputs_.clone();
  broken[3][1] = std::numeric_limits<double>::quiet_NaN();
  write("broken.h5", broken, at::zeros({kSamples, kOutputs}, at::kDouble));
  EXPECT_THAT(refusal("data.h5", {"--loss", "hinge"}), testing::HasSubstr("--loss hinge: must be mse | cross-entropy"));
  EXPECT_THAT(refusal("data.h5", {"--dtype", "bfloat16"}), testing::HasSubstr("--dtype"));
  EXPECT_THAT(refusal("data.h5", {"--quantities", "balance"}), testing::HasSubstr("--quantities balance: needs a run"));
  EXPECT_THAT(refusal("data.h5", {"--loss", "cross-entropy"}),
              testing::AllOf(testing::HasSubstr("data.h5"), testing::HasSubstr("sums to 0")));
  write("classes.h5", inputs_, at::arange(kSamples, at::kLong));
  EXPECT_THAT(refusal("classes.h5", {"--loss", "cross-entropy"}),
              testing::HasSubstr("targets are from 0 to 11: must be classes from 0 to 2"));
  EXPECT_THAT(refusal("broken.h5", {}),
              testing::HasSubstr("inputs holds a number that is not finite: inputs[3, 1] is nan"));
}

}  // namespace
}  // namespace sharpseek
