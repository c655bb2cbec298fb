#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace sharpseek {

/// A caller's mistake: one line that names what was wrong, where, the value and what is allowed. The command line
/// prints it and exits with 2.
class UserError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A broken invariant of our own: a bug to report, never the caller's fault. The command line exits with 1.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// The parts written one after another, as by operator<<.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return std::move(text).str();
}

/// Throws UserError with the concatenated message unless `condition` holds.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw UserError(concat(parts...));
}

namespace detail {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}  // namespace detail

}  // namespace sharpseek

/// States an invariant; throws InternalError with the condition and its place when it does not hold. Always compiled.
#define SHARPSEEK_ASSERT(condition)                                                          \
  do {                                                                                       \
    if (!(condition)) ::sharpseek::detail::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
