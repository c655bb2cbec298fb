#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/task.h"
#include "engine/optimizer.h"
#include "models/initialisation.h"
#include "models/model.h"
#include "sharpness/quantity.h"

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

  /// The options of each part, as these values give them. Ranges are checked by the parts themselves.
  TaskOptions task() const;
  NoiseOptions noise() const;
  ModelOptions model() const;
  InitialisationOptions initialisation() const;
  OptimizerOptions optimizer() const;
  /// training.until = stationary rather than steps.
  bool until_stationary() const;
  ProbeOptions probe() const;
  std::uint64_t seed() const;
  /// Samples of a step: training.batch, or for gd all of the finite set, which has no use for it. Whatever needs the
  /// batch asks here. Throws UserError for gd on online data.
  std::int64_t batch() const;
  /// Steps of the run: training.steps, or from training.time: ceil(time x batch() / eta^2).
  std::int64_t steps() const;
  /// Steps between records: measure.every, or what gives measure.records.
  std::int64_t every() const;

 private:
  int small_integer(std::string_view key) const;

  std::shared_ptr<const Values> values_;  ///< shared by copies: a study has one for each of its replicas
};

/// A resolved configuration: for every option its values, one or, where it is swept, several.
class Config {
 public:
  /// Parses INI text (ini.h); `where` heads messages (the file's name). Throws UserError naming key, value and what is
  /// allowed.
  Config(const std::string& text, const std::string& where);
  /// Reads a file; "-" is not special. Throws UserError if it cannot be read, or sets no key: it would be nothing but
  /// defaults.
  static Config from_file(const std::string& file);

  /// Applies "section.key=value" of a --set flag; values may be in quotes, as in a file.
  void set(const std::string& assignment);
  /// Leaves one value of an axis.
  void fix(std::string_view key, const std::string& value);

  const std::vector<std::string>& values(std::string_view key) const;
  const std::string& single(std::string_view key) const { return values(key).front(); }
  /// {"section": {"name": value or [values]}} with numbers and booleans as such.
  nlohmann::json json() const;
  /// The configuration that json() describes. Throws UserError naming `where` and what does not fit.
  static Config from_json(const nlohmann::json& json, const std::string& where);

 private:
  /// The values that `text` writes down, quotes and all.
  void assign(const std::string& key, const std::string& text, const std::string& where);
  void assign_values(const ConfigOption& option, std::vector<std::string> found, const std::string& where);

  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  bool assigned_ = false;  ///< by the text it was made from
};

}  // namespace sharpseek
