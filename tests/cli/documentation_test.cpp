#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "core/error.h"
#include "experiments/config/option_table.h"

namespace sharpseek {
namespace {

/// The row of docs/configuration.md that this option must have.
std::string row(const ConfigOption& option) {
  const char* sweep = option.sweep == SweepKind::kSingle    ? "no"
                      : option.sweep == SweepKind::kReplica ? "replicas"
                                                            : "groups";
  std::string help(option.help);
  for (std::size_t at = help.find('|'); at != std::string::npos; at = help.find('|', at + 2)) help.insert(at, "\\");
  const std::string value = option.default_value.empty() ? "" : concat("`", option.default_value, "`");
  return concat("| `", option.name(), "` | ", value, " | ", sweep, " | ", help, " |");
}

TEST(Documentation, ListsEveryConfigurationKeyAsTheTableHasIt) {
  std::ifstream in(SHARPSEEK_TEST_DATA "/../../docs/configuration.md");
  std::stringstream text;
  text << in.rdbuf();
  for (const ConfigOption& option : option_table()) {
    EXPECT_NE(text.str().find(row(option)), std::string::npos) << "missing in docs/configuration.md:\n" << row(option);
  }
}

}  // namespace
}  // namespace sharpseek
