#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/config.h"

namespace sharpseek {

/// One replica: a sweep point, one of its seeds, and the key of its random numbers.
struct Replica {
  Point point;
  std::int64_t seed = 0;  ///< 0 .. experiment.replicas - 1
  std::uint64_t key = 0;
};

/// Replicas that train in one launch: same shapes, data, batch and steps.
struct Group {
  std::string name;               ///< "depth=2,width=8" of the axes that tell groups apart; empty if there is one group
  std::vector<Replica> replicas;  ///< sweep points in the order of the file, seeds innermost
  const Point& point() const { return replicas.front().point; }
};

/// Swept keys that differ between replicas of a group, in the order of the option table.
std::vector<std::string> replica_axes(const Config& config);

/// The product of all sweep axes times the seeds, split into groups. An axis of the table's kind kGroup always makes
/// groups; a swept learning rate does so when training.time fixes the rescaled time, because step counts then differ.
std::vector<Group> expand(const Config& config);

/// The random-number key of a replica: a 64-bit hash of its data, noise and model settings, learning rate, batch and
/// seed, and of nothing else. It does not depend on position, on the other values of an axis, on the run's length or on
/// what is measured.
std::uint64_t replica_key(const Point& point, std::int64_t seed);

}  // namespace sharpseek
