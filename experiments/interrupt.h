#pragma once

#include <atomic>

namespace sharpseek {

/// Set by SIGINT, SIGTERM and SIGUSR1 (a scheduler's warning) once catch_interrupts() has been called; a second signal
/// kills at once.
const std::atomic<bool>& interrupted();
void catch_interrupts();

}  // namespace sharpseek
