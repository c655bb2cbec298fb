#include "experiments/run/conventions.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "files/netcdf_file.h"

namespace sharpseek {
namespace {

constexpr std::string_view kMean = "_mean";

/// What the errors of a variable may be called, without their ends.
std::vector<std::string> stems(const std::string& name) {
  std::vector<std::string> found{name};
  if (name.ends_with('s')) found.push_back(name.substr(0, name.size() - 1));
  // gauss_newton_eigenvalues has gauss_newton_residuals.
  if (name.ends_with("_eigenvalues")) found.push_back(name.substr(0, name.rfind('_')));
  return found;
}

std::string errors_of(const std::string& name, const std::set<std::string>& known) {
  std::string found;
  const auto add = [&](const std::string& companion) {
    if (known.contains(companion)) found += (found.empty() ? "" : " ") + companion;
  };
  for (const std::string& stem : stems(name)) {
    for (const char* end : {"_error", "_residual", "_residuals", "_half_width"}) add(stem + end);
  }
  if (name.ends_with(kMean)) add(name.substr(0, name.size() - kMean.size()) + "_standard_error");
  return found;
}

}  // namespace

void write_conventions(files::File& file) {
  if (!file.has_attribute("/", "Conventions")) file.attribute("/", "Conventions", "CF-1.11");
  std::set<std::string> known;
  for (const files::VariableInfo& info : file.variables()) known.insert(info.name);
  for (const std::string& name : known) {
    if (file.has_attribute(name, "ancillary_variables")) continue;
    const std::string errors = errors_of(name, known);
    if (!errors.empty()) file.attribute(name, "ancillary_variables", errors);
  }
}

}  // namespace sharpseek
