#include "experiments/config/fork.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "experiments/config/option_table.h"

namespace sharpseek {
namespace {

constexpr std::string_view kKey = "experiment.from";

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : " ") + value;
  return text;
}

/// Whether a key has a part in what training does, but for how long it does it.
bool counts_for_training(const ConfigOption& option) {
  if (option.section() == "experiment") return option.key == "experiment.seed";
  return option.section() != "measure" && option.key != "training.steps" && option.key != "training.time" &&
         option.key != "training.until";
}

}  // namespace

bool ForkSource::is_sibling() const { return place.find('/') == std::string::npos; }

std::string ForkSource::written() const { return concat(kKey, " = ", text); }

std::filesystem::path ForkSource::folder(const std::filesystem::path& home) const {
  return is_sibling() ? home / place : std::filesystem::path(place);
}

std::optional<ForkSource> fork_source(const Config& config) {
  const std::string& text = config.from();
  if (text.empty()) return std::nullopt;
  ForkSource source{.text = text, .place = text, .step = std::nullopt};
  // An @ before the last / belongs to the path.
  const std::size_t at = text.rfind('@');
  if (at != std::string::npos && text.find('/', at) == std::string::npos) {
    const std::optional<double> step = parse_double(text.substr(at + 1));
    require(step && *step >= 0 && *step == std::floor(*step) && *step < 9e15, source.written(), ": '",
            text.substr(at + 1), "' is no step; must be NAME[@STEP] or DIR[@STEP]");
    source.place = text.substr(0, at);
    source.step = static_cast<std::int64_t>(*step);
  }
  require(!source.place.empty() && source.place != "." && source.place != "..", source.written(),
          ": names no folder; must be NAME[@STEP] or DIR[@STEP]");
  return source;
}

std::string fork_path(const std::string& directory) {
  const std::size_t at = directory.rfind('@');
  return directory.substr(0, at).find('/') == std::string::npos ? "./" + directory : directory;
}

ParentMap::ParentMap(const ForkSource& source, const Config& parent, const Config& fork) : parent_(parent) {
  for (const ConfigOption& option : option_table()) {
    const std::string key(option.key);
    const std::vector<std::string>& theirs = parent.values(key);
    const std::vector<std::string>& ours = fork.values(key);

    // An axis of the parent: the fork's values are some of it.
    if (theirs.size() > 1) {
      axes_.push_back(key);
      std::map<std::string, std::size_t>& places = places_[key];
      for (std::size_t i = 0; i < theirs.size(); ++i) places[canonical(option, theirs[i])] = i;
      for (const std::string& value : ours) {
        require(places.contains(canonical(option, value)), source.written(), ": its parent sweeps ", key, " = ",
                joined(theirs), ", so that ", key, " = ", value, " of the fork has no replica to start from");
      }
      continue;
    }

    // One value of the parent: the fork's may be others.
    if (!counts_for_training(option)) continue;
    const bool same = ours.size() == 1 && canonical(option, ours.front()) == canonical(option, theirs.front());
    if (!same) changes_.push_back(concat(key, " = ", joined(ours), ", was ", theirs.front()));
  }

  seeds_ = static_cast<std::int64_t>(parent.seeds());
  require(seeds_ == 1 || fork.seeds() <= parent.seeds(), source.written(),
          ": its parent has experiment.replicas = ", seeds_, ", fewer than the ", plain(fork.seeds()),
          " of the fork; a fork has as many seeds, or the first of them");

  for_each_point(parent, [&](const std::string& group, const Point::Values& values, std::int64_t place) {
    points_[point_name(values)] = {.group = group, .row = place * seeds_};
  });
  for_each_point(fork, [&](const std::string&, const Point::Values& values, std::int64_t) {
    const std::string name = point_name(values);
    require(points_.contains(name), source.written(), ": its parent has no replica with ", name);
  });
}

std::string ParentMap::point_name(const Point::Values& values) const {
  std::string name;
  for (const std::string& key : axes_) {
    name += concat(name.empty() ? "" : ", ", key, " = ", canonical(find_option(key, "sweep"), values.at(key)));
  }
  return name;
}

ParentReplica ParentMap::of(const Replica& replica) const {
  ParentReplica found = points_.at(point_name(replica.settings->values.values()));
  if (seeds_ > 1) found.row += replica.repetition;
  return found;
}

ParentTraining ParentMap::training(const Replica& replica) const {
  return {.optimizer = value("training.optimizer", replica),
          .momentum = parse_double(value("training.momentum", replica)).value_or(0),
          .learning_rate = parse_double(value("training.learning_rate", replica)).value_or(0),
          .schedule = value("training.schedule", replica)};
}

std::string ParentMap::value(const std::string& key, const Replica& replica) const {
  const std::vector<std::string>& theirs = parent_.values(key);
  if (theirs.size() == 1) return theirs.front();
  const std::string own = canonical(find_option(key, "sweep"), replica.settings->values.text(key));
  return theirs[places_.at(key).at(own)];
}

}  // namespace sharpseek
