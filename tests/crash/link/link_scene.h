// A link of which the child holds, or wants, one role, and this process the other one; the ledger
// of its messages; and what a user does when the child is gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "pipelines/link/link_segment.h"
#include "platform/wait/arming.h"
#include "tests/crash/link/crash_walk.h"
#include "tests/crash/link/link_ports.h"
#include "tests/crash/link/private_tmpfs.h"

namespace slipring::crash {

inline constexpr const char* kLinkName = "crash.link";
// The child was refused a role that somebody else had taken while it stood still.
inline constexpr int kExitBusy = 40;

// What the child has to say about itself; part of the image, since the judgement reads it.
struct Diary {
  std::atomic<std::uint64_t> begun;     // numbers below: their put, or release, has been begun
  std::atomic<std::uint64_t> finished;  // numbers below: it has returned
  std::atomic<std::uint64_t> may_be_taken;
  std::atomic<std::uint64_t> taken;  // numbers below: the child has looked at them
};

// A page of memory that is shared with forked children.
class SharedDiary {
 public:
  SharedDiary();
  SharedDiary(const SharedDiary&) = delete;
  SharedDiary& operator=(const SharedDiary&) = delete;
  ~SharedDiary();
  Diary* operator->() { return diary_; }
  [[nodiscard]] const Diary& get() const { return *diary_; }

 private:
  Diary* diary_;
};

// What everything that lives in the segment directory has in common: at the end nothing is there.
class DirectoryScene : public Scene {
 public:
  explicit DirectoryScene(const PrivateTmpfs& tmpfs);
  [[nodiscard]] std::string directory() const override { return tmpfs_.path(); }

 protected:
  [[nodiscard]] SegmentDirectory& segments() { return *segments_; }
  // After everything of ours has been closed and removed.
  void expect_nothing_left(Verdict& verdict);

 private:
  const PrivateTmpfs& tmpfs_;
  PrivateTmpfs::Census before_;
  std::size_t descriptors_before_;
  std::optional<SegmentDirectory> segments_;
};

// Of the two roles, the child's and ours.
class LinkScene : public DirectoryScene {
 public:
  LinkScene(const PrivateTmpfs& tmpfs, LinkSort sort, Role child_role);
  void others_go_on(Verdict& verdict, const TracedChild& child, std::uint64_t turn) override;
  [[nodiscard]] bool may_store() override;
  void settle(Verdict& verdict, int exit_status) override;

 protected:
  // Who attaches in place of the child; a planted bug puts its own here.
  [[nodiscard]] virtual Result<Writer> attach_writer() {
    return Writer::attach(segments(), kLinkName, sort_);
  }
  [[nodiscard]] Result<Reader> attach_reader() {
    return Reader::attach(segments(), kLinkName, sort_);
  }

  // Reads what there is and checks it against the ledger.
  void drain(Verdict& verdict, Reader& reader);
  // Puts until the link is full.
  void fill(Verdict& verdict, Writer& writer);
  // The child's role, taken by us.
  void take_over(Verdict& verdict);
  void lay_down();
  void go_on_for_laps(Verdict& verdict);
  void drop_everything();

  LinkSort sort_;
  Role child_role_;
  SharedDiary diary_;
  std::optional<Writer> writer_;
  std::optional<Reader> reader_;
  std::optional<SegmentFile> probed_;
  // Our reader lies down to sleep: it then looks only when the bell has moved.
  void fall_asleep();
  std::optional<WaitPoint> point_;
  std::optional<Arming> arming_;

  // The ledger.
  std::uint64_t next_ = 0;         // the first number that nobody has finished
  std::uint64_t aborted_end_ = 0;  // numbers below may come marked as aborted: all, or none
  bool expects_abort_ = false;     // the child aborts
  int aborted_ = -1;               // unknown, or whether they do
  std::uint32_t incarnation_before_ = 0;
  std::uint64_t predecessor_taken_ = 0;  // numbers below were looked at by a dead predecessor

 private:
  void ask_for_role(Verdict& verdict, const TracedChild& child, std::uint64_t turn);
  void expect_wake_up(Verdict& verdict, bool child_finished);
  void check_first(Verdict& verdict, const Taken& taken);
  [[nodiscard]] bool is_role_free();
  void look_as_sleeper(Verdict& verdict);

  bool is_first_look_ = false;  // the next message is the first after a change of readers
};

}  // namespace slipring::crash
