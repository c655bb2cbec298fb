#include "experiments/config/shard.h"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace sharpseek {
namespace {

std::int64_t variable(const char* name, const char* because) {
  const char* text = std::getenv(name);
  require(text != nullptr, because, " is set, but ", name, " is not; give --shard I/N");
  const std::optional<std::int64_t> value = whole_number(text);
  require(value.has_value(), name, " = ", text, ": must be an integer; give --shard I/N");
  return *value;
}

Shard checked(std::int64_t index, std::int64_t count, const std::string& where) {
  require(count >= 1 && index >= 0 && index < count, where, ": must be I/N with 0 <= I < N");
  return {.index = index, .count = count};
}

}  // namespace

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Shard parse_shard(const std::string& text, const std::string& where) {
  const std::size_t slash = text.find('/');
  const std::string_view all = text;
  const std::optional<std::int64_t> index = whole_number(all.substr(0, slash));
  const std::optional<std::int64_t> count =
      slash == std::string::npos ? std::nullopt : whole_number(all.substr(slash + 1));
  const std::string what = where + " " + text;
  require(index && count, what, ": must be I/N with 0 <= I < N");
  return checked(*index, *count, what);
}

std::pair<Shard, std::string> environment_shard() {
  if (std::getenv("SLURM_ARRAY_TASK_ID") != nullptr) {
    const char* name = "SLURM_ARRAY_TASK_ID";
    const std::int64_t id = variable(name, name);
    const std::int64_t first = variable("SLURM_ARRAY_TASK_MIN", name);
    const std::int64_t last = variable("SLURM_ARRAY_TASK_MAX", name);
    const std::int64_t count = variable("SLURM_ARRAY_TASK_COUNT", name);
    require(last - first + 1 == count, "SLURM_ARRAY_TASK_COUNT = ", count, ": the array has gaps (", first, " to ",
            last, "); give --shard I/N");
    return {checked(id - first, count, concat(name, " = ", id)), name};
  }
  if (std::getenv("RANK") != nullptr && std::getenv("WORLD_SIZE") != nullptr) {
    const std::int64_t rank = variable("RANK", "RANK"), size = variable("WORLD_SIZE", "RANK");
    return {checked(rank, size, concat("RANK = ", rank, ", WORLD_SIZE = ", size)), "RANK and WORLD_SIZE"};
  }
  if (std::getenv("JOB_COMPLETION_INDEX") != nullptr) {
    const char* name = "JOB_COMPLETION_INDEX";
    const std::int64_t index = variable(name, name), count = variable("JOB_COMPLETIONS", name);
    return {checked(index, count, concat(name, " = ", index, ", JOB_COMPLETIONS = ", count)), name};
  }
  return {{}, ""};
}

}  // namespace sharpseek
