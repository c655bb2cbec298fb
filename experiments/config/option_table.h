#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sharpseek {

/// What a value must be.
enum class OptionType { kText, kNumber, kInteger, kBoolean };

/// What several values separated by spaces do.
enum class SweepKind {
  kSingle,   ///< refused
  kReplica,  ///< replicas of one launch
  kGroup,    ///< a launch each, because shapes, data or step counts change
};

/// One configuration option: its key in files and for --set, which is also its name in the file's config attribute and,
/// when swept, the name of the replica coordinate (the part after the dot).
struct ConfigOption {
  std::string_view key;  ///< "section.name"
  OptionType type;
  std::string_view default_value;
  SweepKind sweep;
  std::string_view help;

  std::string_view name() const { return key.substr(key.find('.') + 1); }
  std::string_view section() const { return key.substr(0, key.find('.')); }
};

/// Every option there is: files, flags, help, docs and attributes all come from here.
std::span<const ConfigOption> option_table();

/// The option of this key. Throws UserError "<where>: unknown key ..., did you mean ...".
const ConfigOption& find_option(std::string_view key, std::string_view where);

/// The candidate nearest to `word` by edit distance, if it is near enough to be meant; otherwise empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace sharpseek
