// Every rule is shown a text that breaks it and one that keeps it: a checker that finds nothing
// proves nothing until it has been seen to find something.

#include "tests/tidy/tidy_rules.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/tidy/source_text.h"

namespace slipring::tidy {
namespace {

SourceText source(std::string path, std::string_view text) {
  return read_source(std::move(path), text);
}

std::vector<Finding> orders(std::string_view text) {
  std::vector<Finding> findings = check_explicit_order(source("core/ring/a.h", text));
  for (Finding& finding : check_order_reason(source("core/ring/a.h", text))) {
    findings.push_back(std::move(finding));
  }
  return findings;
}

TEST_CASE("source_text: comments and literals are no code") {
  const SourceText text = source("a.cc",
                                 "int a = 1'000; // not {code}\n"
                                 "const char* b = \"// no comment {\"; /* one\n"
                                 "two */ char c = '\"'; int d;\n"
                                 "auto e = R\"x(}} // raw)x\"; // last\n");
  REQUIRE(text.lines.size() == 4);
  CHECK(text.code[0] == "int a = 1'000; ");
  CHECK(text.comments[0] == " not {code}");
  CHECK(text.code[1].find('{') == std::string::npos);
  CHECK(text.comments[1].find("one") != std::string::npos);
  CHECK(text.comments[2].find("two") != std::string::npos);
  CHECK(text.code[2].find("int d;") != std::string::npos);
  CHECK(text.code[3].find('}') == std::string::npos);
  CHECK(text.comments[3] == " last");
}

TEST_CASE("source_text: function bodies are found, types and initialisers are not") {
  const SourceText text = source("a.cc",
                                 "namespace n {\nstruct S {\n  int f() const noexcept {\n"
                                 "    if (x) {\n      y();\n    }\n  }\n  int z = 0;\n};\n"
                                 "const int kTable[] = {\n  1,\n};\n"
                                 "void g(int a,\n       int b) {\n  auto l = [] {\n  };\n}\n}\n");
  const std::vector<FunctionBody> bodies = function_bodies(text);
  REQUIRE(bodies.size() == 2);
  CHECK(bodies[0].first_line == 2);
  CHECK(bodies[0].last_line == 6);
  CHECK(bodies[1].first_line == 13);
  CHECK(bodies[1].last_line == 16);
}

TEST_CASE("tidy: an include that points up is found") {
  const Tree tree{{"core/ring/a.h", ""},
                  {"core/error/a.h", ""},
                  {"core/pool/a.h", ""},
                  {"platform/a.h", ""},
                  {"pipelines/link/a.h", ""},
                  {"pipelines/stage/a.h", ""},
                  {"pipelines/settop/a.h", ""},
                  {"tools/a.h", ""},
                  {"tests/a.h", ""},
                  {"bench/a.h", ""}};
  const auto found = [&](std::string from, const std::string& to) {
    return check_includes(source(std::move(from), "#include \"" + to + "\"\n"), tree).size();
  };
  CHECK(found("core/error/b.h", "core/ring/a.h") == 1);
  CHECK(found("core/ring/b.h", "core/pool/a.h") == 1);
  CHECK(found("core/ring/b.h", "platform/a.h") == 1);
  CHECK(found("platform/b.cc", "core/ring/a.h") == 1);
  CHECK(found("pipelines/link/b.cc", "pipelines/stage/a.h") == 1);
  CHECK(found("pipelines/stage/b.cc", "pipelines/settop/a.h") == 1);
  CHECK(found("pipelines/settop/b.cc", "tools/a.h") == 1);
  CHECK(found("tools/b.cc", "tests/a.h") == 1);
  CHECK(found("bench/b.cc", "tests/a.h") == 1);
  CHECK(found("core/ring/b.h", "core/ring/none.h") == 1);
  CHECK(found("attic/b.h", "core/ring/a.h") == 1);

  CHECK(found("core/ring/b.h", "core/error/a.h") == 0);
  CHECK(found("core/pool/b.h", "core/ring/a.h") == 0);
  CHECK(found("platform/b.cc", "core/error/a.h") == 0);
  CHECK(found("tools/b.cc", "pipelines/settop/a.h") == 0);
  CHECK(found("tests/b.cc", "bench/a.h") == 0);
}

TEST_CASE("tidy: a system header in core is found") {
  const auto found = [](std::string path, const std::string& header) {
    return check_includes(source(std::move(path), "#include <" + header + ">\n"), {}).size();
  };
  for (const char* header : {"unistd.h", "sys/mman.h", "linux/futex.h", "vector", "string",
                             "memory", "functional", "iostream"}) {
    CHECK(found("core/ring/a.h", header) == 1);
    CHECK(found("platform/a.h", header) == 0);
  }
  CHECK(found("core/ring/a.h", "atomic") == 0);
}

TEST_CASE("tidy: a .cc that includes another header first is found") {
  const Tree tree{{"platform/wait/a.h", ""}, {"platform/wait/b.h", ""}};
  const std::string wrong = "#include <array>\n#include \"platform/wait/a.h\"\n";
  const std::string right = "#include \"platform/wait/a.h\"\n\n#include <array>\n";
  for (const char* path :
       {"platform/wait/a.cc", "platform/wait/a_linux.cc", "tests/platform/wait/a_test.cc"}) {
    CHECK(check_own_header_first(source(path, wrong), tree).size() == 1);
    CHECK(check_own_header_first(source(path, right), tree).empty());
  }
  CHECK(check_own_header_first(source("platform/wait/main.cc", wrong), tree).empty());
  const std::string without = "#include <array>\n";
  CHECK(check_own_header_first(source("platform/wait/a.cc", without), tree).size() == 1);
  CHECK(check_own_header_first(source("tests/platform/wait/a_test.cc", without), tree).empty());
}

TEST_CASE("tidy: an atomic operation without an order is found") {
  CHECK(orders("x.load();\n").size() == 1);
  CHECK(orders("x->store(1);\n").size() == 1);
  CHECK(orders("x.fetch_add(f(1));\n").size() == 1);
  CHECK(orders("// relaxed: alone\nx.store(f(1),\n        std::memory_order_relaxed);\n").empty());
  CHECK(orders("// x.load()\nconst char* s = \"x.load()\";\n").empty());
}

TEST_CASE("tidy: an operation through a policy is held to the same rules") {
  CHECK(orders("Atomics::load(x, order);\n").size() == 1);
  CHECK(orders("Atomics::compare_exchange(x, y,\n    z, done, failed);\n").size() == 1);
  CHECK(orders("Atomics::store(x, 1, std::memory_order_relaxed);\n").size() == 1);
  CHECK(orders("Atomics::fence(std::memory_order_acquire);\n").size() == 1);
  CHECK(orders("// relaxed: alone\nAtomics::store(x, 1, std::memory_order_relaxed);\n").empty());
  CHECK(check_explicit_order(source("core/cpu/atomics.h", "word.load(order);\n")).empty());
}

TEST_CASE("tidy: an operation past the policy, and two on a line, are found") {
  const auto found = [](const char* path, const char* text) {
    return check_atomics_policy(source(path, text)).size();
  };
  for (const char* path : {"core/ring/a.h", "core/pool/a.h"}) {
    CHECK(found(path, "x.load(std::memory_order_relaxed);\n") == 1);
    CHECK(found(path, "x->compare_exchange_strong(y, z,\n") == 1);
    CHECK(found(path, "std::atomic_thread_fence(std::memory_order_release);\n") == 1);
    CHECK(found(path, "Atomics::load(x, a) - Atomics::load(y, a);\n") == 1);
    CHECK(found(path, "Atomics::load(x, a) -\n    Atomics::load(y, a);\n") == 0);
    CHECK(found(path, "Way::load(x, y, 8);\n") == 0);
  }
  CHECK(found("core/cpu/atomics.h", "word.load(order);\n") == 0);
  CHECK(found("platform/wait/a.h", "x.load(std::memory_order_relaxed);\n") == 0);
}

TEST_CASE("tidy: an order without its reason is found") {
  CHECK(orders("x.load(std::memory_order_relaxed);\n").size() == 1);
  CHECK(orders("x.load(std::memory_order_acquire);\n").size() == 1);
  CHECK(orders("x.load(std::memory_order_acquire);  // for safety\n").size() == 1);
  CHECK(orders("// relaxed: far above\n\nx.load(std::memory_order_relaxed);\n").size() == 1);
  CHECK(orders("// ring.A pairs with ring.B\na();\nb();\nc();\nd();\ne();\nf();\n"
               "x.load(std::memory_order_acquire);\n")
            .size() == 1);
  CHECK(orders("std::atomic_thread_fence(std::memory_order_seq_cst);\n").size() == 1);

  CHECK(orders("x.load(std::memory_order_acquire);  // ring.A pairs with ring.B\n").empty());
  CHECK(orders("// ring.A pairs with ring.B.\nconst int y =\n    "
               "x.load(std::memory_order_acquire);\n")
            .empty());
  CHECK(orders("x.store(1,\n  std::memory_order_release);  // ring.B pairs with ring.A\n").empty());
  CHECK(orders("std::atomic_signal_fence(std::memory_order_seq_cst);\n").empty());
  CHECK(check_order_reason(source("tests/a.cc", "x.load(std::memory_order_acquire);\n")).empty());
}

TEST_CASE("tidy: a label without its other end, or missing in ORDERING.md, is found") {
  const auto labels = [](std::string_view text, std::string_view page) {
    return check_labels({source("core/ring/a.h", text)}, page).size();
  };
  const std::string both = "// ring.A pairs with ring.B\n// ring.B pairs with ring.A\n";
  CHECK(labels(both, "ring.A ring.B") == 0);
  CHECK(labels(both, "ring.A") == 1);
  CHECK(labels(both, "ring.A ring.B ring.C") == 1);
  CHECK(labels("// ring.A pairs with ring.B\n", "ring.A") == 1);
  CHECK(labels("// ring.A pairs with ring.B and .C\n// ring.B pairs with ring.A\n"
               "// ring.C pairs with ring.A\n",
               "ring.A ring.B ring.C") == 0);
  CHECK(labels("// ring.A pairs with ring.B and .C\n// ring.B pairs with ring.A\n",
               "ring.A ring.B") == 1);
}

TEST_CASE("tidy: a private futex is found") {
  CHECK(check_futex(source("platform/a.cc", "f(FUTEX_WAIT | FUTEX_PRIVATE_FLAG);\n")).size() == 1);
  CHECK(check_futex(source("platform/a.cc", "f(FUTEX_WAKE_PRIVATE);\n")).size() == 1);
  CHECK(check_futex(source("platform/a.cc", "f(FUTEX2_PRIVATE);\n")).size() == 1);
  CHECK(check_futex(source("platform/a.cc", "f(FUTEX_WAIT);  // never FUTEX_PRIVATE\n")).empty());
}

TEST_CASE("tidy: long headers, functions and lines are found, and headers without a guard") {
  const auto size = [](std::string path, const std::string& text) {
    return check_size(source(std::move(path), text)).size();
  };
  const std::string guard = "#pragma once\n";
  CHECK(size("a.h", guard + std::string(399, '\n')) == 0);
  CHECK(size("a.h", guard + std::string(400, '\n')) == 1);
  CHECK(size("a.h", "\n") == 1);
  CHECK(size("a.cc", "void f() {" + std::string(69, '\n') + "}\n") == 0);
  CHECK(size("a.cc", "void f() {" + std::string(70, '\n') + "}\n") == 1);
  CHECK(size("a.cc", "struct S {" + std::string(90, '\n') + "};\n") == 0);
  CHECK(size("a.cc", std::string(100, 'x') + "\n") == 0);
  CHECK(size("a.cc", std::string(101, 'x') + "\n") == 1);
  std::string dashes;
  for (int i = 0; i < 100; ++i) dashes += "\xe2\x80\x94";
  CHECK(size("a.cc", dashes + "\n") == 0);
}

TEST_CASE("tidy: a sleep in a test is found") {
  const auto sleeps = [](std::string path, std::string_view text) {
    return check_sleep(source(std::move(path), text)).size();
  };
  CHECK(sleeps("tests/a.cc", "std::this_thread::sleep_for(1ms);\n") == 1);
  CHECK(sleeps("tests/a.cc", "std::this_thread::sleep_until(t);\n") == 1);
  CHECK(sleeps("tests/a.cc", "usleep(1);\n") == 1);
  CHECK(sleeps("tests/a.cc", "::nanosleep(&t, nullptr);\n") == 1);
  CHECK(sleeps("tests/a.cc", "sleep (1);\n") == 1);
  CHECK(sleeps("tests/a.cc", "count_sleep();  // sleep(1)\n") == 0);
  CHECK(sleeps("platform/a.cc", "usleep(1);\n") == 0);
}

TEST_CASE("tidy: what was left for later is found") {
  const std::string mark = std::string("TO") + "DO";
  CHECK(check_leftovers("a.md", "fine\n" + mark + ": later\n").size() == 1);
  CHECK(check_leftovers("a.md", "fine\n" + mark + ": later\n").front().line == 2);
  CHECK(check_leftovers("a.cc", std::string("// FIX") + "ME").size() == 1);
  CHECK(check_leftovers("a.cc", "kTODOList and mkstemp(XXXXXX)").empty());
}

TEST_CASE("tidy: a folder whose name says nothing is found") {
  CHECK(check_folder("core/util/a.h").size() == 1);
  CHECK(check_folder("pipelines/link/src/a.h").size() == 1);
  CHECK(check_folder("docs/a.md").size() == 1);
  CHECK(check_folder("core/ring/common.h").empty());
  CHECK(check_folder("core/ring/record_ring.h").empty());
}

TEST_CASE("tidy: a file that no BUILD names is found") {
  const Tree tree{{"core/BUILD", "srcs = [\"a_test.cc\"]"},
                  {"core/a_test.cc", ""},
                  {"core/b_test.cc", ""},
                  {"other/c.h", ""}};
  const std::vector<Finding> findings = check_built(tree);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].path == "core/b_test.cc");
  CHECK(findings[1].path == "other/c.h");
}

TEST_CASE("tidy: a page or a comment that refers to what is not there is found") {
  const auto found = [](const std::string& page, const std::string& comment) {
    const Tree tree{{"README.md", "# One\n## Two words, and `code`\n"},
                    {"core/ring/BUILD", "name = \"ring_test\", name = \"ring\""},
                    {"core/ring/ring.h", ""},
                    {"core/ring/page.md", page}};
    std::string all;
    for (const Finding& finding : check_references(tree, {source("core/a.h", comment)})) {
      all += finding.remedy + '\n';
    }
    return all;
  };
  CHECK(found("[a](ring.h) [b](../../README.md#two-words-and-code) [c](https://x.org/y.h)\n"
              "`core/ring/ring.h`, core/ring/: //core/ring:ring_test, //core/ring/... :ring_test "
              "*_test x://core/none ring_test.\n",
              "// core/ring/ring.h, ring.h; <linux/none.h> //core/ring:ring.\n")
            .empty());
  for (const char* wrong : {"[a](rung.h)", "[a](../ring.h)", "[a](../../README.md#three)",
                            "`core/ring/rung.h`", "//core/rung:ring", "//core/ring:rung",
                            "//core/rung/...", "`rung_test`", ":rung_test", "rung.h"}) {
    CAPTURE(std::string(wrong));
    CHECK_FALSE(found(std::string("one\n") + wrong + " two", "").empty());
    const bool is_link = wrong[0] == '[';
    CHECK((is_link || !found("", std::string("// ") + wrong + ", two\n").empty()));
  }
}

TEST_CASE("tidy: findings of all rules are collected and say where and what to do") {
  const Tree tree{{"core/ring/a.h", "#include <vector>\nx.load();\n"},
                  {"core/ring/BUILD", "hdrs = [\"a.h\"]"}};
  std::string all;
  for (const Finding& finding : check_tree(tree)) all += to_string(finding) + '\n';
  CHECK(all ==
        "core/ring/a.h:1: core-header: core has no heap and no system: do without <vector>\n"
        "core/ring/a.h:2: explicit-order: name the memory order of load()\n"
        "core/ring/a.h:2: atomics-policy: call it through Atomics, as core/cpu/atomics.h says\n"
        "core/ring/a.h:1: header-guard: add #pragma once\n");
}

}  // namespace
}  // namespace slipring::tidy
