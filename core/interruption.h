#pragma once

#include <functional>

namespace sharpseek {

/// Asked now and then by long work: whether to stop at the next place where nothing is lost.
using Interruption = std::function<bool()>;

/// The answer of those who are never in a hurry.
inline bool never_interrupted() { return false; }

}  // namespace sharpseek
