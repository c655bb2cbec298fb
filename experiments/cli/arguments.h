#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/config/config.h"
#include "experiments/config/sweep.h"
#include "experiments/run/options.h"

namespace sharpseek {

/// Exit statuses (design: 0 ok, 1 anything else).
inline constexpr int kExitError = 1;
inline constexpr int kExitUser = 2;
inline constexpr int kExitDiverged = 3;
inline constexpr int kExitInterrupted = 75;  ///< EX_TEMPFAIL: resumable

/// Parsed arguments of a command with its help.
class Arguments {
 public:
  /// `usage` and `examples` frame the help; `positional` names an argument without a flag (empty: none allowed). Prints
  /// help and sets done() when --help is among the arguments. Throws UserError for what does not parse.
  Arguments(const std::vector<std::string>& arguments, boost::program_options::options_description options,
            const std::string& usage, const std::string& examples, const std::string& positional = "");

  bool done() const { return done_; }
  bool has(const std::string& name) const { return values_.count(name) > 0; }
  /// Whether it stands on the command line, where has() is also true of a default.
  bool given(const std::string& name) const { return has(name) && !values_[name].defaulted(); }
  template <class T>
  const T& get(const std::string& name) const {
    return values_[name].as<T>();
  }
  /// A required positional or flag. Throws UserError if it is missing.
  const std::string& required(const std::string& name) const;

 private:
  std::string usage_;
  bool done_ = false;
  boost::program_options::variables_map values_;
};

/// --set, and --engine --device --dtype --isa --threads, shared by commands.
void add_set_option(boost::program_options::options_description& options);
void add_engine_options(boost::program_options::options_description& options);
void add_format_option(boost::program_options::options_description& options);
/// What of the engine the user has chosen. Throws UserError where the device cannot be used.
EngineChoice engine_choice(const Arguments& arguments);
/// --checkpoint-every, which goes with --quiet and the engine into RunOptions.
void add_checkpoint_option(boost::program_options::options_description& options);
RunOptions run_options(const Arguments& arguments);
/// Says how a run ended, on standard output as a line or, with json, as an object; returns the exit status.
int report_summary(const RunSummary& summary, const std::string& directory, bool quiet, bool json);
/// --shard; without it the shard that a scheduler gives this process (experiments/config/shard.h), said on standard
/// error unless quiet. Throws UserError unless it is a part of what the result folder `directory` holds
/// (experiments/run/shard_folders.h).
void add_shard_option(boost::program_options::options_description& options);
Shard shard_option(const Arguments& arguments, const std::filesystem::path& directory);
/// Whether --format is json. Throws UserError unless it is table or json; `others` are what else a command takes.
bool wants_json(const Arguments& arguments, std::string_view others = "");
/// The file CONFIG with every --set applied.
Config config_of(const Arguments& arguments);
void apply_sets(const Arguments& arguments, Config& config);

}  // namespace sharpseek
