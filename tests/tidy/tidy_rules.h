// The house's rules, as functions from text to findings.
//
// Each rule looks at one file, except those on ordering labels, BUILD files and references, which
// need the whole tree.  They see text, not syntax: what they cannot see is left to review.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy/source_text.h"

namespace slipring::tidy {

struct Finding {
  std::string path;
  std::size_t line;  // from 1; 0 when it is about the whole file
  std::string rule;
  std::string remedy;
};

// "path:line: rule: remedy"
[[nodiscard]] std::string to_string(const Finding& finding);

// All the files of the workspace, by path relative to it; of those that no rule reads, the text is
// empty.
using Tree = std::map<std::string, std::string>;

// Includes point down only, name workspace paths, and core takes nothing that needs a system.
std::vector<Finding> check_includes(const SourceText& source, const Tree& tree);

// A .cc includes its own header first; a test the header that it tests, if it includes it.
std::vector<Finding> check_own_header_first(const SourceText& source, const Tree& tree);

// Every atomic operation names its order, except in tests.
std::vector<Finding> check_explicit_order(const SourceText& source);

// Rings and pools touch shared memory through their policy (core/cpu/atomics.h) alone, one
// operation a line: a model knows an operation by its line.
std::vector<Finding> check_atomics_policy(const SourceText& source);

// Every named order says which label it pairs with or, if relaxed, why that is enough.
std::vector<Finding> check_order_reason(const SourceText& source);

// Labels have two ends in the code, and stand in core/ORDERING.md; so do the labels of that page.
std::vector<Finding> check_labels(const std::vector<SourceText>& sources,
                                  std::string_view ordering_page);

// Futexes of shared memory are never process-private.
std::vector<Finding> check_futex(const SourceText& source);

// Headers <= 400 lines and guarded, functions <= 70 lines, lines <= 100 columns.
std::vector<Finding> check_size(const SourceText& source);

// Tests wait by deadline and retry, never by sleeping.
std::vector<Finding> check_sleep(const SourceText& source);

// Nothing is left behind for later.
std::vector<Finding> check_leftovers(std::string_view path, std::string_view text);

// No folder whose name says nothing.
std::vector<Finding> check_folder(std::string_view path);

// Every source file is named in the BUILD file of its folder.
std::vector<Finding> check_built(const Tree& tree);

// Pages and comments refer to what is there: Markdown links and their anchors, paths from the root,
// Bazel labels, and, by name alone, files and tests.
std::vector<Finding> check_references(const Tree& tree, const std::vector<SourceText>& sources);

// All of the above.
std::vector<Finding> check_tree(const Tree& tree);

}  // namespace slipring::tidy
