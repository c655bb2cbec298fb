#include "experiments/config/json_schema.h"

#include <nlohmann/json.hpp>
#include <string>

#include "core/text.h"
#include "experiments/config/option_table.h"

namespace sharpseek {
namespace {

const char* type_name(OptionType type) {
  switch (type) {
    case OptionType::kText: return "string";
    case OptionType::kNumber: return "number";
    case OptionType::kInteger: return "integer";
    case OptionType::kBoolean: return "boolean";
  }
  return "";
}

nlohmann::json default_value(const ConfigOption& option) {
  const std::string text(option.default_value);
  if (option.type == OptionType::kText) return text;
  if (option.type == OptionType::kBoolean) return text == "true";
  const double number = *parse_double(text);
  if (option.type == OptionType::kInteger) return static_cast<std::int64_t>(number);
  return number;
}

nlohmann::json schema_of(const ConfigOption& option) {
  const nlohmann::json one{{"type", type_name(option.type)}};
  nlohmann::json schema = one;
  if (option.sweep != SweepKind::kSingle) {
    // The values of an axis.
    schema = {{"anyOf", {one, {{"type", "array"}, {"items", one}, {"minItems", 1}}}}};
  }
  schema["description"] = option.help;
  schema["default"] = default_value(option);
  return schema;
}

}  // namespace

nlohmann::json json_schema() {
  nlohmann::json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                        {"title", "sharpseek configuration"},
                        {"type", "object"},
                        {"additionalProperties", false}};
  for (const ConfigOption& option : option_table()) {
    nlohmann::json& section = schema["properties"][std::string(option.section())];
    section["type"] = "object";
    section["additionalProperties"] = false;
    section["properties"][std::string(option.name())] = schema_of(option);
  }
  return schema;
}

}  // namespace sharpseek
