#include "experiments/run/record_layout.h"

#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/text.h"

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
  SHARPSEEK_ASSERT(name == "parameter");
  return {"parameter", static_cast<hsize_t>(parameter_count(parameters))};
}

std::vector<files::Dimension> RecordLayout::dimensions(std::string_view names) const {
  std::vector<files::Dimension> found;
  if (names.empty()) return found;
  for (const std::string& name : split(std::string(names), ' ')) found.push_back(dimension(name));
  return found;
}

hsize_t Series::size() const { return std::accumulate(extra.begin(), extra.end(), hsize_t{1}, std::multiplies<>()); }

std::vector<hsize_t> Series::start(hsize_t replica, hsize_t record) const {
  std::vector<hsize_t> start{replica, record};
  start.resize(2 + extra.size(), 0);
  return start;
}

std::vector<hsize_t> Series::shape(hsize_t replicas, hsize_t count) const {
  std::vector<hsize_t> shape{replicas, count};
  shape.insert(shape.end(), extra.begin(), extra.end());
  return shape;
}

std::string block_shapes(const std::vector<Parameter>& parameters) {
  std::string shapes;
  for (const Parameter& block : parameters) {
    shapes += concat(shapes.empty() ? "" : " ", block.name, "[", block.rows, ",", block.columns, "]");
  }
  return shapes;
}

std::vector<Series> series_of(const RecordLayout& layout) {
  std::vector<Series> series{{"rescaled_time", {}}};
  for (const Variable& variable : layout.variables) {
    std::vector<hsize_t> extra;
    for (const files::Dimension& dimension : layout.dimensions(variable.dimension)) extra.push_back(dimension.size);
    series.push_back({std::string(variable.name), extra});
  }
  series.push_back({"train_loss", {}});
  if (layout.keep_parameters) series.push_back({"parameters", {layout.dimension("parameter").size}});
  return series;
}

}  // namespace sharpseek
