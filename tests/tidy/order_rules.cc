// The rules on atomic operations and their labels.

#include <array>
#include <iterator>
#include <map>
#include <regex>
#include <set>

#include "tests/tidy/tidy_rules.h"

namespace slipring::tidy {
namespace {

constexpr std::string_view kOrderingPage = "core/ORDERING.md";

// What follows a word, or the policy of a ring.
constexpr const char* kOperations =
    R"((load|store|exchange|compare_exchange(_weak|_strong)?|fetch_(add|sub|and|or|xor)|)"
    R"(test_and_set|fence)\()";

// Passes on the orders that its callers name.
constexpr std::string_view kPolicyHeader = "core/cpu/atomics.h";

// Comments that belong to the statement on `line`: its own, those to its end, and those above it,
// as far as an empty line or five lines of code.
std::string comments_of(const SourceText& source, std::size_t line) {
  std::string text;
  for (std::size_t i = line; i < source.code.size() && i < line + 4; ++i) {
    text += source.comments[i] + ' ';
    if (source.code[i].find(';') != std::string::npos) break;
  }
  int code_line_count = 0;
  for (std::size_t i = line; i-- > 0;) {
    const bool has_code = source.code[i].find_first_not_of(' ') != std::string::npos;
    if (!has_code && source.comments[i].empty()) break;
    if (has_code && ++code_line_count > 5) break;
    text.insert(0, source.comments[i] + ' ');
  }
  return text;
}

bool is_product(const std::string& path) {
  return path.rfind("tests/", 0) != 0 && path.rfind("bench/", 0) != 0;
}

// The text from `column` of `line` to the parenthesis that closes the one there.
std::string arguments(const SourceText& source, std::size_t line, std::size_t column) {
  std::string text;
  int depth = 0;
  for (std::size_t i = line; i < source.code.size() && i < line + 8; ++i) {
    for (std::size_t at = i == line ? column : 0; at < source.code[i].size(); ++at) {
      const char c = source.code[i][at];
      text += c;
      if (c == '(') ++depth;
      if (c == ')' && --depth == 0) return text;
    }
    text += ' ';
  }
  return text;
}

}  // namespace

std::vector<Finding> check_explicit_order(const SourceText& source) {
  static const std::regex kOperation(R"((\.|->|Atomics::))" + std::string(kOperations));
  std::vector<Finding> findings;
  if (!is_product(source.path) || source.path == kPolicyHeader) return findings;
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    if (line.find('(') == std::string::npos) continue;
    for (std::sregex_iterator it(line.begin(), line.end(), kOperation), end; it != end; ++it) {
      const auto open = static_cast<std::size_t>(it->position() + it->length() - 1);
      if (arguments(source, i, open).find("memory_order_") != std::string::npos) continue;
      findings.push_back(
          {source.path, i + 1, "explicit-order", "name the memory order of " + it->str(2) + "()"});
    }
  }
  return findings;
}

std::vector<Finding> check_atomics_policy(const SourceText& source) {
  static const std::regex kDirect(R"((\.|->|\batomic_thread_))" + std::string(kOperations));
  static const std::regex kByPolicy("Atomics::" + std::string(kOperations));
  std::vector<Finding> findings;
  if (source.path.rfind("core/ring/", 0) != 0 && source.path.rfind("core/pool/", 0) != 0) {
    return findings;
  }
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    if (std::regex_search(line, kDirect)) {
      findings.push_back({source.path, i + 1, "atomics-policy",
                          "call it through Atomics, as core/cpu/atomics.h says"});
    }
    if (std::distance(std::sregex_iterator(line.begin(), line.end(), kByPolicy),
                      std::sregex_iterator()) > 1) {
      findings.push_back(
          {source.path, i + 1, "atomics-policy", "give each operation its own line"});
    }
  }
  return findings;
}

std::vector<Finding> check_order_reason(const SourceText& source) {
  static const std::regex kOrder(R"(memory_order_(relaxed|acquire|release|acq_rel|seq_cst))");
  static const std::regex kPair(R"([a-z_]+\.[A-Z]\b.*pairs with)");
  std::vector<Finding> findings;
  if (!is_product(source.path)) return findings;
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    std::smatch match;
    if (source.code[i].find("memory_order_") == std::string::npos) continue;
    if (!std::regex_search(source.code[i], match, kOrder)) continue;
    // A signal fence orders one thread against its own interruption; it has no partner.
    if (source.code[i].find("atomic_signal_fence") != std::string::npos) continue;
    const bool is_relaxed = match.str(1) == "relaxed";
    const std::string comments = comments_of(source, i);
    if (is_relaxed ? comments.find("relaxed") != std::string::npos
                   : std::regex_search(comments, kPair)) {
      continue;
    }
    findings.push_back(
        {source.path, i + 1, "order-reason",
         is_relaxed ? "say beside it why this order is enough: // relaxed: reason"
                    : "say beside it which label it pairs with: // ring.A pairs with ring.B"});
  }
  return findings;
}

std::vector<Finding> check_labels(const std::vector<SourceText>& sources,
                                  std::string_view ordering_page) {
  struct Place {
    std::string path;
    std::size_t line;
  };
  static const std::regex kSite(R"(([a-z_]+)\.([A-Z]) pairs with ([^/;:]*))");
  static const std::regex kPartner(R"(([a-z_]*)\.([A-Z])\b)");
  std::map<std::string, Place> sites;     // labels that stand at an operation
  std::map<std::string, Place> partners;  // labels that an operation asks for
  for (const SourceText& source : sources) {
    if (!is_product(source.path)) continue;
    for (std::size_t i = 0; i < source.comments.size(); ++i) {
      std::smatch match;
      if (source.comments[i].find(" pairs with ") == std::string::npos) continue;
      if (!std::regex_search(source.comments[i], match, kSite)) continue;
      sites.try_emplace(match.str(1) + '.' + match.str(2), Place{source.path, i + 1});
      const std::string rest = match.str(3);
      for (std::sregex_iterator it(rest.begin(), rest.end(), kPartner), end; it != end; ++it) {
        const std::string family = it->str(1).empty() ? match.str(1) : it->str(1);
        partners.try_emplace(family + '.' + it->str(2), Place{source.path, i + 1});
      }
    }
  }
  std::set<std::string> documented;
  const std::string page(ordering_page);
  static const std::regex kLabel(R"(\b([a-z_]+)\.([A-Z])\b)");
  for (std::sregex_iterator it(page.begin(), page.end(), kLabel), end; it != end; ++it) {
    documented.insert(it->str());
  }
  std::vector<Finding> findings;
  for (const auto& [label, place] : sites) {
    if (documented.count(label) == 0) {
      findings.push_back(
          {place.path, place.line, "label", "add " + label + " to " + std::string(kOrderingPage)});
    }
  }
  for (const auto& [label, place] : partners) {
    if (sites.count(label) == 0) {
      findings.push_back({place.path, place.line, "label", "no operation is marked " + label});
    }
  }
  for (const std::string& label : documented) {
    if (sites.count(label) == 0) {
      findings.push_back(
          {std::string(kOrderingPage), 0, "label", label + " stands at no operation"});
    }
  }
  return findings;
}

}  // namespace slipring::tidy
