// One table of a pipeline file, read key by key.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/toml_input.h"

namespace slipring {

[[nodiscard]] int line_of(const toml::node& node) noexcept;
// "an integer", for messages.
[[nodiscard]] const char* type_words(const toml::node& node) noexcept;

struct Bounds {
  std::uint64_t least;
  std::uint64_t most;
};

// One table of the file: hands out its values and notes what is wrong with them.  A value that is
// missing or wrong comes back as nothing, and has been reported.
class TableReader {
 public:
  // `title` names the table in findings: "[[stage]]".  Every key outside `keys` is a finding.
  TableReader(const toml::table& table, std::string title, std::vector<std::string> keys,
              std::vector<Finding>& findings);

  [[nodiscard]] int line() const noexcept { return line_of(table_); }
  [[nodiscard]] const std::string& title() const noexcept { return title_; }
  [[nodiscard]] const toml::node* find(std::string_view key) const { return table_.get(key); }
  [[nodiscard]] int line(std::string_view key) const;

  void report(int line, std::string wrong, std::string found, std::string remedy);

  void report_type(const toml::node& node, std::string_view key, std::string remedy);

  // Reports the key as missing unless it is there.
  const toml::node* require(std::string_view key, const std::string& example);

  std::optional<std::string> text(std::string_view key, const std::string& example);

  // A name as segments, stages and links have it.
  std::string name(const std::string& example);

  template <typename Enum>
  void choice(std::string_view key, std::span<const Enum> values, Enum& result) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    std::vector<std::string> words;
    for (const Enum value : values) words.emplace_back(name_of(value));
    const auto* text = node->as_string();
    if (text == nullptr) return report_type(*node, key, "write one of " + comma_list(words));
    for (const Enum value : values) {
      if (text->get() != name_of(value)) continue;
      result = value;
      return;
    }
    report(line_of(*node), "unknown value for " + std::string(key), quoted(text->get()),
           remedy_for(text->get(), words));
  }

  // Leaves `result` alone when the key is absent.
  void count(std::string_view key, Bounds bounds, std::uint64_t& result);

  // An integer or a string with a unit; within bounds.
  std::optional<std::uint64_t> size(std::string_view key, Bounds bounds);

 private:
  const toml::table& table_;
  std::string title_;
  std::vector<Finding>& findings_;
};

}  // namespace slipring
