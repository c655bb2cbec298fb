#include "engine/cuda/step_source.h"

#include <cstddef>
#include <sstream>
#include <string>

#include "engine/cuda/jobs.h"

namespace sharpseek::lanes {
namespace {

template <std::size_t n>
void write(std::ostream& out, const int (&numbers)[n]) {
  for (std::size_t i = 0; i < n; ++i) out << (i == 0 ? "{" : ", ") << numbers[i];
  out << '}';
}

std::string put(Put how) { return "Put(" + std::to_string(static_cast<int>(how)) + ")"; }

void write(std::ostream& out, const PlanOp& op) {
  // An initialiser: the numbers in the order of PlanOp's members.
  out << "    {OpKind(" << static_cast<int>(op.kind) << "), ";
  write(out, op.in);
  out << ", " << op.out << ", " << op.parameter << ", " << op.number << ", " << op.scratch << ", {" << put(op.put[0])
      << ", " << put(op.put[1]) << ", " << put(op.put[2]) << "}, " << put(op.put_parameter) << "},\n";
}

/// The plan as a constant of the class Step.
void write(std::ostream& out, const char* name, const PlanView& plan) {
  const int values = plan.output + 1;  // the output is the last one
  // A teacher may be the input itself; arrays need an element.
  out << "  static constexpr FixedPlan<" << (plan.op_count > 0 ? plan.op_count : 1) << ", " << values << "> " << name
      << "{\n   {\n";
  for (int k = 0; k < plan.op_count; ++k) write(out, plan.ops[k]);
  out << "   },\n   {\n";
  for (int i = 0; i < values; ++i) {
    const PlanValue& value = plan.values[i];
    out << "    {" << value.offset << ", " << value.tokens << ", " << value.features << "},\n";
  }
  out << "   },\n   " << plan.op_count << ", " << values << ", " << plan.output << ", " << plan.parameter_count << ", "
      << plan.size << ", " << plan.input_size << ", " << plan.outputs << "};\n";
}

}  // namespace

std::string step_source(const StepShape& shape, Threads threads) {
  const bool replica = threads == Threads::kReplica;
  // The class Step of fixed_step.h, then the kernel that runs it.
  std::ostringstream out;
  out << "#include \"engine/cuda/step_kernel.h\"\n\n"
         "SHARPSEEK_LANES_BEGIN\n\n"
         "struct Step {\n";
  write(out, "kNetwork", shape.network);
  write(out, "kTeacher", shape.teacher);
  out << "  static constexpr int kBatch = " << shape.batch
      << ";\n  static constexpr bool kPlain = " << (shape.plain ? "true" : "false")
      << ";\n  static constexpr OptimizerKind kOptimizer = OptimizerKind(" << static_cast<int>(shape.optimizer)
      << ");\n  static constexpr bool kState = " << (shape.state ? "true" : "false")
      << ";\n};\n"
         // Both compilers must see the same job.
         "static_assert(sizeof(DeviceTrainJob) == "
      << sizeof(DeviceTrainJob) << ");\n\nSHARPSEEK_LANES_END\n\n"
      << "extern \"C\" __global__ void __launch_bounds__(sharpseek::lanes::"
      << (replica ? "kReplicaThreads, sharpseek::lanes::kReplicaBlocks"
                  : "kSampleThreads, sharpseek::lanes::kSampleBlocks")
      << ")\n"
      << kStepKernel << "(const __grid_constant__ sharpseek::lanes::DeviceTrainJob job) {\n  sharpseek::lanes::"
      << (replica ? "replica_step" : "sample_step") << "<sharpseek::lanes::Step>(job);\n}\n";
  return out.str();
}

}  // namespace sharpseek::lanes
