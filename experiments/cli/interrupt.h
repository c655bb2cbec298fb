#pragma once

namespace sharpseek {

/// True after SIGINT, SIGTERM and SIGUSR1 (a scheduler's warning) once catch_interrupts() has been called; a second
/// signal kills at once.
bool interrupted();
void catch_interrupts();

}  // namespace sharpseek
