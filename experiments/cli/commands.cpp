#include "experiments/cli/commands.h"

#include <array>
#include <span>

namespace sharpseek {
namespace {

constexpr std::array kCommands{
    Command{"run", "train an experiment and record it", command_run, true, true},
    Command{"theory", "show what theory predicts for each sweep point", command_theory, true, false},
    Command{"resume", "continue a run, sweep or reproduction that was stopped", command_resume, true, true},
    Command{"reproduce", "run all experiments of a preset and write the report", command_reproduce, true, true},
    Command{"merge", "merge the shards of a run into one file", command_merge, false, false},
    Command{"verify", "check every value of a file or folder against its checksums", command_verify, false, false},
    Command{"watch", "show how far a run is, live", command_watch, false, true},
    Command{"report", "write the report of a finished reproduction or run", command_report, false, true},
    Command{"doctor", "show what this machine has and what is used of it", command_doctor, false, false},
    Command{"measure", "measure a stored run or your own PyTorch model", command_measure, true, false},
    Command{"list", "show models, presets, quantities, options", command_list, false, false},
};

}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace sharpseek
