#include "tests/crash/link/link_operations.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"
#include "tests/crash/link/link_scene.h"

namespace slipring::crash {
namespace {

constexpr std::uint64_t kShortWaitNs = 30'000'000;

// A process that does `body` and is killed by nobody but itself.
template <typename Body>
void let_die(Body body) {
  const pid_t pid = fork();
  if (pid < 0) abort();
  if (pid == 0) {
    body();
    raise(SIGKILL);
  }
  if (waitpid(pid, nullptr, 0) != pid) abort();
}

WaiterOptions sleeping() {
  WaiterOptions options;
  options.strategy = WaitStrategy::kSleep;
  options.sleep_bound_ns = 10'000'000'000;  // so long that a lost wake-up shows as a late find
  return options;
}

enum class WriterAct { kAttach, kSucceed, kPut, kPutToSleeper, kAbort, kClose, kDetach, kWait };
constexpr const char* kWriterActs[] = {"attach", "succeed", "put",    "put to a sleeper",
                                       "abort",  "close",   "detach", "wait for space"};

class WriterScene : public LinkScene {
 public:
  WriterScene(const PrivateTmpfs& tmpfs, LinkSort sort, WriterAct act)
      : LinkScene(tmpfs, sort, Role::kWriter), act_(act) {
    if (act == WriterAct::kSucceed) {
      let_die([this] {
        Writer predecessor = std::move(attach_writer()).value();
        for (int i = 0; i < 2; ++i) static_cast<void>(predecessor.put());
      });
      incarnation_before_ = 1;
      diary_->finished = 2;
      diary_->begun = 2;
    }
    if (act == WriterAct::kAbort) {
      expects_abort_ = true;
      aborted_end_ = 2;
    }
  }

  int child() override {
    const bool attaches = act_ == WriterAct::kAttach || act_ == WriterAct::kSucceed;
    if (attaches) mark();
    Result<Writer> attached = attach_writer();
    if (attaches) mark();
    if (!attached) return attached.error().code == ErrorCode::kBusy ? kExitBusy : 1;
    end_.emplace(std::move(attached).value());
    const int before = act_ == WriterAct::kAbort || act_ == WriterAct::kPut ? 2 : 0;
    for (int i = 0; i < before; ++i) put();
    if (act_ == WriterAct::kWait) {
      while (put()) {
      }
    }
    if (!attaches) {
      mark();
      act();
      mark();
    }
    if (end_) put();
    return is_well_ ? 0 : 3;
  }

  // The child has attached, and rung for its predecessor.
  void child_is_ready() override {
    if (act_ == WriterAct::kPutToSleeper) fall_asleep();
  }
  // Space is given back, and the child rung for.
  void wake() override {
    Verdict unheard;
    drain(unheard, *reader_);
  }

 private:
  bool put() {
    const std::uint64_t number = end_->next_number();
    diary_->begun = number + 1;
    if (end_->put() != Transfer::kDone) {
      diary_->begun = number;
      return false;
    }
    diary_->finished = number + 1;
    return true;
  }
  void act() {
    switch (act_) {
      case WriterAct::kAttach:
      case WriterAct::kSucceed:
        return;
      case WriterAct::kPut:
      case WriterAct::kPutToSleeper:
        put();
        put();
        return;
      case WriterAct::kAbort:
        return end_->abort_published();
      case WriterAct::kClose:
        return end_->close();
      case WriterAct::kDetach:
        return end_.reset();
      case WriterAct::kWait: {
        Waiter waiter(sleeping());
        const WaitPoint point = end_->space_point();
        static_cast<void>(waiter.wait(
            std::span<const WaitPoint>(&point, 1), [this] { return end_->has_space(); },
            kNoDeadline));
        is_well_ = waiter.counts().late_finds == 0;
        return;
      }
    }
  }

  WriterAct act_;
  std::optional<Writer> end_;
  bool is_well_ = true;
};

enum class ReaderAct {
  kAttach,
  kSucceed,
  kTake,
  kRelease,
  kEmpty,
  kClose,
  kDetach,
  kWait,
  kWaitInVain
};
constexpr const char* kReaderActs[] = {"attach",      "succeed", "take",   "release",
                                       "empty",       "close",   "detach", "wait for a message",
                                       "wait in vain"};

class ReaderScene : public LinkScene {
 public:
  ReaderScene(const PrivateTmpfs& tmpfs, LinkSort sort, ReaderAct act)
      : LinkScene(tmpfs, sort, Role::kReader), act_(act) {
    const bool waits = act == ReaderAct::kWait || act == ReaderAct::kWaitInVain;
    for (int i = 0; !waits && i < 3; ++i) {
      if (writer_->put() != Transfer::kDone) abort();
    }
    if (act != ReaderAct::kSucceed) return;
    let_die([this] {
      Reader predecessor = std::move(attach_reader()).value();
      Taken taken;
      for (int i = 0; i < 3; ++i) static_cast<void>(predecessor.take(taken));
      predecessor.release();
    });
    incarnation_before_ = 1;
    predecessor_taken_ = 3;
    next_ = 1;
  }

  int child() override {
    const bool attaches = act_ == ReaderAct::kAttach || act_ == ReaderAct::kSucceed;
    if (attaches) mark();
    Result<Reader> attached = attach_reader();
    if (attaches) mark();
    if (!attached) return attached.error().code == ErrorCode::kBusy ? kExitBusy : 1;
    end_.emplace(std::move(attached).value());
    for (int i = 0; act_ == ReaderAct::kRelease && i < 3; ++i) static_cast<void>(take());
    if (!attaches) {
      mark();
      act();
      mark();
    }
    return is_well_ ? 0 : 2;
  }

  void wake() override {
    if (act_ == ReaderAct::kWait) static_cast<void>(writer_->put());
  }

 private:
  [[nodiscard]] bool take() {
    // A peek at values takes all that lie together.
    diary_->may_be_taken = sort_ == LinkSort::kValues ? UINT64_MAX : last_ + 1;
    Taken taken;
    if (end_->take(taken) != Transfer::kDone) return false;
    is_well_ = is_well_ && taken.is_whole;
    last_ = taken.number + 1;
    diary_->taken = last_;
    return true;
  }
  void release() {
    diary_->begun = diary_->finished + 1;
    end_->release();
    diary_->finished = diary_->begun.load();
  }
  void wait(std::uint64_t deadline_ns) {
    Waiter waiter(sleeping());
    const WaitPoint point = end_->message_point();
    static_cast<void>(waiter.wait(
        std::span<const WaitPoint>(&point, 1), [this] { return end_->has_message(); },
        deadline_ns));
    is_well_ = is_well_ && waiter.counts().late_finds == 0;
  }
  void act() {
    switch (act_) {
      case ReaderAct::kAttach:
      case ReaderAct::kSucceed:
        return;
      case ReaderAct::kTake:
        static_cast<void>(take() && take());
        return;
      case ReaderAct::kRelease:
        release();
        release();
        return;
      case ReaderAct::kEmpty:
        // No more than there were: the others may go on putting.
        for (int i = 0; i < 4 && take(); ++i) release();
        return;
      case ReaderAct::kClose:
        return end_->close();
      case ReaderAct::kDetach:
        return end_.reset();
      case ReaderAct::kWait:
        return wait(kNoDeadline);
      case ReaderAct::kWaitInVain:
        return wait(deadline_after(kShortWaitNs));
    }
  }

  ReaderAct act_;
  std::optional<Reader> end_;
  std::uint64_t last_ = 0;
  bool is_well_ = true;
};

}  // namespace

std::vector<Operation> writer_operations(const PrivateTmpfs& tmpfs) {
  std::vector<Operation> operations;
  for (const LinkSort sort : kLinkSorts) {
    for (int i = 0; i <= static_cast<int>(WriterAct::kWait); ++i) {
      const auto act = static_cast<WriterAct>(i);
      // A pool's buffers come back by another word than the ring's space.
      if (act == WriterAct::kWait && sort == LinkSort::kPool) continue;
      operations.push_back(
          {std::string(name_of(sort)) + " writer: " + kWriterActs[i],
           [&tmpfs, sort, act] { return std::make_unique<WriterScene>(tmpfs, sort, act); },
           act == WriterAct::kWait});
    }
  }
  return operations;
}

std::vector<Operation> reader_operations(const PrivateTmpfs& tmpfs) {
  std::vector<Operation> operations;
  for (const LinkSort sort : kLinkSorts) {
    for (int i = 0; i <= static_cast<int>(ReaderAct::kWaitInVain); ++i) {
      const auto act = static_cast<ReaderAct>(i);
      operations.push_back(
          {std::string(name_of(sort)) + " reader: " + kReaderActs[i],
           [&tmpfs, sort, act] { return std::make_unique<ReaderScene>(tmpfs, sort, act); },
           act == ReaderAct::kWait || act == ReaderAct::kWaitInVain});
    }
  }
  return operations;
}

}  // namespace slipring::crash
