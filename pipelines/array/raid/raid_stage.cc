// The RAID stage's turn, what it is told out of band, and what it does beside requests; those are
// in raid_requests.cc.
#include "pipelines/array/raid/raid_stage.h"

#include <poll.h>
#include <string.h>

#include <string>

#include "pipelines/stage/error_text.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

constexpr std::uint64_t kRowsAtOnce = 64;  // of a rebuild or a scrub, between requests
constexpr int kEndingLookMs = 1;
constexpr std::uint64_t kIdleLookNs = 1'000'000'000;

}  // namespace

RaidStage::RaidStage(Stage& stage, RaidCommands& commands, RaidArray array)
    : stage_(stage),
      commands_(commands),
      array_(std::move(array)),
      reads_(*stage.input("reads")),
      read_data_(*stage.output("read_data")),
      writes_(*stage.input("writes")),
      write_acks_(*stage.output("write_acks")),
      report_(stage, array_.layout().members()) {
  for (std::uint32_t i = 0; i < array_.layout().members(); ++i) {
    told_states_[i] = array_.state_of(i);
  }
}

int RaidStage::run() {
  for (;;) {
    take_commands();
    bool has_moved = serve_reads();
    if (serve_writes()) has_moved = true;
    if (is_corrupt_) return 1;
    if (work_aside()) has_moved = true;
    report_.update(array_, scrub_row_);
    tell_dropped();
    if (has_moved) continue;
    if (reads_.is_finished() && writes_.is_finished()) return end();
    // Whoever asks goes first: a stop ends this stage when its requests have ended.
    if (stage_.stop_requested()) poll(nullptr, 0, kEndingLookMs);
    const WaitOutcome outcome = stage_.wait(
        [this] {
          return reads_.has_message() || writes_.has_message() || commands_.has_next() ||
                 (reads_.is_finished() && writes_.is_finished());
        },
        deadline_after(kIdleLookNs));
    // What is wrong is told at the next turn.
    if (outcome == WaitOutcome::kDeadline) static_cast<void>(array_.look());
  }
}

int RaidStage::end() {
  const Status written = array_.is_broken() ? Status() : array_.checkpoint();
  if (!written) {
    stage_.log(Severity::kError, "the last checkpoint: %s",
               describe_error(written.error()).c_str());
  }
  report_.update(array_, scrub_row_);
  return stage_.finish();
}

void RaidStage::complain(const std::optional<LinkPeer>& offender) {
  stage_.log(Severity::kError, "the stage before wrote impossible values: %s",
             offender_text(offender).c_str());
  is_corrupt_ = true;
}

void RaidStage::tell_dropped() {
  for (std::uint32_t i = 0; i < array_.layout().members(); ++i) {
    const MemberState now = array_.state_of(i);
    if (std::exchange(told_states_[i], now) == now || now != MemberState::kMissing) continue;
    const int fault = array_.fault_of(i);
    stage_.log(
        Severity::kWarning,
        "disk %u is used no more (%s): the array goes on without it; another takes its place "
        "by 'replace' to its stage and 'replace %u' here",
        i, fault == 0 ? "as asked" : strerror(fault), i);
  }
  if (std::exchange(told_broken_, array_.is_broken()) || !told_broken_) return;
  stage_.log(Severity::kError,
             "more disks are gone than the array has parities: all is answered with an error until "
             "it is started again with enough of them");
}

std::optional<std::uint32_t> RaidStage::member_in(std::string_view text,
                                                  std::string_view verb) const {
  if (!text.starts_with(verb)) return std::nullopt;
  text.remove_prefix(verb.size());
  for (std::uint32_t i = 0; i < array_.layout().members(); ++i) {
    if (text == std::to_string(i)) return i;
  }
  return std::nullopt;
}

void RaidStage::take_commands() {
  while (const std::optional<Command> command = commands_.next()) {
    const std::string& text = command->text;
    Status done;
    if (const auto failed = member_in(text, "fail ")) {
      done = array_.fail(*failed);
    } else if (const auto replaced = member_in(text, "replace ")) {
      done = array_.replace(*replaced);
    } else if (text == "scrub") {
      scrub_row_ = 0;
    } else if (text == "checkpoint") {
      done = array_.checkpoint();
    } else {
      stage_.log(Severity::kWarning,
                 "unknown command '%s'; there are: fail N, replace N, scrub, checkpoint",
                 text.c_str());
      continue;
    }
    if (done) {
      stage_.log(Severity::kInfo, "%s: done", text.c_str());
    } else {
      stage_.log(Severity::kWarning, "%s: %s", text.c_str(), describe_error(done.error()).c_str());
    }
  }
}

bool RaidStage::work_aside() {
  if (array_.is_broken()) return false;
  if (array_.is_rebuilding()) {
    Result<bool> more = array_.rebuild(kRowsAtOnce);
    if (!more) {
      stage_.log(Severity::kError, "rebuild: %s", describe_error(more.error()).c_str());
      return false;
    }
    if (!*more) stage_.log(Severity::kInfo, "the rebuild is done");
    return true;
  }
  if (scrub_row_ == kNoScrub) return false;
  static_cast<void>(array_.scrub(scrub_row_, kRowsAtOnce));
  scrub_row_ += kRowsAtOnce;
  if (scrub_row_ >= array_.layout().shape().row_count) {
    scrub_row_ = kNoScrub;
    report_.count_scrub();
    stage_.log(Severity::kInfo, "the scrub is done: %llu blocks were mended so far, %llu are lost",
               static_cast<unsigned long long>(array_.counters().repaired_blocks),
               static_cast<unsigned long long>(array_.counters().lost_blocks));
  }
  return true;
}

}  // namespace slipring::array
