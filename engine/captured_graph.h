#pragma once

namespace sharpseek {

/// Work on a device that was recorded once and runs again at the cost of one launch.
class CapturedGraph {
 public:
  virtual ~CapturedGraph() = default;
  virtual void replay() = 0;
};

}  // namespace sharpseek
