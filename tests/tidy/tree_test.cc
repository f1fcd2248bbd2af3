// Holds the whole source tree to the house's rules, and reports every offence at once.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/tidy/tidy_rules.h"

namespace slipring::tidy {
namespace {

namespace fs = std::filesystem;

constexpr const char* kParts[] = {"bench", "core", "pipelines", "platform", "tests", "tools"};

// Bazel gives the test a link to one file of the source tree; the tree is where it leads.
fs::path source_root() {
  return fs::canonical(".clang-format").parent_path();
}

// Of the others it counts that they are there.
bool is_read(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".h" || extension == ".cc" || extension == ".md" || extension == ".bzl" ||
         extension == ".toml" || extension == ".sh" || path.filename() == "BUILD";
}

void add(Tree& tree, const fs::path& root, const fs::directory_entry& entry) {
  if (!entry.is_regular_file()) return;
  std::string& text = tree[entry.path().lexically_relative(root).generic_string()];
  if (!is_read(entry.path())) return;
  std::ifstream file(entry.path(), std::ios::binary);
  text.assign(std::istreambuf_iterator<char>(file), {});
}

Tree read_tree(const fs::path& root) {
  Tree tree;
  for (const fs::directory_entry& entry : fs::directory_iterator(root)) add(tree, root, entry);
  for (const char* part : kParts) {
    if (!fs::exists(root / part)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / part)) {
      add(tree, root, entry);
    }
  }
  return tree;
}

TEST_CASE("tidy: the source tree keeps the house's rules") {
  const Tree tree = read_tree(source_root());
  // Fewer would mean that the tree was not found.
  REQUIRE(tree.size() > 50);
  REQUIRE(tree.count("core/ring/slot_ring.h") == 1);
  for (const Finding& finding : check_tree(tree)) {
    const std::string text = to_string(finding);
    FAIL_CHECK(text);
  }
  MESSAGE("files: ", tree.size());
}

}  // namespace
}  // namespace slipring::tidy
