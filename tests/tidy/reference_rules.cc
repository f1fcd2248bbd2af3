// The rules on what texts refer to: links, paths, Bazel labels, names of files and tests.

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <functional>
#include <set>

#include "tests/tidy/tidy_rules.h"

namespace slipring::tidy {
namespace {

constexpr std::array<std::string_view, 6> kParts{"bench",    "core",  "pipelines",
                                                 "platform", "tests", "tools"};
constexpr std::array<std::string_view, 4> kNamedAlone{".h", ".cc", ".md", ".bzl"};

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}
bool begins_in_a_part(std::string_view path) {
  return std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) {
    return path.substr(0, part.size()) == part &&
           (path.size() == part.size() || path[part.size()] == '/' || path[part.size()] == ':');
  });
}
std::string_view without_tail(std::string_view text, std::string_view tail) {
  const std::size_t last = text.find_last_not_of(tail);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

bool is_folder(const Tree& tree, std::string_view path) {
  const std::string inside = std::string(path) + '/';
  const auto first = tree.lower_bound(inside);
  return first != tree.end() && first->first.compare(0, inside.size(), inside) == 0;
}
bool is_there(const Tree& tree, std::string_view path) {
  return tree.count(std::string(path)) != 0 || is_folder(tree, path);
}
bool is_target(const Tree& tree, std::string_view folder, std::string_view name) {
  const auto build = tree.find(std::string(folder) + "/BUILD");
  const std::string whole = std::string(folder) + '/' + std::string(name);
  return tree.count(whole) != 0 ||
         (build != tree.end() &&
          build->second.find("name = \"" + std::string(name) + '"') != std::string::npos);
}

// "core/ring", "core/ring/...", "core/ring:spsc_ring", each behind two slashes.
bool is_label_there(const Tree& tree, std::string_view label) {
  const std::size_t colon = label.find(':');
  const std::string_view folder = without_tail(label.substr(0, colon), "/.");
  if (!is_folder(tree, folder)) return false;
  return colon == std::string_view::npos ||
         is_target(tree, folder, without_tail(label.substr(colon + 1), ".:"));
}

// A heading's anchor: lower case, blanks as hyphens, of the rest letters, digits, '_' and '-'.
std::string anchor_of(std::string_view heading) {
  std::string anchor;
  for (const char c : heading.substr(std::min(heading.find_first_not_of("# "), heading.size()))) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == ' ') anchor += '-';
    if (std::isalnum(byte) != 0 || c == '_' || c == '-' || byte >= 0x80) {
      anchor += static_cast<char>(std::tolower(byte));
    }
  }
  return anchor;
}
bool has_anchor(std::string_view page, std::string_view anchor) {
  for (std::size_t begin = 0; begin < page.size();) {
    const std::size_t end = std::min(page.find('\n', begin), page.size());
    const std::string_view line = page.substr(begin, end - begin);
    if (!line.empty() && line[0] == '#' && anchor_of(line) == anchor) return true;
    begin = end + 1;
  }
  return false;
}

// "(PAGE#HEADING)" of a page, as from its own folder.
bool is_link_right(const Tree& tree, const std::string& page, std::string_view link) {
  const std::size_t hash = link.find('#');
  const std::string to(link.substr(0, hash));
  const std::string path =
      to.empty() ? page
                 : (std::filesystem::path(page).parent_path() / to).lexically_normal().string();
  if (!is_there(tree, without_tail(path, "/"))) return false;
  const auto target = tree.find(path);
  return hash == std::string_view::npos || target == tree.end() ||
         has_anchor(target->second, link.substr(hash + 1));
}

// What is known by its name alone: base names of files, and names in BUILD files.
struct Names {
  std::set<std::string, std::less<>> files;
  std::set<std::string, std::less<>> targets;
};

Names names_in(const Tree& tree) {
  constexpr std::string_view kName = "name = \"";
  Names names;
  for (const auto& [path, text] : tree) {
    names.files.insert(path.substr(path.rfind('/') + 1));
    if (!ends_with(path, "BUILD")) continue;
    for (std::size_t at = text.find(kName); at != std::string::npos; at = text.find(kName, at)) {
      at += kName.size();
      names.targets.insert(text.substr(at, text.find('"', at) - at));
    }
  }
  return names;
}

bool is_part_of_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '/' ||
         c == ':' || c == '-';
}

// Whether a word that reads as a reference refers to something.  `before` is what it follows: a
// name behind any of "*<{$" is a pattern's end, or a system's.
bool is_word_right(const Tree& tree, const Names& names, std::string_view word, char before) {
  if (word.substr(0, 2) == "//" && begins_in_a_part(word.substr(2))) {
    return is_label_there(tree, word.substr(2));
  }
  word = without_tail(word, ".:/-");
  if (word.find(':') != std::string_view::npos) word.remove_prefix(word.rfind(':') + 1);
  if (word.find('/') != std::string_view::npos) {
    return !begins_in_a_part(word) || is_there(tree, word);
  }
  if (word.empty() || std::isalpha(static_cast<unsigned char>(word[0])) == 0 ||
      std::string_view("*<{$").find(before) != std::string_view::npos) {
    return true;
  }
  if (ends_with(word, "_test")) {
    return names.targets.count(word) != 0 || names.files.count(std::string(word) + ".cc") != 0;
  }
  const bool is_file =
      std::any_of(kNamedAlone.begin(), kNamedAlone.end(),
                  [&](std::string_view extension) { return ends_with(word, extension); });
  return !is_file || names.files.count(word) != 0;
}

Finding nowhere(const std::string& path, std::size_t line, std::string_view what) {
  return {path, line, "reference", "name what is there: " + std::string(what) + " is not"};
}

void check_links(const Tree& tree, const std::string& path, std::size_t line, std::string_view text,
                 std::vector<Finding>& findings) {
  for (std::size_t at = text.find("]("); at != std::string_view::npos; at = text.find("](", at)) {
    at += 2;
    const std::string_view link = text.substr(at, text.find(')', at) - at);
    if (link.find(':') == std::string_view::npos && !is_link_right(tree, path, link)) {
      findings.push_back(nowhere(path, line, link));
    }
  }
}

void check_words(const Tree& tree, const Names& names, const std::string& path, std::size_t line,
                 std::string_view text, std::vector<Finding>& findings) {
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    while (end < text.size() && is_part_of_word(text[end])) ++end;
    const std::string_view word = text.substr(begin, end - begin);
    const char before = begin == 0 ? ' ' : text[begin - 1];
    if (!is_word_right(tree, names, word, before)) findings.push_back(nowhere(path, line, word));
    begin = end + 1;
  }
}

}  // namespace

std::vector<Finding> check_references(const Tree& tree, const std::vector<SourceText>& sources) {
  const Names names = names_in(tree);
  std::vector<Finding> findings;
  for (const SourceText& source : sources) {
    for (std::size_t i = 0; i < source.comments.size(); ++i) {
      check_words(tree, names, source.path, i + 1, source.comments[i], findings);
    }
  }
  for (const auto& [path, text] : tree) {
    if (!ends_with(path, ".md")) continue;
    std::size_t line = 1;
    for (std::size_t begin = 0; begin < text.size(); ++line) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      const std::string_view words = std::string_view(text).substr(begin, end - begin);
      check_links(tree, path, line, words, findings);
      check_words(tree, names, path, line, words, findings);
      begin = end + 1;
    }
  }
  return findings;
}

}  // namespace slipring::tidy
