#include "pipelines/stage/table_reader.h"

#include <algorithm>

#include "pipelines/stage/pipeline_plan.h"
#include "pipelines/stage/quantity.h"

namespace slipring {

int line_of(const toml::node& node) noexcept {
  return static_cast<int>(node.source().begin.line);
}

const char* type_words(const toml::node& node) noexcept {
  switch (node.type()) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a float";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

TableReader::TableReader(const toml::table& table, std::string title, std::vector<std::string> keys,
                         std::vector<Finding>& findings)
    : table_(table), title_(std::move(title)), findings_(findings) {
  for (const auto& [key, value] : table_) {
    if (std::find(keys.begin(), keys.end(), key.str()) != keys.end()) continue;
    report(static_cast<int>(key.source().begin.line), "unknown key in " + title_, quoted(key.str()),
           remedy_for(key.str(), keys));
  }
}

int TableReader::line(std::string_view key) const {
  const toml::node* node = find(key);
  return node != nullptr ? line_of(*node) : line();
}

void TableReader::report(int line, std::string wrong, std::string found, std::string remedy) {
  findings_.push_back({line, std::move(wrong), std::move(found), std::move(remedy)});
}

void TableReader::report_type(const toml::node& node, std::string_view key, std::string remedy) {
  report(line_of(node), "wrong type for " + std::string(key), type_words(node), std::move(remedy));
}

const toml::node* TableReader::require(std::string_view key, const std::string& example) {
  const toml::node* node = find(key);
  if (node == nullptr) {
    report(line(), "missing key in " + title_, std::string(key), "add " + example);
  }
  return node;
}

std::optional<std::string> TableReader::text(std::string_view key, const std::string& example) {
  const toml::node* node = require(key, example);
  if (node == nullptr) return std::nullopt;
  if (const auto* value = node->as_string()) return value->get();
  report_type(*node, key, "write a string, " + example);
  return std::nullopt;
}

std::string TableReader::name(const std::string& example) {
  const auto value = text("name", example);
  if (!value) return "";
  if (!is_pipeline_name(*value)) {
    report(line("name"), "bad name", quoted(*value),
           "use 1 to 32 of A-Z a-z 0-9 _ -, a letter or digit first");
  }
  return *value;
}

void TableReader::count(std::string_view key, Bounds bounds, std::uint64_t& result) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const auto* value = node->as_integer();
  if (value == nullptr) return report_type(*node, key, "write an integer");
  const std::int64_t number = value->get();
  if (number < 0 || static_cast<std::uint64_t>(number) < bounds.least ||
      static_cast<std::uint64_t>(number) > bounds.most) {
    report(line_of(*node), std::string(key) + " out of range", std::to_string(number),
           "write " + std::to_string(bounds.least) + " to " + std::to_string(bounds.most));
    return;
  }
  result = static_cast<std::uint64_t>(number);
}

std::optional<std::uint64_t> TableReader::size(std::string_view key, Bounds bounds) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  std::optional<std::uint64_t> bytes;
  std::string shown;
  if (const auto* number = node->as_integer()) {
    shown = std::to_string(number->get());
    if (number->get() >= 0) bytes = static_cast<std::uint64_t>(number->get());
  } else if (const auto* text = node->as_string()) {
    shown = quoted(text->get());
    bytes = parse_size_bytes(text->get());
  } else {
    report_type(*node, key, "write bytes, or a string such as \"4MiB\"");
    return std::nullopt;
  }
  if (!bytes) {
    report(line_of(*node), "bad size for " + std::string(key), shown,
           "write bytes, or a string in KiB, MiB or GiB such as \"4MiB\"");
    return std::nullopt;
  }
  if (*bytes < bounds.least) {
    report(line_of(*node), std::string(key) + " too small", format_bytes(*bytes),
           "at least " + format_bytes(bounds.least));
    return std::nullopt;
  }
  if (*bytes > bounds.most) {
    report(line_of(*node), std::string(key) + " too large", format_bytes(*bytes),
           "at most " + format_bytes(bounds.most));
    return std::nullopt;
  }
  return bytes;
}

}  // namespace slipring
