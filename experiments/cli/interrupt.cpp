#include "experiments/cli/interrupt.h"

#include <atomic>
#include <csignal>

namespace sharpseek {
namespace {

std::atomic<bool> flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int number) {
  flag.store(true, std::memory_order_relaxed);
  std::signal(number, SIG_DFL);
}

}  // namespace

bool interrupted() { return flag.load(std::memory_order_relaxed); }

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGUSR1, on_signal);
}

}  // namespace sharpseek
