#include "experiments/config/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "core/text_file.h"
#include "core/unicode.h"
#include "experiments/config/ini.h"
#include "experiments/config/option_table.h"

namespace sharpseek {
namespace {

std::int64_t parse_integer(std::string_view key, const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  // 2e6 is an integer too.
  const std::optional<double> number = parse_double(text);
  require(number && *number == std::floor(*number) && std::abs(*number) < 9e15, key, " = ", text,
          ": must be an integer");
  return static_cast<std::int64_t>(*number);
}

/// Throws unless `text` is of the option's type.
void check_type(const ConfigOption& option, const std::string& text, const std::string& where) {
  const std::string what = where + ": " + std::string(option.key);
  switch (option.type) {
    case OptionType::kText: return;
    case OptionType::kNumber: {
      const std::optional<double> number = parse_double(text);
      require(number && std::isfinite(*number), what, " = ", text, ": must be a finite number");
      return;
    }
    case OptionType::kInteger: parse_integer(what, text); return;
    case OptionType::kBoolean:
      require(text == "true" || text == "false", what, " = ", text, ": must be true | false");
      return;
  }
}

/// Whether the option takes one text, in which blanks are nothing but blanks.
bool is_free_text(const ConfigOption& option) {
  return option.sweep == SweepKind::kSingle && option.type == OptionType::kText;
}

/// Throws UserError if `value` cannot name the folder of a result.
void check_name(const std::string& value, const std::string& what) {
  require(!value.empty() && value != "." && value != ".." && value.find('/') == std::string::npos, what, " = ", value,
          ": names a folder, so it must not be empty, a path, . or ..");
  const std::string shown = visible(value);
  require(shown == value, what, " = ", shown, ": names a folder, so it must not hold characters that cannot be seen");
}

/// Throws UserError where the words of an axis are the pieces of a path with blanks: none of them is a file, together
/// they are one.
void check_paths(const std::vector<std::string>& found, const std::string& what) {
  const auto is_file = [](const std::string& specification) {
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::status(specification.substr(5), ignored);
    return std::filesystem::exists(status) && !std::filesystem::is_directory(status);
  };
  for (std::size_t first = 0; first < found.size(); ++first) {
    if (!found[first].starts_with("file:") || is_file(found[first])) continue;
    std::string path = found[first];
    for (std::size_t last = first + 1; last < found.size(); ++last) {
      path += " " + found[last];
      require(!is_file(path), what, " = ", path, ": white space separates the values of a sweep; write ", quoted(path));
    }
  }
}

}  // namespace

Config::Config(const std::string& text, const std::string& where) {
  for (const ConfigOption& option : option_table()) {
    values_[std::string(option.key)] = {std::string(option.default_value)};
  }
  std::vector<std::filesystem::path> none;
  apply(plain_text(text, where), where, none);
}

void Config::apply(const std::string& text, const std::string& where, std::vector<std::filesystem::path>& including) {
  std::vector<IniEntry> entries = parse_ini(text, where);
  // Files that it includes come first, wherever their line stands before the sections.
  for (const IniEntry& entry : entries) {
    if (entry.key != "include" || including.empty()) continue;
    const std::string what = concat(where, ": include");
    const std::vector<std::string> names = quoted_words(entry.value, what);
    require(!names.empty(), what, " has no value");
    for (const std::string& name : names) {
      const std::filesystem::path file = including.back().parent_path() / name;
      const std::filesystem::path known = std::filesystem::weakly_canonical(file);
      const auto before = [&](const auto& open) { return std::filesystem::weakly_canonical(open) == known; };
      require(std::none_of(including.begin(), including.end(), before), what, " = ", name,
              ": a file cannot include itself");
      including.push_back(file);
      apply(read_text_file(file.string()), file.string(), including);
      including.pop_back();
    }
  }
  std::set<std::string> seen;
  for (const IniEntry& entry : entries) {
    require(seen.insert(entry.key).second, where, ": ", entry.key, " is given twice");
    if (entry.key != "include" || including.empty()) assign(entry.key, entry.value, where);
  }
  assigned_ = assigned_ || !seen.empty();
}

Config Config::from_file(const std::string& file) {
  Config config("", file);
  std::vector<std::filesystem::path> including{file};
  config.apply(read_text_file(file), file, including);
  require(config.assigned_, file, ": sets no key; the least is an experiment's name: [experiment] name = NAME");
  return config;
}

void Config::set(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  require(equals != std::string::npos, "--set ", assignment, ": must be section.key=value");
  assign(trimmed(assignment.substr(0, equals)), assignment.substr(equals + 1), "--set");
}

void Config::assign(const std::string& key, const std::string& text, const std::string& where) {
  const ConfigOption& option = find_option(key, where);
  const std::string what = concat(where, ": ", key);
  const std::optional<std::size_t> invalid = first_invalid_utf8(text);
  require(!invalid, what, " = ", visible(trimmed(text)), ": is not UTF-8 text");
  std::vector<std::string> found{free_text(text)};
  if (!is_free_text(option)) {
    found = quoted_words(text, what);
    check_paths(found, what);
  }
  if (found.empty()) found = {""};
  require(found.size() == 1 || option.sweep != SweepKind::kSingle, what, " = ", trimmed(text),
          ": takes one value, cannot be swept");
  assign_values(option, std::move(found), where);
}

void Config::assign_values(const ConfigOption& option, std::vector<std::string> found, const std::string& where) {
  const std::string key(option.key);
  const std::string what = concat(where, ": ", key);
  require(!found.empty() && (option.type == OptionType::kText || !found.front().empty()), what, " has no value");
  require(found.size() == 1 || option.sweep != SweepKind::kSingle, what, ": takes one value, cannot be swept");
  for (const std::string& value : found) {
    require(!has_control_characters(value), what, " = ", visible(value), ": must not hold control characters");
    check_type(option, value, where);
    if (key == "experiment.name") check_name(value, what);
  }
  values_[key] = std::move(found);
}

void Config::fix(std::string_view key, const std::string& value) {
  assign_values(find_option(key, "sweep"), {value}, "sweep");
  std::string kept;
  for (const std::string& list : zips()) {
    std::string others;
    std::size_t count = 0;
    for (const std::string& own : split(list, ',')) {
      if (trimmed(own) == key) continue;
      others += (others.empty() ? "" : ",") + trimmed(own);
      ++count;
    }
    if (count > 1) kept += (kept.empty() ? "" : " ") + others;
  }
  values_["experiment.zip"] = {kept};
}

const std::vector<std::string>& Config::values(std::string_view key) const {
  const auto found = values_.find(key);
  SHARPSEEK_ASSERT(found != values_.end());
  return found->second;
}

nlohmann::json Config::json() const {
  nlohmann::json result;
  for (const ConfigOption& option : option_table()) {
    const auto typed = [&](const std::string& text) -> nlohmann::json {
      if (option.type == OptionType::kNumber) return *parse_double(text);
      if (option.type == OptionType::kInteger) return parse_integer(option.key, text);
      if (option.type == OptionType::kBoolean) return text == "true";
      return text;
    };
    nlohmann::json& place = result[std::string(option.section())][std::string(option.name())];
    const std::vector<std::string>& all = values(option.key);
    if (all.size() == 1) {
      place = typed(all.front());
    } else {
      for (const std::string& text : all) place.push_back(typed(text));
    }
  }
  return result;
}

Config Config::from_json(const nlohmann::json& json, const std::string& where) {
  const auto text = [&](const std::string& key, const nlohmann::json& value) -> std::string {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
    if (value.is_number_integer()) return std::to_string(value.get<std::int64_t>());
    require(value.is_number(), where, ": ", key, ": must be a text, number or truth value");
    return plain(value.get<double>());
  };
  Config config("", where);
  require(json.is_object(), where, ": config: must be an object");
  for (const auto& [section, keys] : json.items()) {
    require(keys.is_object(), where, ": config: ", section, ": must be an object");
    for (const auto& [name, value] : keys.items()) {
      const std::string key = concat(section, ".", name);
      std::vector<std::string> found;
      if (value.is_array()) {
        for (const nlohmann::json& one : value) found.push_back(text(key, one));
      } else {
        found.push_back(text(key, value));
      }
      config.assign_values(find_option(key, where), std::move(found), where);
    }
  }
  return config;
}

const std::string& Point::text(std::string_view key) const {
  const auto found = values_->find(key);
  SHARPSEEK_ASSERT(found != values_->end());
  return found->second;
}

double Point::number(std::string_view key) const { return *parse_double(text(key)); }
std::int64_t Point::integer(std::string_view key) const { return parse_integer(key, text(key)); }
bool Point::boolean(std::string_view key) const { return text(key) == "true"; }

int Point::small_integer(std::string_view key) const {
  const std::int64_t value = integer(key);
  constexpr std::int64_t kLargest = 1'000'000'000;
  require(value >= -kLargest && value <= kLargest, key, " = ", value, ": is too large");
  return static_cast<int>(value);
}

std::vector<std::string> Config::claims() const {
  std::vector<std::string> claims;
  for (const std::string& claim : split(values("experiment.claims").front(), ',')) {
    if (!trimmed(claim).empty()) claims.push_back(trimmed(claim));
  }
  return claims;
}

std::string Config::architecture() const {
  const std::string& kind = values("model.kind").front();
  return kind == "mlp" ? values("model.activation").front() + " mlp" : kind;
}

std::vector<std::string> Config::zips() const {
  return quoted_words(values("experiment.zip").front(), "experiment.zip");
}

void Config::take_first_seed() {
  fix("experiment.replicas", "1");
  fix("noise.antithetic", "false");  // the first of a pair is the replica that there is without pairs
}

double Config::seeds() const { return parse_double(values("experiment.replicas").front()).value_or(1); }

bool Config::by_time() const {
  const std::vector<std::string>& time = values("training.time");
  return time.size() > 1 || *parse_double(time.front()) > 0;
}

void Config::make_longer(const std::vector<std::string>& assignments) {
  const auto joined = [](const std::vector<std::string>& values) {
    std::string text;
    for (const std::string& value : values) text += (text.empty() ? "" : " ") + value;
    return text;
  };
  const std::string length = by_time() ? "training.time" : "training.steps";
  for (const std::string& assignment : assignments) {
    Config changed = *this;
    changed.set(assignment);
    if (first_difference(changed, *this).empty()) continue;
    const std::string key = trimmed(std::string_view(assignment).substr(0, assignment.find('=')));
    require(key == "training.steps" || key == "training.time", "--set ", assignment,
            ": only training.steps and training.time can change in a run that continues");
    require(key == length, "--set ", assignment, ": the length of this run is ", length, " = ", joined(values(length)),
            ", so that only ", length, " can make it longer");
    require(values(key).size() == 1 && changed.values(key).size() == 1, "--set ", assignment, ": ", key, " = ",
            joined(values(key)), " in this run; a sweep axis cannot change, only one value for all be made larger");
    *this = changed;
  }
}

std::string first_difference(const Config& now, const Config& before) {
  const nlohmann::json a = now.json();
  const nlohmann::json b = before.json();
  for (const ConfigOption& option : option_table()) {
    const nlohmann::json& mine = a.at(std::string(option.section())).at(std::string(option.name()));
    const nlohmann::json& theirs = b.at(std::string(option.section())).at(std::string(option.name()));
    if (mine != theirs) return concat(option.key, " = ", mine.dump(), ", was ", theirs.dump());
  }
  return "";
}

}  // namespace sharpseek
