// Who takes a rendezvous's name is killed, and stopped, behind every one of its system calls, alone
// and against another who is stopped or killed behind every one of its own.  Between two calls it
// touches nothing that is shared.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "platform/memory/segment_directory.h"
#include "platform/rendezvous/address.h"
#include "platform/rendezvous/name_claim.h"
#include "tests/crash/link/traced_child.h"
#include "tests/platform/scratch.h"

namespace slipring::crash {
namespace {

constexpr const char* kName = "here";
constexpr const char* kRoot = "here.guard";

using Answer = TracedChild::Answer;
using Claiming = std::function<Result<OwnedName>(const SegmentDirectory&)>;

Result<OwnedName> claim_here(const SegmentDirectory& directory) {
  return claim_name(directory, kName, {});
}

// A planted mistake: what is found stale is removed, and what is there then is not looked at again.
Result<OwnedName> claim_naively(const SegmentDirectory& directory) {
  Result<NameState> state = look_at_name(directory, kName);
  if (!state) return state.error();
  if (*state == NameState::kOwned) return Error{ErrorCode::kExists, 0, "claim naively"};
  if (*state == NameState::kStale) ::unlinkat(directory.fd(), kRoot, 0);
  return claim_name(directory, kName, {});
}

// What the dead have left before the claim.
struct Ruin {
  const char* name;
  int dead_count;     // the root, and heirs behind it
  bool has_new_name;  // of one that died before it took a name
};
constexpr Ruin kRuins[]{{"nothing", 0, false},
                        {"a new name of the dead", 0, true},
                        {"a stale root", 1, false},
                        {"a stale root and a dead heir", 2, false},
                        {"a stale root, two dead heirs, a new name", 3, true}};

// A socket that nobody listens at any more.
std::uint64_t leave_dead(const SegmentDirectory& directory, std::string file_name) {
  const Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const auto where = file_address(directory, std::move(file_name)).value();
  REQUIRE(::bind(socket.get(), where.get(), where.size_bytes) == 0);
  REQUIRE(::listen(socket.get(), 1) == 0);
  struct stat made = {};
  REQUIRE(::fstatat(directory.fd(), where.file_name.c_str(), &made, 0) == 0);
  return made.st_ino;
}

void lay(const SegmentDirectory& directory, const Ruin& ruin) {
  std::string file_name = kRoot;
  for (int i = 0; i < ruin.dead_count; ++i) {
    const std::uint64_t inode = leave_dead(directory, file_name);
    file_name = ".here." + std::to_string(inode) + ".heir";
  }
  if (ruin.has_new_name) leave_dead(directory, ".0123456789abcdef.new");
}

// What a claimant says, in memory that it shares with the test.
struct Said {
  enum : int { kNothing, kOwns, kExists, kOther };
  std::atomic<int> answer;
  std::atomic<std::uint64_t> inode;
};

class Claimant {
 public:
  Claimant(const SegmentDirectory& directory, const Claiming& claiming)
      : said_(new (::mmap(nullptr, sizeof(Said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0)) Said),
        child_([&directory, &claiming, said = said_] {
          mark();
          Result<OwnedName> owned = claiming(directory);
          said->inode = owned ? owned->inode : 0;
          said->answer = owned                                      ? Said::kOwns
                         : owned.error().code == ErrorCode::kExists ? Said::kExists
                                                                    : Said::kOther;
          mark();
          return 0;
        }) {
    REQUIRE(child_.run_to_mark() == Answer::kMarked);
  }
  ~Claimant() { ::munmap(said_, sizeof(Said)); }

  // Stops it behind so many of its calls; false when it had answered before.
  bool stop_behind(int call_count) {
    for (int i = 0; i < call_count; ++i) {
      const Answer answer = child_.run_through_call();
      if (answer == Answer::kMarked) return false;
      REQUIRE(answer == Answer::kStepped);
    }
    return true;
  }
  // Lets it go on until it has answered, and holds it there.
  void go_on() {
    if (said_->answer == Said::kNothing) REQUIRE(child_.run_to_mark() == Answer::kMarked);
  }
  void die() { child_.kill_now(); }
  [[nodiscard]] int answer() const { return said_->answer; }
  [[nodiscard]] bool owns() const { return said_->answer == Said::kOwns; }
  [[nodiscard]] std::uint64_t inode() const { return said_->inode; }

 private:
  Said* said_;
  TracedChild child_;
};

std::uint64_t inode_of_root(const SegmentDirectory& directory) {
  struct stat found = {};
  return ::fstatat(directory.fd(), kRoot, &found, AT_SYMLINK_NOFOLLOW) == 0 ? found.st_ino : 0;
}

// A directory in a state, and what was found wrong in it.
class Scene {
 public:
  explicit Scene(const Ruin& ruin) { lay(directory_, ruin); }

  [[nodiscard]] const SegmentDirectory& directory() const { return directory_; }
  [[nodiscard]] int wrong_count() const { return wrong_count_; }
  void expect(bool holds) { wrong_count_ += holds ? 0 : 1; }

  // The owner is found under the name.
  void expect_owner(std::uint64_t inode) {
    expect(inode_of_root(directory_) == inode);
    Result<NameState> state = look_at_name(directory_, kName);
    expect(state && *state == NameState::kOwned);
  }
  // The name can be taken by the next one, who sweeps away what the dead have left.
  void expect_free() {
    Result<OwnedName> owned = claim_here(directory_);
    expect(owned.ok());
    if (!owned) return;
    expect_owner(owned->inode);
    expect(scratch_.names() == std::vector<std::string>{kRoot});
    give_up_name(directory_.fd(), kName, owned->inode);
    expect(scratch_.names().empty());
  }

 private:
  Scratch scratch_;
  SegmentDirectory directory_ = SegmentDirectory::open_at(scratch_.path()).value();
  int wrong_count_ = 0;
};

struct Sum {
  int scenes = 0;
  int calls_most = 0;
  int wrong = 0;
};

// Runs `scene(ruin, call_count)` behind each call of a claimant, until it answers false: there are
// no more calls.
template <typename Play>
Sum behind_each_call(Play play) {
  Sum sum;
  for (const Ruin& ruin : kRuins) {
    for (int calls = 0;; ++calls) {
      Scene scene(ruin);
      const bool is_within = play(scene, calls);
      ++sum.scenes;
      if (scene.wrong_count() != 0) {
        ++sum.wrong;
        MESSAGE("wrong: " << ruin.name << ", behind call " << calls);
      }
      sum.calls_most = std::max(sum.calls_most, calls);
      if (!is_within) break;
    }
  }
  return sum;
}

bool is_killed(Scene& scene, int calls) {
  Claimant one(scene.directory(), claim_here);
  const bool is_within = one.stop_behind(calls);
  one.die();
  scene.expect_free();
  return is_within;
}

// What others do while one is stopped: they take another name, and this one, and leave it in one of
// several ways.
enum class Meanwhile { kStay, kLeave, kDie, kDieTwice, kRemove };

bool is_stopped(Scene& scene, int calls, Meanwhile meanwhile, const Claiming& claiming) {
  Claimant one(scene.directory(), claiming);
  const bool is_within = one.stop_behind(calls);
  Result<OwnedName> elsewhere = claim_name(scene.directory(), "there", {});
  scene.expect(elsewhere.ok());
  std::optional<OwnedName> other;
  if (meanwhile == Meanwhile::kRemove) {
    // As remove_stale_rendezvous() does.
    if (Result<NameState> state = look_at_name(scene.directory(), kName);
        state && *state != NameState::kStale) {
      meanwhile = Meanwhile::kStay;
    }
  }
  for (int i = meanwhile == Meanwhile::kDieTwice ? 2 : 1; i != 0; --i) {
    Result<OwnedName> owned = claim_here(scene.directory());
    scene.expect(owned.ok() || owned.error().code == ErrorCode::kExists);
    if (!owned) break;  // the stopped one has it
    scene.expect_owner(owned->inode);
    if (meanwhile == Meanwhile::kStay) {
      other.emplace(std::move(*owned));
    } else if (meanwhile == Meanwhile::kLeave || meanwhile == Meanwhile::kRemove) {
      give_up_name(scene.directory().fd(), kName, owned->inode);
    }
  }
  one.go_on();
  scene.expect(one.owns() != other.has_value());
  scene.expect(one.owns() || one.answer() == Said::kExists);
  scene.expect_owner(one.owns() ? one.inode() : other ? other->inode : 0);
  // Its end leaves nothing that the next one does not take away.
  one.die();
  if (other) give_up_name(scene.directory().fd(), kName, other->inode);
  other.reset();
  if (elsewhere) give_up_name(scene.directory().fd(), "there", elsewhere->inode);
  scene.expect_free();
  return is_within;
}

TEST_CASE("rendezvous name: killed behind each system call, it is the next one's") {
  const Sum sum = behind_each_call(is_killed);
  MESSAGE(sum.scenes << " deaths behind up to " << sum.calls_most << " calls");
  CHECK(sum.calls_most > 12);
  CHECK(sum.wrong == 0);
}

TEST_CASE("rendezvous name: stopped behind each system call, nobody waits and one has it") {
  for (const Meanwhile meanwhile : {Meanwhile::kStay, Meanwhile::kLeave, Meanwhile::kDie,
                                    Meanwhile::kDieTwice, Meanwhile::kRemove}) {
    const Sum sum = behind_each_call(
        [&](Scene& scene, int calls) { return is_stopped(scene, calls, meanwhile, claim_here); });
    CAPTURE(static_cast<int>(meanwhile));
    MESSAGE(sum.scenes << " stops behind up to " << sum.calls_most << " calls");
    CHECK(sum.wrong == 0);
  }
}

TEST_CASE("rendezvous name: one who removes what was stale a moment ago is found out") {
  int wrong = 0;
  for (int calls = 0;; ++calls) {
    Scene scene(kRuins[2]);
    const bool is_within = is_stopped(scene, calls, Meanwhile::kStay, claim_naively);
    wrong += scene.wrong_count() != 0 ? 1 : 0;
    if (!is_within) break;
  }
  CHECK(wrong != 0);
}

// Two at once: the first stopped behind its call i, the second stopped or killed behind its call j;
// then the first goes on, and then the second.
TEST_CASE("rendezvous name: of two stopped behind each pair of their calls one has it") {
  int pairs = 0;
  int wrong = 0;
  for (const Ruin& ruin : {kRuins[0], kRuins[2], kRuins[3]}) {
    bool has_more = true;
    for (int i = 0; has_more; ++i) {
      bool second_has_more = true;
      for (int j = 0; second_has_more; ++j) {
        const bool kills = (i + j) % 2 != 0;
        Scene scene(ruin);
        Claimant one(scene.directory(), claim_here);
        Claimant other(scene.directory(), claim_here);
        has_more = one.stop_behind(i);
        second_has_more = other.stop_behind(j);
        if (kills) other.die();
        one.go_on();
        if (!kills) other.go_on();
        scene.expect(!(one.owns() && other.owns() && !kills));
        if (!kills) scene.expect(one.owns() != other.owns());
        if (one.owns()) scene.expect_owner(one.inode());
        if (!kills && other.owns()) scene.expect_owner(other.inode());
        one.die();
        if (!kills) other.die();
        scene.expect_free();
        ++pairs;
        if (scene.wrong_count() == 0) continue;
        ++wrong;
        MESSAGE("wrong: " << ruin.name << ", behind calls " << i << " and " << j);
      }
    }
  }
  MESSAGE(pairs << " pairs");
  CHECK(pairs > 500);
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace slipring::crash
