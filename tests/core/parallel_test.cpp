#include "core/parallel.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace sharpseek {
namespace {

TEST(ThreadPool, CallsEveryIndexOnceInEveryRound) {
  for (int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (std::int64_t count : {0, 1, 3, 1000}) {
      for (int round = 0; round < 50; ++round) {
        std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
        pool.run(count, [&](std::int64_t i) { ++calls[static_cast<std::size_t>(i)]; });
        for (const auto& c : calls) ASSERT_EQ(c.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, TasksMayWaitForEarlierOnes) {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> done(200);
  pool.run(200, [&](std::int64_t i) {
    if (i >= 2) done[static_cast<std::size_t>(i - 2)].wait(0);
    done[static_cast<std::size_t>(i)] = 1;
    done[static_cast<std::size_t>(i)].notify_all();
  });
  EXPECT_EQ(std::accumulate(done.begin(), done.end(), 0, [](int sum, const auto& d) { return sum + d.load(); }), 200);
}

}  // namespace
}  // namespace sharpseek
