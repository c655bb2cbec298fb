#include "core/error.h"

namespace sharpseek::detail {

void assertion_failed(const char* condition, const char* file, int line) {
  throw InternalError(concat("broken invariant: ", condition, " at ", file, ":", line));
}

}  // namespace sharpseek::detail
