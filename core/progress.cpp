#include "core/progress.h"

#include <cstdint>
#include <memory>
#include <string>

namespace sharpseek {
namespace {

class Silence final : public Progress {
 public:
  void update(std::int64_t) override {}
  void finish() override {}
};

}  // namespace

std::unique_ptr<Progress> no_progress(const std::string&, std::int64_t, const std::string&) {
  return std::make_unique<Silence>();
}

}  // namespace sharpseek
