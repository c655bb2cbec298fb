#include "core/machine.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <string>

namespace sharpseek {
namespace {

TEST(AvailableThreads, IsAtMostTheAffinity) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_GE(available_threads(), 1);
  EXPECT_LE(available_threads(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(available_threads(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

TEST(AvailableThreads, HonoursOpenMPsNumber) {
  const char* before = std::getenv("OMP_NUM_THREADS");
  const std::string kept = before != nullptr ? before : "";
  setenv("OMP_NUM_THREADS", "1", 1);
  EXPECT_EQ(available_threads(), 1);
  setenv("OMP_NUM_THREADS", "not a number", 1);
  EXPECT_GE(available_threads(), 1);
  if (before != nullptr) {
    setenv("OMP_NUM_THREADS", kept.c_str(), 1);
  } else {
    unsetenv("OMP_NUM_THREADS");
  }
}

TEST(QuotaThreads, RoundsUpAndKnowsNoLimit) {
  EXPECT_EQ(detail::quota_threads("200000 100000"), 2);
  EXPECT_EQ(detail::quota_threads("150000 100000"), 2);
  EXPECT_EQ(detail::quota_threads("50000 100000"), 1);
  EXPECT_EQ(detail::quota_threads("max 100000"), 0);
  EXPECT_EQ(detail::quota_threads(""), 0);
}

TEST(AvailableMemory, IsWhatAMachineCanHave) {
  EXPECT_GT(available_memory(), std::int64_t{1} << 20);
  EXPECT_LT(available_memory(), std::int64_t{1} << 50);
}

}  // namespace
}  // namespace sharpseek
