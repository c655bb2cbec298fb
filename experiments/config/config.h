#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sharpseek {

struct ConfigOption;

/// Values by key, one per option of the table: a single sweep point.
class Point {
 public:
  using Values = std::map<std::string, std::string, std::less<>>;

  explicit Point(Values values) : values_(std::make_shared<const Values>(std::move(values))) {}

  const std::string& text(std::string_view key) const;
  double number(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  bool boolean(std::string_view key) const;
  const Values& values() const { return *values_; }
  /// An integer that fits in an int. Throws UserError if it does not.
  int small_integer(std::string_view key) const;

 private:
  std::shared_ptr<const Values> values_;  ///< shared by copies: a study has one for each of its replicas
};

/// A resolved configuration: for every option its values, one or, where it is swept, several.
class Config {
 public:
  /// Parses INI text (ini.h); `where` heads messages (the file's name). Throws UserError naming key, value and what is
  /// allowed.
  Config(const std::string& text, const std::string& where);
  /// Reads a file; "-" is not special. `include = FILE ..` before its first section reads those files first (relative
  /// to its folder), so that its own keys replace theirs. Throws UserError if a file cannot be read or includes itself,
  /// or if no key is set: it would be nothing but defaults.
  static Config from_file(const std::string& file);

  /// Applies "section.key=value" of a --set flag; values may be in quotes, as in a file.
  void set(const std::string& assignment);
  /// Leaves one value of an axis, which from then on moves with no other.
  void fix(std::string_view key, const std::string& value);
  /// Applies --set to the configuration of a run that continues. All that may change is its length, and that only as it
  /// was given: as steps or as rescaled time, one for all groups. Throws UserError.
  void make_longer(const std::vector<std::string>& assignments);

  const std::vector<std::string>& values(std::string_view key) const;

  // --- what concerns the experiment as a whole

  const std::string& name() const { return values("experiment.name").front(); }
  const std::string& title() const { return values("experiment.title").front(); }
  /// Where a fork starts, as it was written (fork.h); empty: it is none.
  const std::string& from() const { return values("experiment.from").front(); }
  /// Lists of keys that move together, as they were written: "KEY,KEY,..".
  std::vector<std::string> zips() const;
  void set_from(const std::string& source) { fix("experiment.from", source); }
  void set_name(const std::string& name) { fix("experiment.name", name); }
  /// The claims that it bears on.
  std::vector<std::string> claims() const;
  /// "tanh mlp", "rnn": of the first sweep point.
  std::string architecture() const;
  /// Base of all random numbers, as it was written.
  const std::string& seed() const { return values("experiment.seed").front(); }
  /// Seeds at each sweep point, as asked for: any number.
  double seeds() const;
  /// Leaves so many.
  /// Leaves one replica of each point, the first.
  void take_first_seed();
  /// Whether the run's length is a rescaled time, not a number of steps.
  bool by_time() const;

  /// {"section": {"name": value or [values]}} with numbers and booleans as such.
  nlohmann::json json() const;
  /// The configuration that json() describes. Throws UserError naming `where` and what does not fit.
  static Config from_json(const nlohmann::json& json, const std::string& where);

 private:
  /// Applies a text. `including`: the files that are being read, this one last; empty where none may be included.
  void apply(const std::string& text, const std::string& where, std::vector<std::filesystem::path>& including);
  /// The values that `text` writes down, quotes and all.
  void assign(const std::string& key, const std::string& text, const std::string& where);
  void assign_values(const ConfigOption& option, std::vector<std::string> found, const std::string& where);

  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  bool assigned_ = false;  ///< by the text it was made from
};

/// "training.batch = 2, was 1" for the first key whose values differ; empty if none does.
std::string first_difference(const Config& now, const Config& before);

}  // namespace sharpseek
