#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/run/recording.h"
#include "experiments/run/verify.h"

namespace sharpseek {
namespace {

constexpr const char* kVerifyExamples =
    "  sharpseek verify out/sweep/run.h5\n"
    "  sharpseek verify out/quick            # every run.h5 and recording in and below a folder\n";

}  // namespace

int command_verify(const std::vector<std::string>& arguments) {
  namespace fs = std::filesystem;
  boost::program_options::options_description options("options");
  add_format_option(options);
  const Arguments parsed(arguments, options, "verify FILE|DIR [options]", kVerifyExamples, "FILE");
  if (parsed.done()) return 0;
  const fs::path path = parsed.required("FILE");
  const bool json = wants_json(parsed);
  std::vector<fs::path> files{path};
  if (fs::is_directory(path)) {
    files = run_files(path);
    const std::vector<fs::path> others = recordings(path);
    files.insert(files.end(), others.begin(), others.end());
  }
  require(!files.empty(), path.string(), ": holds no run.h5 and no recording");
  nlohmann::json results = nlohmann::json::array();
  for (const fs::path& file : files) {
    const Verified verified = verify_file(file);
    results.push_back({{"file", file.string()},
                       {"finished", verified.finished},
                       {"replicas", verified.replicas},
                       {"records", verified.records},
                       {"variables", verified.variables}});
    if (!json && !parsed.has("quiet")) {
      std::cout << file.string() << ": " << (verified.finished ? "finished" : "not finished") << ", "
                << verified.replicas << " replicas, " << verified.records << " records, " << verified.variables
                << " variables: every value as it was written\n";
    }
  }
  if (json) std::cout << nlohmann::json{{"files", results}}.dump(2) << '\n';
  return 0;
}

}  // namespace sharpseek
