#pragma once

#include <string>
#include <vector>

#include "files/column.h"

namespace sharpseek {

/// A predicted trajectory of every replica: a variable [replica, time].
struct PathColumn {
  std::string name;
  std::vector<double> values;  ///< row-major
  std::string units;
  std::string definition;
};

/// What a theory predicts for the replicas of a group, ready to be written next to what they did.
struct Predicted {
  std::vector<files::Column> replicas;  ///< each [replica]
  std::vector<PathColumn> paths;        ///< each [replica, time]
};

}  // namespace sharpseek
