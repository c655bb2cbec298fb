#include "experiments/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "core/error.h"

namespace sharpseek {
using std::chrono::steady_clock;

std::string duration_text(double seconds) {
  char text[32];
  if (seconds < 100) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (seconds < 6000) {
    std::snprintf(text, sizeof text, "%d min %02d s", int(seconds) / 60, int(seconds) % 60);
  } else {
    std::snprintf(text, sizeof text, "%d h %02d min", int(seconds / 3600), int(seconds) / 60 % 60);
  }
  return text;
}

std::string rate_text(double rate) {
  char text[32];
  if (rate >= 1e6) {
    std::snprintf(text, sizeof text, "%.2f M", rate / 1e6);
  } else if (rate >= 1e3) {
    std::snprintf(text, sizeof text, "%.1f k", rate / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.1f ", rate);
  }
  return text;
}

namespace {

class TerminalProgress final : public Progress {
 public:
  TerminalProgress(std::string what, std::int64_t total, std::string unit);
  ~TerminalProgress() override;
  TerminalProgress(const TerminalProgress&) = delete;
  TerminalProgress& operator=(const TerminalProgress&) = delete;

  void update(std::int64_t done) override;
  void finish() override;

 private:
  void draw(std::int64_t done, bool last);

  std::string what_;
  std::int64_t total_;
  std::string unit_;
  bool terminal_;
  bool colour_;
  bool finished_ = false;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point next_;
};

TerminalProgress::TerminalProgress(std::string what, std::int64_t total, std::string unit)
    : what_(std::move(what)),
      total_(std::max<std::int64_t>(1, total)),
      unit_(std::move(unit)),
      terminal_(isatty(STDERR_FILENO) == 1),
      colour_(std::getenv("NO_COLOR") == nullptr),
      start_(steady_clock::now()),
      next_(start_ + (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10))) {}

TerminalProgress::~TerminalProgress() {
  if (drawn_ && !finished_ && terminal_) std::fputc('\n', stderr);
}

void TerminalProgress::update(std::int64_t done) {
  const auto now = steady_clock::now();
  if (now < next_) return;
  next_ = now + (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(10));
  draw(done, false);
}

void TerminalProgress::finish() {
  draw(total_, true);
  finished_ = true;
}

void TerminalProgress::draw(std::int64_t done, bool last) {
  const double elapsed = std::chrono::duration<double>(steady_clock::now() - start_).count();
  const double share = std::clamp(double(done) / double(total_), 0.0, 1.0);
  const std::string rate = rate_text(double(done) / std::max(elapsed, 1e-9)) + unit_ + "/s";
  const std::string tail =
      last ? "in " + duration_text(elapsed) : duration_text(elapsed * (1 - share) / std::max(share, 1e-9)) + " left";
  if (!terminal_) {
    std::fprintf(stderr, "%s: %3.0f %%, %s, %s\n", what_.c_str(), 100 * share, rate.c_str(), tail.c_str());
    return;
  }
  constexpr int kWidth = 30;
  const auto filled = static_cast<std::size_t>(share * kWidth);
  const std::string bar = std::string(filled, '=') + std::string(kWidth - filled, ' ');
  std::fprintf(stderr, "\r\033[K%s%s%s [%s] %3.0f %%  %s  %s", colour_ ? "\033[1m" : "", what_.c_str(),
               colour_ ? "\033[0m" : "", bar.c_str(), 100 * share, rate.c_str(), tail.c_str());
  if (last) std::fputc('\n', stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace

std::unique_ptr<Progress> terminal_progress(const std::string& what, std::int64_t total, const std::string& unit) {
  return std::make_unique<TerminalProgress>(what, total, unit);
}

}  // namespace sharpseek
