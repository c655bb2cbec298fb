#include "experiments/run/end_remarks.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "experiments/config/sweep.h"
#include "experiments/predict/linear_theory.h"
#include "experiments/predict/run_length.h"
#include "experiments/run/layout.h"

namespace sharpseek {
namespace {

/// Sweep points that a remark names.
constexpr std::size_t kMostNamed = 4;

/// Replicas that differ in the seed only.
struct PointCounts {
  std::string name;       ///< the values of all axes
  std::size_t first = 0;  ///< one of its replicas
  std::int64_t diverged = 0, finished = 0, stationary = 0;

  bool too_few() const { return finished > 0 && 2 * stationary < finished; }
};

std::vector<PointCounts> count_points(const PreparedGroup& prepared, const Config& config,
                                      const std::vector<std::int64_t>& status,
                                      const std::vector<std::int64_t>& stationary) {
  std::vector<PointCounts> points;
  for (std::size_t e = 0; e < status.size(); ++e) {
    std::string name;
    for (const std::string& key : replica_axes(config)) {
      const std::string& value = prepared.group.replicas[e].settings->values.text(key);
      name += concat(name.empty() ? "" : ",", std::string_view(key).substr(key.find('.') + 1), "=", value);
    }
    auto found = std::ranges::find(points, name, &PointCounts::name);
    if (found == points.end()) found = points.insert(points.end(), {.name = name, .first = e});
    const bool finished = status[e] == static_cast<std::int64_t>(ReplicaStatus::kFinished);
    ++(finished ? found->finished : found->diverged);
    if (finished && e < stationary.size()) found->stationary += stationary[e];
  }
  return points;
}

/// "condition=10 (3 of 8); ..." for the chosen points, one by one as long as a line can hold them; empty without any.
template <class Chosen, class Count>
std::string named(const std::vector<PointCounts>& points, Chosen chosen, Count count) {
  std::string text;
  std::size_t number = 0;
  for (const PointCounts& point : points) {
    if (!chosen(point) || ++number > kMostNamed) continue;
    const auto [some, all] = count(point);
    text += concat(text.empty() ? "" : "; ", point.name, point.name.empty() ? "" : " ", "(", some, " of ", all, ")");
  }
  return number > kMostNamed ? concat(text, " and ", number - kMostNamed, " more points") : text;
}

/// What theory says of the run at the first of the points that it has anything to say about, each sentence after the
/// point's name.
std::vector<std::string> advice(const PreparedGroup& prepared, const std::vector<PointCounts>& points) {
  const ModelOptions& model = prepared.settings().model;
  if (!linear_theory_refusal(model, *prepared.task).empty()) return {};
  for (const PointCounts& point : points) {
    const Noise& noise = prepared.noise[point.first];
    if (!linear_theory_refusal(*prepared.task, noise).empty()) continue;
    const Settings& settings = *prepared.group.replicas[point.first].settings;
    std::vector<std::string> said = run_length(settings, predict(model, *prepared.task, noise)).warnings;
    for (std::string& sentence : said) {
      if (!point.name.empty()) sentence = concat("at ", point.name, ": ", sentence);
    }
    if (!said.empty()) return said;
  }
  return {};
}

}  // namespace

std::vector<std::string> end_remarks(const PreparedGroup& prepared, const Config& config,
                                     const std::vector<std::int64_t>& status,
                                     const std::vector<std::int64_t>& stationary) {
  const std::vector<PointCounts> points = count_points(prepared, config, status, stationary);
  std::vector<std::string> remarks;

  // What diverged was too fast, what is not stationary was too short.
  const std::string diverged = named(
      points, [](const PointCounts& p) { return p.diverged > 0; },
      [](const PointCounts& p) { return std::pair(p.diverged, p.diverged + p.finished); });
  if (!diverged.empty()) {
    remarks.push_back(concat("replicas diverged: ", diverged, "; a smaller training.learning_rate is stable"));
  }
  const bool told = !stationary.empty();
  const std::string few = named(
      points, [&](const PointCounts& p) { return told && p.too_few(); },
      [](const PointCounts& p) { return std::pair(p.stationary, p.finished); });
  if (!few.empty()) {
    remarks.push_back(concat("few replicas are stationary: ", few, "; train longer (training.steps), or until they ",
                             "are (training.until = stationary)"));
  }

  // Of a few points, because a prediction can take seconds.
  std::vector<PointCounts> asked;
  for (const PointCounts& point : points) {
    if (asked.size() < kMostNamed && (point.diverged > 0 || (told && point.too_few()))) asked.push_back(point);
  }
  for (std::string& sentence : advice(prepared, asked)) remarks.push_back(std::move(sentence));
  return remarks;
}

}  // namespace sharpseek
