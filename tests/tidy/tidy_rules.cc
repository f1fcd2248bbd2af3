#include "tests/tidy/tidy_rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>

namespace slipring::tidy {
namespace {

constexpr std::size_t kMaxHeaderLines = 400;
constexpr std::size_t kMaxFunctionLines = 70;
constexpr std::size_t kMaxColumns = 100;

// A part of the tree and what it may include; the longest prefix of a path decides.
struct Layer {
  std::string_view prefix;
  std::vector<std::string_view> may_include;
};

const std::vector<Layer>& layers() {
  static const std::vector<Layer> kLayers{
      {"core/error/", {"core/error/", "core/cpu/"}},
      {"core/cpu/", {"core/error/", "core/cpu/"}},
      {"core/segment/", {"core/error/", "core/cpu/", "core/segment/"}},
      {"core/ring/", {"core/error/", "core/cpu/", "core/segment/", "core/ring/"}},
      {"core/pool/", {"core/"}},
      {"platform/", {"core/error/", "core/cpu/", "platform/"}},
      {"pipelines/link/", {"core/", "platform/", "pipelines/link/"}},
      {"pipelines/adapter/", {"core/", "platform/", "pipelines/link/", "pipelines/adapter/"}},
      {"pipelines/http/",
       {"core/", "platform/", "pipelines/link/", "pipelines/adapter/", "pipelines/http/"}},
      {"pipelines/wire/",
       {"core/", "platform/", "pipelines/link/", "pipelines/adapter/", "pipelines/wire/"}},
      {"pipelines/stage/",
       {"core/", "platform/", "pipelines/link/", "pipelines/wire/", "pipelines/stage/"}},
      {"pipelines/settop/",
       {"core/", "platform/", "pipelines/link/", "pipelines/stage/", "pipelines/settop/"}},
      {"pipelines/array/",
       {"core/", "platform/", "pipelines/link/", "pipelines/adapter/", "pipelines/stage/",
        "pipelines/array/"}},
      {"tools/", {"core/", "platform/", "pipelines/", "tools/"}},
      {"bench/", {"core/", "platform/", "pipelines/", "tools/", "bench/"}},
      {"tests/", {"core/", "platform/", "pipelines/", "tools/", "bench/", "tests/"}},
  };
  return kLayers;
}

// What a freestanding core may take from the standard library: no heap, no system.
constexpr std::array<std::string_view, 14> kCoreHeaders{
    "array",   "atomic", "bit", "compare", "concepts", "cstddef",     "cstdint",
    "cstring", "limits", "new", "span",    "tuple",    "type_traits", "utility"};

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}
bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}
bool is_source(std::string_view path) {
  return ends_with(path, ".h") || ends_with(path, ".cc");
}

// Bytes that begin a character of UTF-8.
std::size_t column_count(std::string_view line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

// Whether `word` stands in `text` with no letter or digit beside it.
bool has_word(std::string_view text, std::string_view word) {
  const auto is_part = [&](std::size_t at) {
    return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
  };
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    if ((at == 0 || !is_part(at - 1)) && !is_part(at + word.size())) return true;
  }
  return false;
}

struct Include {
  std::size_t line;
  bool is_quoted;
  std::string path;
};

std::vector<Include> includes_of(const SourceText& source) {
  static const std::regex kInclude(R"(^#include (["<])([^">]+)[">])");
  std::vector<Include> includes;
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    std::smatch match;
    if (starts_with(source.code[i], "#include") &&
        std::regex_search(source.code[i], match, kInclude)) {
      includes.push_back({i + 1, match.str(1) == "\"", match.str(2)});
    }
  }
  return includes;
}

void append(std::vector<Finding>& all, std::vector<Finding> more) {
  for (Finding& finding : more) all.push_back(std::move(finding));
}

}  // namespace

std::string to_string(const Finding& finding) {
  return finding.path + ':' + std::to_string(finding.line) + ": " + finding.rule + ": " +
         finding.remedy;
}

std::vector<Finding> check_includes(const SourceText& source, const Tree& tree) {
  std::vector<Finding> findings;
  const auto layer = std::find_if(layers().begin(), layers().end(), [&](const Layer& entry) {
    return starts_with(source.path, entry.prefix);
  });
  if (layer == layers().end()) {
    return {{source.path, 0, "include-direction", "give this folder its place in the layers"}};
  }
  for (const Include& include : includes_of(source)) {
    if (!include.is_quoted) {
      const bool is_allowed =
          std::find(kCoreHeaders.begin(), kCoreHeaders.end(), include.path) != kCoreHeaders.end();
      if (starts_with(source.path, "core/") && !is_allowed) {
        findings.push_back({source.path, include.line, "core-header",
                            "core has no heap and no system: do without <" + include.path + ">"});
      }
      continue;
    }
    if (tree.count(include.path) == 0) {
      findings.push_back({source.path, include.line, "include-path",
                          "name a header of this workspace, from its root"});
      continue;
    }
    const bool points_down =
        std::any_of(layer->may_include.begin(), layer->may_include.end(),
                    [&](std::string_view prefix) { return starts_with(include.path, prefix); });
    if (!points_down) {
      findings.push_back({source.path, include.line, "include-direction",
                          std::string(layer->prefix) + " may not include " + include.path});
    }
  }
  return findings;
}

std::vector<Finding> check_own_header_first(const SourceText& source, const Tree& tree) {
  if (!ends_with(source.path, ".cc")) return {};
  std::string stem = source.path.substr(0, source.path.size() - 3);
  if (starts_with(stem, "tests/") && ends_with(stem, "_test")) {
    stem = stem.substr(6, stem.size() - 6 - 5);
  }
  if (tree.count(stem + ".h") == 0 && ends_with(stem, "_linux")) stem.resize(stem.size() - 6);
  const std::string own = stem + ".h";
  if (tree.count(own) == 0) return {};
  const std::vector<Include> includes = includes_of(source);
  if (!includes.empty() && includes.front().path == own) return {};
  // A test that drives a whole program has no use for its header.
  const bool is_included = std::any_of(includes.begin(), includes.end(),
                                       [&](const Include& entry) { return entry.path == own; });
  if (starts_with(source.path, "tests/") && !is_included) return {};
  return {{source.path, includes.empty() ? 0 : includes.front().line, "own-header-first",
           "include \"" + own + "\" before all others"}};
}

std::vector<Finding> check_futex(const SourceText& source) {
  static const std::regex kPrivate(R"(FUTEX2?_(\w+_)?PRIVATE)");
  std::vector<Finding> findings;
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    if (source.code[i].find("PRIVATE") != std::string::npos &&
        std::regex_search(source.code[i], kPrivate)) {
      findings.push_back({source.path, i + 1, "shared-futex",
                          "a private futex is not seen by other processes: leave the flag out"});
    }
  }
  return findings;
}

std::vector<Finding> check_size(const SourceText& source) {
  std::vector<Finding> findings;
  if (ends_with(source.path, ".h")) {
    if (source.lines.size() > kMaxHeaderLines) {
      findings.push_back({source.path, source.lines.size(), "header-length",
                          "split it: a header has at most 400 lines"});
    }
    if (std::none_of(source.code.begin(), source.code.end(),
                     [](const std::string& line) { return starts_with(line, "#pragma once"); })) {
      findings.push_back({source.path, 1, "header-guard", "add #pragma once"});
    }
  }
  for (const FunctionBody& body : function_bodies(source)) {
    if (body.last_line - body.first_line + 1 > kMaxFunctionLines) {
      findings.push_back({source.path, body.first_line + 1, "function-length",
                          "split it: a function has at most 70 lines, this one " +
                              std::to_string(body.last_line - body.first_line + 1)});
    }
  }
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    if (column_count(source.lines[i]) > kMaxColumns) {
      findings.push_back(
          {source.path, i + 1, "line-length", "wrap it: a line has at most 100 columns"});
    }
  }
  return findings;
}

std::vector<Finding> check_sleep(const SourceText& source) {
  static const std::regex kSleep(
      R"(\b(sleep_for|sleep_until)\b|\b(usleep|nanosleep|clock_nanosleep|sleep)\s*\()");
  std::vector<Finding> findings;
  if (!starts_with(source.path, "tests/")) return findings;
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    if (source.code[i].find("sleep") != std::string::npos &&
        std::regex_search(source.code[i], kSleep)) {
      findings.push_back({source.path, i + 1, "test-sleep",
                          "wait for what is wanted, with a deadline, instead of sleeping"});
    }
  }
  return findings;
}

std::vector<Finding> check_leftovers(std::string_view path, std::string_view text) {
  // Put together here, so that this file does not find itself.
  static const std::array<std::string, 4> kMarks{std::string("TO") + "DO",
                                                 std::string("FIX") + "ME", std::string("XX") + "X",
                                                 std::string("HA") + "CK"};
  std::vector<Finding> findings;
  std::size_t line = 1;
  for (std::size_t begin = 0; begin <= text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view words = text.substr(begin, end - begin);
    if (std::any_of(kMarks.begin(), kMarks.end(),
                    [&](const std::string& mark) { return has_word(words, mark); })) {
      findings.push_back(
          {std::string(path), line, "leftover", "finish it, or say what is true today"});
    }
    begin = end + 1;
  }
  return findings;
}

std::vector<Finding> check_folder(std::string_view path) {
  static constexpr std::array<std::string_view, 11> kBanned{
      "util", "utils", "common", "misc", "helpers", "include", "src", "lib", "doc", "docs", "old"};
  std::size_t begin = 0;
  for (std::size_t end = path.find('/'); end != std::string_view::npos;
       begin = end + 1, end = path.find('/', begin)) {
    const std::string_view folder = path.substr(begin, end - begin);
    if (std::find(kBanned.begin(), kBanned.end(), folder) != kBanned.end()) {
      return {{std::string(path), 0, "folder-name",
               "name the folder " + std::string(folder) + "/ after what is in it"}};
    }
  }
  return {};
}

std::vector<Finding> check_built(const Tree& tree) {
  std::vector<Finding> findings;
  for (const auto& [path, text] : tree) {
    if (!is_source(path)) continue;
    const std::size_t slash = path.rfind('/');
    const auto build = tree.find(path.substr(0, slash + 1) + "BUILD");
    const std::string name = '"' + path.substr(slash + 1) + '"';
    if (build != tree.end() && build->second.find(name) != std::string::npos) continue;
    findings.push_back({path, 0, "built", "name " + name + " in the BUILD file of its folder"});
  }
  return findings;
}

std::vector<Finding> check_tree(const Tree& tree) {
  std::vector<Finding> findings;
  std::vector<SourceText> sources;
  for (const auto& [path, text] : tree) {
    append(findings, check_folder(path));
    append(findings, check_leftovers(path, text));
    if (!is_source(path)) continue;
    const SourceText& source = sources.emplace_back(read_source(path, text));
    append(findings, check_includes(source, tree));
    append(findings, check_own_header_first(source, tree));
    append(findings, check_explicit_order(source));
    append(findings, check_atomics_policy(source));
    append(findings, check_order_reason(source));
    append(findings, check_futex(source));
    append(findings, check_size(source));
    append(findings, check_sleep(source));
  }
  append(findings, check_built(tree));
  const auto page = tree.find("core/ORDERING.md");
  append(findings, check_labels(sources, page == tree.end() ? "" : page->second));
  append(findings, check_references(tree, sources));
  return findings;
}

}  // namespace slipring::tidy
