#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sharpseek {

/// Threads that wait for work, so that a call costs microseconds. One call at a time; what is shared by whom is the
/// caller's affair, and no result may depend on how many threads there are.
class ThreadPool {
 public:
  /// `threads` >= 1 including the calling one; 0: as many as this process may use.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(0) .. body(count - 1), each once, on all threads in about this order; returns when all are done. body
  /// must not throw.
  void run(std::int64_t count, const std::function<void(std::int64_t)>& body);

 private:
  void work();
  void drain();

  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable finished_;
  std::uint64_t round_ = 0;  ///< of work; workers wait for it to change
  int busy_ = 0;             ///< workers not yet done with this round
  bool stop_ = false;
  const std::function<void(std::int64_t)>* body_ = nullptr;
  std::int64_t count_ = 0;
  std::atomic<std::int64_t> next_{0};
  std::vector<std::jthread> workers_;  ///< last: joined before what they use is gone
};

}  // namespace sharpseek
