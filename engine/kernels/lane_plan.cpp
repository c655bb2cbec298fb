#include "engine/kernels/lane_plan.h"

#include "core/error.h"

namespace sharpseek::lanes {
namespace {

Network network_of(const Program& program) {
  SHARPSEEK_ASSERT(program.parameter_count() < (std::int64_t{1} << 31));
  Network network{program.ops(), program.values(), {}, static_cast<int>(program.parameter_count())};
  for (const Parameter& block : program.parameters()) network.parameters.push_back(static_cast<int>(block.offset));
  return network;
}

}  // namespace

LanePlan::LanePlan(const Program& program) : plan_(PlanCompiler(network_of(program)).compile()) {}

PlanView LanePlan::view() const {
  const PlanValue& input = plan_.values.front();
  return {plan_.ops.data(),
          plan_.values.data(),
          static_cast<int>(plan_.ops.size()),
          plan_.output,
          plan_.parameter_count,
          plan_.size,
          input.tokens * input.features,
          plan_.values[static_cast<std::size_t>(plan_.output)].features};
}

}  // namespace sharpseek::lanes
