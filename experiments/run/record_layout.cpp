#include "experiments/run/record_layout.h"

#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

std::int64_t parameter_count(const std::vector<Parameter>& blocks) {
  std::int64_t count = 0;
  for (const Parameter& block : blocks) count += block.size();
  return count;
}

}  // namespace

files::Dimension RecordLayout::dimension(std::string_view name) const {
  if (name == "eigen") return {"eigen", static_cast<hsize_t>(eigenvalues)};
  if (name == "layer") return {"layer", parameters.size()};
  if (name == "grid") return {"grid", static_cast<hsize_t>(kDensityPoints)};
  if (name == "balance") return {"balance", balances.size()};
  if (name == "parameter") return {"parameter", static_cast<hsize_t>(parameter_count(parameters))};
  SHARPSEEK_ASSERT(name.empty());
  return {"", 1};
}

std::string block_shapes(const std::vector<Parameter>& parameters) {
  std::string shapes;
  for (const Parameter& block : parameters) {
    shapes += concat(shapes.empty() ? "" : " ", block.name, "[", block.rows, ",", block.columns, "]");
  }
  return shapes;
}

std::vector<Series> series_of(const RecordLayout& layout) {
  std::vector<Series> series{{"rescaled_time", 1, false}};
  for (const Variable& variable : layout.variables) {
    const files::Dimension extra = layout.dimension(variable.dimension);
    series.push_back({std::string(variable.name), extra.size, !extra.name.empty()});
  }
  series.push_back({"train_loss", 1, false});
  if (layout.keep_parameters) series.push_back({"parameters", layout.dimension("parameter").size, true});
  return series;
}

}  // namespace sharpseek
