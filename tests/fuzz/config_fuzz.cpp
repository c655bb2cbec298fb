// Any text as a configuration: it is either resolved, with every part's options readable, or refused by UserError in
// one line. Nothing else may happen.
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "experiments/config.h"
#include "experiments/sweep.h"

namespace {

void resolve(const std::string& text) {
  const sharpseek::Config config(text, "fuzz.ini");
  // A sweep of a million replicas is legal; expanding it here would only cost memory.
  std::size_t points = 1;
  for (const auto& [section, keys] : config.json().items()) {
    for (const auto& [key, value] : keys.items()) points *= value.is_array() ? value.size() : 1;
  }
  if (points > 64 || config.single("experiment.replicas").size() > 2) return;
  for (const sharpseek::Group& group : sharpseek::expand(config)) {
    for (const sharpseek::Replica& replica : group.replicas) {
      replica.point.task();
      replica.point.noise();
      replica.point.model();
      replica.point.initialisation();
      replica.point.optimizer();
      replica.point.probe();
      replica.point.steps();
      replica.point.every();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    resolve(text);
  } catch (const sharpseek::UserError& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();  // one line
  }
  return 0;
}
