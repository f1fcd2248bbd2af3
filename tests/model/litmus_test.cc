// The model against the litmus tests of the C++ memory model: what is allowed is found, and what is
// forbidden is not.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error/check.h"
#include "tests/model/explorer.h"
#include "tests/model/model_atomics.h"

namespace slipring::model {
namespace {

using Atomics = ModelAtomics;
using AtomicWord = std::atomic<std::uint64_t>;
constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kAcqRel = std::memory_order_acq_rel;
constexpr auto kSeqCst = std::memory_order_seq_cst;

// Three words, a plain one, and what the fibres have read.
struct Shared {
  AtomicWord* x;
  AtomicWord* y;
  AtomicWord* z;
  std::uint64_t* plain;
  std::array<std::uint64_t, 4> r{};
};
using Body = std::function<void(Shared&)>;
using Outcome = std::array<std::uint64_t, 4>;

class Litmus : public Play {
 public:
  Litmus(Run& run, const std::vector<Body>& bodies, std::set<Outcome>& outcomes)
      : outcomes_(outcomes) {
    shared_ = {run.place<AtomicWord>(), run.place<AtomicWord>(), run.place<AtomicWord>(),
               run.place<std::uint64_t>()};
    for (const Body& body : bodies) run.fibre([this, &body] { body(shared_); });
  }
  void settle(Run&) override { outcomes_.insert(shared_.r); }

 private:
  Shared shared_{};
  std::set<Outcome>& outcomes_;
};

struct Seen {
  std::set<Outcome> outcomes;
  Found found;
  [[nodiscard]] bool has(const Outcome& outcome) const { return outcomes.count(outcome) == 1; }
};

// Also that known states hide nothing: entering them again and again has the same outcomes.
Seen run(const char* name, const std::vector<Body>& bodies, const Bounds& bounds = {}) {
  Seen seen;
  const Scene scene{name, bounds, [&](Run& one) -> std::unique_ptr<Play> {
                      return std::make_unique<Litmus>(one, bodies, seen.outcomes);
                    }};
  seen.found = explore(scene);
  ExploreOptions each;
  each.merges = false;
  each.max_executions = 200'000;
  const std::set<Outcome> merged = std::exchange(seen.outcomes, {});
  if (seen.found.wrong.empty()) {
    const bool is_complete = explore(scene, each).is_complete;
    CHECK(std::includes(merged.begin(), merged.end(), seen.outcomes.begin(), seen.outcomes.end()));
    if (is_complete) CHECK(merged == seen.outcomes);
  }
  seen.outcomes = merged;
  MESSAGE(std::string(name), ": outcomes ", seen.outcomes.size(), ", ", to_string(seen.found));
  return seen;
}

TEST_CASE("litmus: message passing needs release and acquire") {
  const auto passing = [](std::memory_order store, std::memory_order load) {
    return run("MP", {[=](Shared& s) {
                        Atomics::store(*s.x, 1, kRelaxed);
                        Atomics::store(*s.y, 1, store);
                      },
                      [=](Shared& s) {
                        s.r[0] = Atomics::load(*s.y, load);
                        s.r[1] = Atomics::load(*s.x, kRelaxed);
                      }});
  };
  CHECK_FALSE(passing(kRelease, kAcquire).has({1, 0}));
  CHECK(passing(kRelease, kAcquire).outcomes.size() == 3);
  CHECK(passing(kRelaxed, kAcquire).has({1, 0}));
  CHECK(passing(kRelease, kRelaxed).has({1, 0}));
}

TEST_CASE("litmus: a plain message without release or acquire is a data race") {
  const auto passing = [](std::memory_order store, std::memory_order load) {
    return run("MP, plain", {[=](Shared& s) {
                               Atomics::write(*s.plain, std::uint64_t{1});
                               Atomics::store(*s.y, 1, store);
                             },
                             [=](Shared& s) {
                               s.r[0] = Atomics::load(*s.y, load);
                               if (s.r[0] == 1) s.r[1] = Atomics::read(*s.plain);
                             }});
  };
  const Seen good = passing(kRelease, kAcquire);
  CHECK(good.found.wrong.empty());
  CHECK(good.outcomes == std::set<Outcome>{{0, 0}, {1, 1}});
  for (const Seen& bad : {passing(kRelaxed, kAcquire), passing(kRelease, kRelaxed)}) {
    CHECK(bad.found.wrong.find("data race") != std::string::npos);
    CHECK(bad.found.wrong.find("litmus_test.cc") != std::string::npos);
  }
}

TEST_CASE("litmus: fences order the relaxed accesses around them") {
  const auto passing = [](bool has_release, bool has_acquire) {
    return run("MP, fences", {[=](Shared& s) {
                                Atomics::write(*s.plain, std::uint64_t{1});
                                if (has_release) Atomics::fence(kRelease);
                                Atomics::store(*s.y, 1, kRelaxed);
                              },
                              [=](Shared& s) {
                                s.r[0] = Atomics::load(*s.y, kRelaxed);
                                if (has_acquire) Atomics::fence(kAcquire);
                                if (s.r[0] == 1) s.r[1] = Atomics::read(*s.plain);
                              }});
  };
  CHECK(passing(true, true).found.wrong.empty());
  CHECK_FALSE(passing(false, true).found.wrong.empty());
  CHECK_FALSE(passing(true, false).found.wrong.empty());
}

TEST_CASE("litmus: store buffering ends only with sequential consistency") {
  const auto buffering = [](std::memory_order store, std::memory_order load, bool has_fence) {
    return run("SB", {[=](Shared& s) {
                        Atomics::store(*s.x, 1, store);
                        if (has_fence) Atomics::fence(kSeqCst);
                        s.r[0] = Atomics::load(*s.y, load);
                      },
                      [=](Shared& s) {
                        Atomics::store(*s.y, 1, store);
                        if (has_fence) Atomics::fence(kSeqCst);
                        s.r[1] = Atomics::load(*s.x, load);
                      }});
  };
  CHECK(buffering(kRelease, kAcquire, false).has({0, 0}));
  CHECK(buffering(kSeqCst, kAcquire, false).has({0, 0}));
  CHECK(buffering(kRelease, kSeqCst, false).has({0, 0}));
  CHECK_FALSE(buffering(kSeqCst, kSeqCst, false).has({0, 0}));
  CHECK_FALSE(buffering(kRelaxed, kRelaxed, true).has({0, 0}));
  CHECK(buffering(kRelaxed, kRelaxed, true).outcomes.size() == 3);
}

TEST_CASE("litmus: load buffering is what the model leaves out") {
  const Seen seen = run("LB", {[](Shared& s) {
                                 s.r[0] = Atomics::load(*s.x, kRelaxed);
                                 Atomics::store(*s.y, 1, kRelaxed);
                               },
                               [](Shared& s) {
                                 s.r[1] = Atomics::load(*s.y, kRelaxed);
                                 Atomics::store(*s.x, 1, kRelaxed);
                               }});
  CHECK(seen.outcomes == std::set<Outcome>{{0, 0}, {0, 1}, {1, 0}});
}

TEST_CASE("litmus: two readers disagree about two writers unless all is sequentially consistent") {
  const auto iriw = [](std::memory_order store, std::memory_order load, bool has_fence) {
    const auto reader = [=](Shared& s, AtomicWord& first, AtomicWord& second, std::size_t at) {
      s.r[at] = Atomics::load(first, load);
      if (has_fence) Atomics::fence(kSeqCst);
      s.r[at + 1] = Atomics::load(second, load);
    };
    return run("IRIW", {[=](Shared& s) { Atomics::store(*s.x, 1, store); },
                        [=](Shared& s) { Atomics::store(*s.y, 1, store); },
                        [=](Shared& s) { reader(s, *s.x, *s.y, 0); },
                        [=](Shared& s) { reader(s, *s.y, *s.x, 2); }});
  };
  CHECK(iriw(kRelease, kAcquire, false).has({1, 0, 1, 0}));
  CHECK_FALSE(iriw(kSeqCst, kSeqCst, false).has({1, 0, 1, 0}));
  CHECK_FALSE(iriw(kRelaxed, kRelaxed, true).has({1, 0, 1, 0}));
  CHECK(iriw(kSeqCst, kSeqCst, false).outcomes.size() == 15);
}

TEST_CASE("litmus: what is known travels through a third") {
  const auto causality = [](std::memory_order middle) {
    return run("WRC", {[](Shared& s) { Atomics::store(*s.x, 1, kRelease); },
                       [=](Shared& s) {
                         s.r[0] = Atomics::load(*s.x, kAcquire);
                         Atomics::store(*s.y, 1, middle);
                       },
                       [](Shared& s) {
                         s.r[1] = Atomics::load(*s.y, kAcquire);
                         s.r[2] = Atomics::load(*s.x, kRelaxed);
                       }});
  };
  CHECK_FALSE(causality(kRelease).has({1, 1, 0}));
  CHECK(causality(kRelaxed).has({1, 1, 0}));
}

TEST_CASE("litmus: a release sequence goes on through read-modify-writes and no others") {
  const auto sequence = [](bool is_rmw) {
    return run("release sequence", {[](Shared& s) {
                                      Atomics::write(*s.plain, std::uint64_t{7});
                                      Atomics::store(*s.x, 1, kRelease);
                                    },
                                    [=](Shared& s) {
                                      std::uint64_t seen = 1;
                                      if (is_rmw) {
                                        (void)Atomics::compare_exchange(*s.x, seen, 2, kRelaxed,
                                                                        kRelaxed);
                                      } else if (Atomics::load(*s.x, kRelaxed) == 1) {
                                        Atomics::store(*s.x, 2, kRelaxed);
                                      }
                                    },
                                    [](Shared& s) {
                                      if (Atomics::load(*s.x, kAcquire) == 2) {
                                        s.r[0] = Atomics::read(*s.plain);
                                      }
                                    }});
  };
  const Seen whole = sequence(true);
  CHECK(whole.found.wrong.empty());
  CHECK(whole.has({7}));
  CHECK_FALSE(sequence(false).found.wrong.empty());
}

TEST_CASE("litmus: coherence, a word has one order for all") {
  const Seen reads = run("CoRR", {[](Shared& s) {
                                    Atomics::store(*s.x, 1, kRelaxed);
                                    Atomics::store(*s.x, 2, kRelaxed);
                                  },
                                  [](Shared& s) {
                                    s.r[0] = Atomics::load(*s.x, kRelaxed);
                                    s.r[1] = Atomics::load(*s.x, kRelaxed);
                                  }});
  CHECK(reads.outcomes.size() == 6);
  CHECK(reads.has({0, 2}));
  CHECK_FALSE(reads.has({2, 1}));
  CHECK_FALSE(reads.has({1, 0}));

  const auto two = [](Shared& s, std::size_t at) {
    s.r[at] = Atomics::load(*s.x, kRelaxed);
    s.r[at + 1] = Atomics::load(*s.x, kRelaxed);
  };
  const Seen agree = run("CoRR2", {[](Shared& s) { Atomics::store(*s.x, 1, kRelaxed); },
                                   [](Shared& s) { Atomics::store(*s.x, 2, kRelaxed); },
                                   [&](Shared& s) { two(s, 0); }, [&](Shared& s) { two(s, 2); }});
  CHECK(agree.has({1, 2, 1, 2}));
  CHECK(agree.has({2, 1, 2, 1}));
  CHECK_FALSE(agree.has({1, 2, 2, 1}));
}

TEST_CASE("litmus: a store may come before one that was executed earlier") {
  // 2+2W: each word ends with the value of the other's first store.
  const auto both = [](std::memory_order order) {
    return run("2+2W", {[=](Shared& s) {
                          Atomics::store(*s.x, 1, order);
                          Atomics::store(*s.y, 2, order);
                        },
                        [=](Shared& s) {
                          Atomics::store(*s.y, 1, order);
                          Atomics::store(*s.x, 2, order);
                        },
                        [](Shared& s) {
                          s.r[0] = Atomics::load(*s.x, kRelaxed);
                          s.r[1] = Atomics::load(*s.x, kRelaxed);
                        },
                        [](Shared& s) {
                          s.r[2] = Atomics::load(*s.y, kRelaxed);
                          s.r[3] = Atomics::load(*s.y, kRelaxed);
                        }});
  };
  CHECK(both(kRelease).has({2, 1, 2, 1}));
  CHECK_FALSE(both(kSeqCst).has({2, 1, 2, 1}));
}

TEST_CASE("litmus: of read-modify-writes each reads another store") {
  const auto add = [](Shared& s, std::size_t at) {
    std::uint64_t seen = 0;
    while (!Atomics::compare_exchange(*s.x, seen, seen + 1, kRelaxed, kRelaxed)) {
    }
    s.r[at] = seen;
  };
  const Seen counted = run("count", {[&](Shared& s) { add(s, 0); }, [&](Shared& s) { add(s, 1); },
                                     [&](Shared& s) { add(s, 2); }});
  CHECK(counted.found.is_complete);
  CHECK(counted.outcomes.size() == 6);

  const Seen taken =
      run("exchange", {[](Shared& s) { s.r[0] = Atomics::exchange(*s.x, 1, kAcqRel); },
                       [](Shared& s) { s.r[1] = Atomics::exchange(*s.x, 2, kAcqRel); }});
  CHECK(taken.outcomes == std::set<Outcome>{{0, 1}, {2, 0}});
}

TEST_CASE("litmus: a failed comparison may have read an old value, a done one never") {
  const Seen seen = run("CAS", {[](Shared& s) {
                                  Atomics::store(*s.x, 1, kRelaxed);
                                  Atomics::store(*s.y, 1, kRelease);
                                },
                                [](Shared& s) {
                                  s.r[0] = Atomics::load(*s.y, kRelaxed);
                                  std::uint64_t old = 1;
                                  s.r[1] =
                                      Atomics::compare_exchange(*s.x, old, 2, kRelaxed, kRelaxed);
                                  s.r[2] = old;
                                }});
  CHECK(seen.has({1, 0, 0}));
  CHECK(seen.has({1, 1, 1}));
  CHECK_FALSE(seen.has({1, 0, 1}));
}

TEST_CASE("model: a scene that waits goes on with news, and waiting for nothing is found") {
  const auto waiting = [](bool has_news) {
    return run("wait", {[=](Shared& s) {
                          if (has_news) Atomics::store(*s.x, 1, kRelaxed);
                        },
                        [](Shared& s) {
                          while (Atomics::load(*s.x, kRelaxed) == 0) Run::current().wait_for_news();
                          s.r[0] = 1;
                        }});
  };
  CHECK(waiting(true).outcomes == std::set<Outcome>{{1}});
  CHECK(waiting(true).found.is_complete);
  CHECK(waiting(false).found.wrong.find("waits for ever") != std::string::npos);
}

TEST_CASE("model: a death may fall before each access, and a successor knows what was done") {
  std::set<Outcome> outcomes;
  class Dies : public Play {
   public:
    Dies(Run& run, std::set<Outcome>& outcomes) : outcomes_(outcomes) {
      auto* const words = run.place<std::uint64_t>(3);
      auto* const word = run.place<AtomicWord>();
      const std::size_t first = run.fibre([=] {
        const std::array<std::uint64_t, 3> three{1, 2, 3};
        Atomics::copy_in(words, three.data(), sizeof three);
        Atomics::store(*word, 1, kRelaxed);
      });
      run.successor(first, [=, this] {
        r_[0] = 1;
        r_[1] = Atomics::load(*word, kRelaxed);
        for (std::size_t i = 0; i < 3; ++i) r_[2] = r_[2] * 10 + Atomics::read(words[i]);
      });
    }
    void settle(Run&) override { outcomes_.insert(r_); }

   private:
    std::set<Outcome>& outcomes_;
    Outcome r_{};
  };
  Bounds bounds;
  bounds.deaths = 1;
  const Found found = explore({"death", bounds, [&](Run& run) -> std::unique_ptr<Play> {
                                 return std::make_unique<Dies>(run, outcomes);
                               }});
  CHECK(found.wrong.empty());
  CHECK(found.deaths == 5);
  CHECK(outcomes == std::set<Outcome>{
                        {0, 0, 0}, {1, 0, 0}, {1, 0, 100}, {1, 0, 120}, {1, 0, 123}, {1, 1, 123}});
}

TEST_CASE("model: a call without end, a failed check and a failed scene are findings") {
  const Seen endless = run("endless", {[](Shared& s) {
                             while (Atomics::load(*s.x, kRelaxed) == 0) {
                             }
                           }});
  CHECK(endless.found.wrong.find("without end") != std::string::npos);
  const Seen failed =
      run("failed", {[](Shared& s) { Atomics::store(*s.x, 1, kRelaxed); },
                     [](Shared& s) { check(Atomics::load(*s.x, kRelaxed) == 0, "planted"); }});
  CHECK(failed.found.wrong == "planted (fibre 1)");
  CHECK(failed.found.story.find("litmus_test.cc") != std::string::npos);
}

}  // namespace
}  // namespace slipring::model
