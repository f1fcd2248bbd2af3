#include "tests/crash/link/link_scene.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

#include "platform/memory/segment_file.h"

namespace slipring::crash {

SharedDiary::SharedDiary() {
  void* memory =
      mmap(nullptr, sizeof(Diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  diary_ = new (memory) Diary{};
}

SharedDiary::~SharedDiary() {
  munmap(diary_, sizeof(Diary));
}

DirectoryScene::DirectoryScene(const PrivateTmpfs& tmpfs)
    : tmpfs_(tmpfs), before_(tmpfs.census()), descriptors_before_(open_descriptor_count()) {
  Result<SegmentDirectory> opened = SegmentDirectory::open_at(tmpfs.path());
  if (!opened) abort();
  segments_.emplace(std::move(opened).value());
}

void DirectoryScene::expect_nothing_left(Verdict& verdict) {
  segments_.reset();
  image().forget_files();
  const PrivateTmpfs::Census now = tmpfs_.census();
  verdict.expect(now.names == before_.names, "a file is left in the segment directory");
  verdict.expect(now == before_, "memory or an inode is left in the segment directory");
  verdict.expect(open_descriptor_count() == descriptors_before_, "a descriptor is left open");
}

LinkScene::LinkScene(const PrivateTmpfs& tmpfs, LinkSort sort, Role child_role)
    : DirectoryScene(tmpfs), sort_(sort), child_role_(child_role) {
  image().add_memory(&diary_.get(), sizeof(Diary));
  if (!create_link(segments(), kLinkName, shape_of(sort))) abort();
  Result<SegmentFile> file = SegmentFile::open(segments(), kLinkName);
  if (!file) abort();
  probed_.emplace(std::move(file).value());
  if (child_role == Role::kWriter) {
    reader_.emplace(std::move(attach_reader()).value());
  } else {
    writer_.emplace(std::move(attach_writer()).value());
  }
}

bool LinkScene::is_role_free() {
  Result<Probe> probe = probed_->lock_file().probe(static_cast<std::uint32_t>(child_role_));
  return probe && probe->holder == Holder::kNobody;
}

bool LinkScene::may_store() {
  return !is_role_free();
}

void LinkScene::check_first(Verdict& verdict, const Taken& taken) {
  if (!std::exchange(is_first_look_, false)) return;
  // The child may have finished some; its diary says between which numbers the next one lies.
  const std::uint64_t least = std::max(next_, diary_->finished.load());
  const std::uint64_t most = std::max(next_, diary_->begun.load());
  verdict.expect(taken.number <= most, "a message is lost");
  verdict.expect(taken.number >= least, "a finished message is delivered again");
  next_ = taken.number;
}

void LinkScene::drain(Verdict& verdict, Reader& reader) {
  Taken taken;
  Transfer answer = reader.take(taken);
  for (; answer == Transfer::kDone; answer = reader.take(taken)) {
    check_first(verdict, taken);
    verdict.expect(taken.is_whole, "a torn message");
    if (!verdict.expect(taken.number == next_, "a message is lost, repeated or out of order")) {
      next_ = taken.number;
    }
    const bool reads_after_child = child_role_ == Role::kReader;
    const std::uint64_t must =
        reads_after_child ? std::max(predecessor_taken_, diary_->taken.load()) : 0;
    const std::uint64_t may =
        reads_after_child ? std::max(predecessor_taken_, diary_->may_be_taken.load()) : 0;
    if (taken.number < must) {
      verdict.expect(taken.redelivered, "a message that was looked at comes again without a mark");
    }
    if (taken.number >= may) {
      verdict.expect(!taken.redelivered, "a message that is new comes marked as delivered again");
    }
    if (expects_abort_ && taken.number < aborted_end_) {
      if (aborted_ < 0) aborted_ = taken.aborted ? 1 : 0;
      verdict.expect(aborted_ == (taken.aborted ? 1 : 0), "an abort marks some and not others");
    } else {
      verdict.expect(!taken.aborted, "a message that is wanted comes marked as aborted");
    }
    ++next_;
    reader.release();
  }
  verdict.expect(answer == Transfer::kBlocked, "a peer is taken for corrupt");
}

void LinkScene::fill(Verdict& verdict, Writer& writer) {
  Transfer answer = writer.put();
  while (answer == Transfer::kDone) answer = writer.put();
  verdict.expect(answer == Transfer::kBlocked, "a peer is taken for corrupt");
}

void LinkScene::look_as_sleeper(Verdict& verdict) {
  if (!arming_) {
    drain(verdict, *reader_);
    return;
  }
  // Asleep until the bell moves; then it looks, arms anew, and looks again, as a Waiter does.
  const FutexWord slept_on = arming_->words()[0];
  if (slept_on.word->load() == slept_on.expected) return;
  arming_.reset();
  drain(verdict, *reader_);
  fall_asleep();
  drain(verdict, *reader_);
}

void LinkScene::fall_asleep() {
  point_ = reader_->message_point();
  arming_.emplace(std::span<const WaitPoint>(&*point_, 1));
}

void LinkScene::expect_wake_up(Verdict& verdict, bool child_finished) {
  if (!arming_) return;
  const FutexWord slept_on = arming_->words()[0];
  const bool sleeps_on = slept_on.word->load() == slept_on.expected;
  if (child_finished) {
    verdict.expect(!sleeps_on || !reader_->has_message(), "a wake-up is lost");
  }
}

void LinkScene::take_over(Verdict& verdict) {
  if (child_role_ == Role::kWriter) {
    Result<Writer> successor = attach_writer();
    if (!verdict.expect(successor.ok(), "a successor cannot attach as writer")) return;
    const std::uint32_t incarnation = successor->incarnation();
    verdict.expect(incarnation > incarnation_before_ && incarnation <= incarnation_before_ + 2,
                   "the incarnation is not one or two more");
    incarnation_before_ = incarnation;
    const std::uint64_t published = successor->next_number();
    verdict.expect(published >= std::max(next_, diary_->finished.load()), "a put message is lost");
    verdict.expect(published <= std::max(next_, diary_->begun.load()), "a message is made up");
    if (arming_) {
      const FutexWord slept_on = arming_->words()[0];
      verdict.expect(!reader_->has_message() || slept_on.word->load() != slept_on.expected,
                     "a take-over leaves a message to be found by the sleep's bound");
    }
    writer_.emplace(std::move(successor).value());
    return;
  }
  Result<Reader> successor = attach_reader();
  if (!verdict.expect(successor.ok(), "a successor cannot attach as reader")) return;
  const std::uint32_t incarnation = successor->incarnation();
  verdict.expect(incarnation > incarnation_before_ && incarnation <= incarnation_before_ + 2,
                 "the incarnation is not one or two more");
  incarnation_before_ = incarnation;
  reader_.emplace(std::move(successor).value());
  is_first_look_ = true;
}

void LinkScene::lay_down() {
  if (child_role_ == Role::kWriter) {
    writer_.reset();
  } else {
    reader_.reset();
  }
}

void LinkScene::go_on_for_laps(Verdict& verdict) {
  for (int lap = 0; lap < 3; ++lap) {
    const std::uint64_t before = next_;
    fill(verdict, *writer_);
    drain(verdict, *reader_);
    verdict.expect(next_ == writer_->next_number() && next_ > before, "the link does not go on");
  }
}

void LinkScene::ask_for_role(Verdict& verdict, const TracedChild& child, std::uint64_t turn) {
  if (child_role_ == Role::kWriter ? writer_.has_value() : reader_.has_value()) return;
  if (is_role_free()) {
    // The child has not got it yet, or has laid it down: whoever asks gets it, and keeps it every
    // second time.
    take_over(verdict);
    if (writer_ && reader_) {
      drain(verdict, *reader_);
      go_on_for_laps(verdict);
    }
    if (turn % 2 == 0) lay_down();
    return;
  }
  static_cast<void>(image().has_changed());
  Error error{};
  if (child_role_ == Role::kWriter) {
    Result<Writer> second = attach_writer();
    verdict.expect(!second.ok(), "a role is taken from the living");
    if (!second) error = second.error();
  } else {
    Result<Reader> second = attach_reader();
    verdict.expect(!second.ok(), "a role is taken from the living");
    if (!second) error = second.error();
  }
  verdict.expect(error.code == ErrorCode::kBusy, "a living holder's role is refused otherwise");
  verdict.expect(error.found == static_cast<std::uint64_t>(child.pid()), "the holder is not named");
  verdict.expect(!image().has_changed(), "who is refused a role has stored into the segment");
}

void LinkScene::others_go_on(Verdict& verdict, const TracedChild& child, std::uint64_t turn) {
  ask_for_role(verdict, child, turn);
  // The other end goes on with what is there.
  if (child_role_ == Role::kWriter) {
    look_as_sleeper(verdict);
  } else {
    fill(verdict, *writer_);
  }
}

void LinkScene::settle(Verdict& verdict, int exit_status) {
  const bool holds_role = child_role_ == Role::kWriter ? writer_.has_value() : reader_.has_value();
  if (exit_status != kWasKilled) {
    verdict.expect(exit_status == 0 || (exit_status == kExitBusy && holds_role),
                   "the child does not end well");
  }
  expect_wake_up(verdict, exit_status == 0);
  if (!holds_role) take_over(verdict);
  if (writer_ && reader_) {
    arming_.reset();
    drain(verdict, *reader_);
    go_on_for_laps(verdict);
    verdict.expect(!reader_->is_finished(), "an open link has ended");
    writer_->close();
    verdict.expect(reader_->is_finished(), "a closed link has not ended");
    reader_->close();
  }
  drop_everything();
  expect_nothing_left(verdict);
}

void LinkScene::drop_everything() {
  arming_.reset();
  writer_.reset();
  reader_.reset();
  probed_.reset();
  static_cast<void>(remove_segment(segments(), kLinkName));
}

}  // namespace slipring::crash
