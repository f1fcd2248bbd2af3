// fork while attached, after every public operation: the child cannot write into the link, its end
// takes nothing from the parent, and the parent goes on.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/crash/link/link_ports.h"
#include "tests/crash/link/private_tmpfs.h"
#include "tests/platform/other_process.h"

namespace slipring::crash {
namespace {

constexpr const char* kName = "fork.link";

// A link with both ends in this process.
struct Ends {
  Ends(const PrivateTmpfs& tmpfs, LinkSort of)
      : directory(std::move(SegmentDirectory::open_at(tmpfs.path())).value()), sort(of) {
    REQUIRE(create_link(directory, kName, shape_of(sort)).ok());
    writer.emplace(std::move(Writer::attach(directory, kName, sort)).value());
    reader.emplace(std::move(Reader::attach(directory, kName, sort)).value());
  }
  ~Ends() {
    writer.reset();
    reader.reset();
    CHECK(remove_segment(directory, kName).ok());
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;

  SegmentDirectory directory;
  LinkSort sort;
  std::optional<Writer> writer;
  std::optional<Reader> reader;
  std::uint64_t next = 0;
  std::uint64_t held = 0;
};

struct Step {
  const char* name;
  std::function<void(Ends&)> act;
};

void put(Ends& ends) {
  CHECK(ends.writer->put() == Transfer::kDone);
}
void take(Ends& ends) {
  Taken taken;
  REQUIRE(ends.reader->take(taken) == Transfer::kDone);
  CHECK(taken.number == ends.next + ends.held);
  CHECK(taken.is_whole);
  CHECK_FALSE(taken.redelivered);
  ++ends.held;
}
void release(Ends& ends) {
  ends.reader->release();
  ++ends.next;
  --ends.held;
}

const std::vector<Step>& steps() {
  static const std::vector<Step> all = {
      {"attach", [](Ends&) {}},
      {"put", put},
      {"put again", put},
      {"take", take},
      {"take again", take},
      {"release", release},
      {"abort", [](Ends& ends) { ends.writer->abort_published(); }},
      {"release again", release},
      {"look for space", [](Ends& ends) { CHECK(ends.writer->has_space()); }},
      {"look for a message", [](Ends& ends) { CHECK_FALSE(ends.reader->has_message()); }},
      {"close as writer", [](Ends& ends) { ends.writer->close(); }},
      {"close as reader", [](Ends& ends) { ends.reader->close(); }},
  };
  return all;
}

// What a forked child tries; every one of them must kill it.
struct Attempt {
  const char* name;
  std::function<void(Ends&)> act;
};
const std::vector<Attempt>& attempts() {
  static const std::vector<Attempt> all = {
      {"put", [](Ends& ends) { static_cast<void>(ends.writer->put()); }},
      {"abort", [](Ends& ends) { ends.writer->abort_published(); }},
      {"close as writer", [](Ends& ends) { ends.writer->close(); }},
      {"take",
       [](Ends& ends) {
         Taken taken;
         static_cast<void>(ends.reader->take(taken));
       }},
      {"close as reader", [](Ends& ends) { ends.reader->close(); }},
  };
  return all;
}

void expect_roles_held(Ends& ends) {
  OtherProcess asker([&](Line) {
    Result<Writer> writer = Writer::attach(ends.directory, kName, ends.sort);
    Result<Reader> reader = Reader::attach(ends.directory, kName, ends.sort);
    const bool both_busy = !writer && writer.error().code == ErrorCode::kBusy && !reader &&
                           reader.error().code == ErrorCode::kBusy;
    return both_busy && writer.error().found == static_cast<std::uint64_t>(getppid()) ? 0 : 1;
  });
  CHECK(asker.wait() == 0);
}

TEST_CASE("fork: a child cannot write into a link, and takes nothing from its parent") {
  const PrivateTmpfs tmpfs;
  int forks = 0;
  int faults = 0;
  for (const LinkSort sort : kLinkSorts) {
    Ends ends(tmpfs, sort);
    for (const Step& step : steps()) {
      CAPTURE(name_of(sort));
      CAPTURE(step.name);
      step.act(ends);
      for (const Attempt& attempt : attempts()) {
        CAPTURE(attempt.name);
        OtherProcess child([&](Line) {
          attempt.act(ends);
          return 0;
        });
        const int answer = child.wait();
        CHECK(answer == -SIGSEGV);
        faults += answer == -SIGSEGV ? 1 : 0;
        ++forks;
      }
      // One that ends in order, destructors included, and its own child.
      OtherProcess child([&](Line) {
        OtherProcess grandchild([&](Line) {
          ends.writer.reset();
          return 0;
        });
        const int answer = grandchild.wait();
        ends.writer.reset();
        ends.reader.reset();
        return answer;
      });
      CHECK(child.wait() == 0);
      ++forks;
      expect_roles_held(ends);
    }
    // The parent goes on: all that was put crosses, and more.
    for (int i = 0; i < 50; ++i) {
      put(ends);
      take(ends);
      release(ends);
    }
    CHECK(ends.next == ends.writer->next_number());
  }
  MESSAGE("forks: " << forks << ", faults in children that tried to use an end: " << faults
                    << ", roles lost: 0");
}

}  // namespace
}  // namespace slipring::crash
