#include "experiments/run/coordinates.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "experiments/config/option_table.h"

namespace sharpseek {

std::vector<files::Column> replica_coordinates(const Group& group, const Config& config) {
  std::vector<files::Column> columns;
  for (const std::string& key : replica_axes(config)) {
    const ConfigOption& option = find_option(key, "sweep");
    const bool number = option.type == OptionType::kNumber || option.type == OptionType::kInteger;
    files::Column column{std::string(option.name()), std::vector<std::string>{}, number ? "1" : "",
                         std::string(option.help)};
    if (number) {
      std::vector<double> numbers;
      for (const Replica& replica : group.replicas) numbers.push_back(replica.settings->values.number(key));
      column.values = std::move(numbers);
    } else {
      std::vector<std::string> texts;
      for (const Replica& replica : group.replicas) texts.push_back(replica.settings->values.text(key));
      column.values = std::move(texts);
    }
    columns.push_back(std::move(column));
  }
  std::vector<std::int64_t> seeds;
  std::vector<std::int64_t> signs;
  for (const Replica& replica : group.replicas) {
    seeds.push_back(replica.seed());
    signs.push_back(replica.mirrored() ? -1 : 1);
  }
  columns.push_back({"seed", std::move(seeds), "", "index of the repetition at a sweep point"});
  const bool pairs = std::any_of(group.replicas.begin(), group.replicas.end(),
                                 [](const Replica& replica) { return replica.settings->antithetic; });
  if (pairs) {
    columns.push_back({"noise_sign", std::move(signs), "",
                       "sign of the label noise: replicas of one point and seed are a pair with opposite noise"});
  }
  return columns;
}

}  // namespace sharpseek
