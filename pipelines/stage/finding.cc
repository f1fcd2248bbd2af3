#include "pipelines/stage/finding.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace slipring {
namespace {

constexpr std::size_t kMaxShownBytes = 60;
constexpr std::size_t kMaxNameBytes = 32;  // of what a word may have been meant to be

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Slips between two words: insertions, deletions, replacements, swapped neighbours.
std::size_t slip_count(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                           lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string to_string(const Finding& finding, std::string_view file) {
  std::string text(file);
  if (finding.line > 0) text += ":" + std::to_string(finding.line);
  text += ": " + finding.wrong + ": " + finding.found + "; " + finding.remedy;
  // The file's words reach a terminal here: nothing in them may steer it.
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

void sort_findings(std::vector<Finding>& findings) {
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.line < b.line; });
}

std::optional<std::string> nearest_name(std::string_view word,
                                        std::span<const std::string> candidates) {
  // A key that somebody pastes may be long; nothing that long is a slip of a name of ours.
  if (word.size() > 2 * kMaxNameBytes) return std::nullopt;
  const std::string* best = nullptr;
  std::size_t best_slips = 0;
  for (const std::string& candidate : candidates) {
    const std::size_t slips = slip_count(word, candidate);
    const std::size_t allowed = std::max<std::size_t>(1, candidate.size() / 3);
    // Every letter of a short word replaced is another word.
    if (slips > allowed || slips >= candidate.size()) continue;
    if (best == nullptr || slips < best_slips) {
      best = &candidate;
      best_slips = slips;
    }
  }
  if (best == nullptr) return std::nullopt;
  return *best;
}

std::string quoted(std::string_view text) {
  if (text.size() <= kMaxShownBytes) return "\"" + std::string(text) + "\"";
  return "\"" + std::string(text.substr(0, kMaxShownBytes)) + "…\"";
}

std::string comma_list(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string remedy_for(std::string_view word, std::span<const std::string> known) {
  if (const auto meant = nearest_name(word, known)) return "did you mean " + quoted(*meant) + "?";
  return "known here: " + comma_list(known);
}

}  // namespace slipring
