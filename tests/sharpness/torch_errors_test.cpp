// What LibTorch throws, as one line.
#include "sharpness/torch_errors.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

std::string reason(const std::string& text) { return torch_reason(std::runtime_error(text)); }

TEST(TorchReason, IsTheFirstSentenceWithoutFrames) {
  EXPECT_EQ(reason("Sizes do not match. Please see the documentation of cat.\nException raised from f at g.cpp:1"),
            "Sizes do not match");
  EXPECT_EQ(reason("\n  shape '[20, -1]' is invalid for input of size 4\nframe #0: c10::Error"),
            "shape '[20, -1]' is invalid for input of size 4");
  EXPECT_EQ(reason(""), "LibTorch gives no reason");
  EXPECT_LT(reason(std::string(5000, 'x')).size(), 310U);
}

TEST(TorchReason, OfTheInterpreterFollowsItsTraceback) {
  EXPECT_EQ(reason("The following operation failed in the TorchScript interpreter.\n"
                   "Traceback of TorchScript, serialized code (most recent call last):\n"
                   "  File \"code/__torch__.py\", line 7, in forward\n    return torch.add(x, y)\n"
                   "           ~~~~~~~~~ <--- HERE\n\n"
                   "Traceback of TorchScript, original code (most recent call last):\n    return x + y\n"
                   "           ~~~~~ <--- HERE\n    y = 2\n  \n/home/me/net.py(12): forward\nRuntimeError: The size of "
                   "tensor a (4) must match (5)\n"),
            "The size of tensor a (4) must match (5)");
}

TEST(TorchReason, OfTheCompilerPrecedesTheSource) {
  EXPECT_THAT(
      reason("\nUnknown builtin op: lab::op.\nCould not find any similar ops to lab::op:\n  File \"x.py\", line 3\n"
             "    y = ops.lab.op(x)\n        ~~~~~~~~~~ <--- HERE\n"),
      testing::StartsWith("Unknown builtin op: lab::op"));
}

TEST(TorchReason, OfMemoryThatIsMissingSaysWhatTakesLess) {
  EXPECT_THAT(
      reason("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
             "to allocate 8000000000000 bytes. Error code 12 (Cannot allocate memory)"),
      testing::AllOf(testing::StartsWith("DefaultCPUAllocator"), testing::HasSubstr("--chunk")));
  EXPECT_THAT(torch_reason(std::bad_alloc()), testing::HasSubstr("--chunk"));
}

TEST(OutOfMemory, IsSeenOfWhoeverThrowsIt) {
  const auto seen = [](const auto& body) {
    try {
      body();
    } catch (const std::exception& error) {
      return is_out_of_memory(error);
    }
    return false;
  };
  EXPECT_TRUE(seen([] { at::empty({std::int64_t{1} << 50}, at::kDouble); }));
  EXPECT_TRUE(seen([] { throw std::bad_alloc(); }));
  EXPECT_TRUE(seen([] { TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory"); }));
  EXPECT_FALSE(seen([] { TORCH_CHECK(false, "sizes do not match"); }));
  EXPECT_FALSE(seen([] { throw std::runtime_error("can't allocate memory"); }));
}

TEST(TorchReason, BecomesAUserErrorButOurOwnErrorsPass) {
  const auto thrown = [](const auto& body) {
    try {
      with_torch_errors("--module m.pt", body);
    } catch (const UserError& error) {
      return std::string(error.what());
    } catch (const InternalError&) {
      return std::string("internal");
    }
    return std::string("nothing");
  };
  EXPECT_EQ(thrown([] { TORCH_CHECK(false, "no such kernel. Try another."); }), "--module m.pt: no such kernel");
  EXPECT_EQ(thrown([] { throw std::out_of_range("slot"); }), "--module m.pt: slot");
  EXPECT_EQ(thrown([] { throw UserError("mine"); }), "mine");
  EXPECT_EQ(thrown([] { throw InternalError("bug"); }), "internal");
  EXPECT_EQ(thrown([] {}), "nothing");
}

TEST(TorchWarnings, AreKeptOffStandardErrorAndCounted) {
  testing::internal::CaptureStderr();
  {
    TorchWarnings warnings;
    for (int i = 0; i < 3; ++i) TORCH_WARN("std(): degrees of freedom is 0. Correction should be less.");
    TORCH_WARN("another");
    EXPECT_EQ(warnings.lines(1), std::vector<std::string>{"std(): degrees of freedom is 0 (3 times)"});
    EXPECT_EQ(warnings.lines(9).size(), 2U);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace sharpseek
