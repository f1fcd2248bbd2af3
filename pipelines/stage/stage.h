// What a stage's program is written with: its link ends by port name, its options, its board, its
// commands, and one place to wait.
//
// The runner starts a stage as
//   PROGRAM --stage=NAME --board=SEGMENT --in=PORT:SEGMENT --out=PORT:SEGMENT --oob=PORT:SEGMENT
//           --memlock=require|try|off --wait=poll|adaptive|sleep --sandbox=on|off
//           [--keeper=FD] [--kept=NAME:FD ...] [--bell=FD] [--ring=PORT:FD ...]
//           -- --OPTION=VALUE ...
// and a person may do the same by hand.  PROGRAM --describe prints the ports and options that the
// program knows, a line each, which the runner compares with the pipeline file before it starts
// anything.
//
// A stage finishes a message after it has published what it made of it; killed in between, its
// successor sees the message again, marked `redelivered`.  A stage that ends with status 0 has
// finished; anything else is a failure, which the runner answers by its restart policy.
//
// A stage that serves sockets as well says so in its description.  It is then given a descriptor
// store (descriptor_keeper.h), so that its connections survive it, and an event bell, which the
// stages at the other ends of its links ring, so that one epoll_wait() hears links and sockets.
// The numbers behind --keeper, --kept, --bell and --ring are descriptors that it inherits.
//
// Hosted code, for one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/link/board.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/descriptor_keeper.h"
#include "pipelines/stage/oob.h"
#include "platform/wait/arming.h"
#include "platform/wait/doorbell.h"
#include "platform/wait/event_bell.h"
#include "platform/wait/waiter.h"

struct epoll_event;

namespace slipring {

enum class PortKind : std::uint8_t { kInput, kOutput, kCommands };

struct PortDescription {
  std::string_view name;
  PortKind kind;
  bool required;
  std::string_view purpose;
};

struct OptionDescription {
  std::string_view name;
  std::string_view default_value;
  std::string_view purpose;  // with the unit and the range
};

struct StageDescription {
  std::string_view program;
  std::string_view purpose;
  std::vector<PortDescription> ports;
  std::vector<OptionDescription> options;
  bool keeps_descriptors = false;  // wants a descriptor store
  bool waits_in_epoll = false;     // wants an event bell
  // kFence for a stage that sleeps about as often as it publishes: the membarrier of each sleep
  // interrupts every processor that runs a stage, and costs more than a fence a message.
  BellOrder bell_order = BellOrder::kMembarrier;
  // Takes the ends of its links itself, by segment(); the stage has no input() and no output().
  bool opens_ends = false;
};

enum class Severity : std::uint8_t { kInfo, kWarning, kError };

// How a wait for space ended.
enum class Reserved : std::uint8_t {
  kDone,
  kStopped,      // a stop was asked for
  kInterrupted,  // the caller's own predicate held
  kPeerClosed,   // nobody will read what would be written
  kCorruptPeer,
};

class Stage {
 public:
  // Attaches everything that the command line names.  On a fault, or for --help and --describe,
  // says so on stderr or stdout and answers nothing; exit_status is then the status to end with.
  static std::unique_ptr<Stage> start(int argc, char** argv, const StageDescription& description,
                                      int& exit_status);

  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage();

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  // nullptr when the pipeline has nothing at that port (never for a required one).
  [[nodiscard]] LinkReader* input(std::string_view port) noexcept;
  [[nodiscard]] LinkWriter* output(std::string_view port) noexcept;

  // Of a program that opens its ends itself: the segment that is joined to the port; empty: none.
  [[nodiscard]] std::string segment(std::string_view port) const;
  // Likewise: the event bell of the stage at the other end, which stays open; -1: it has none.
  [[nodiscard]] int rung_bell(std::string_view port) const noexcept;
  [[nodiscard]] MemoryLock memory_lock() const noexcept { return memory_lock_; }
  [[nodiscard]] const WaiterOptions& waiter_options() const noexcept { return waiter_options_; }
  // Likewise, once it has them: goes into the sandbox, if the pipeline has one.  False: it said
  // why.
  [[nodiscard]] bool shut_in() const;
  // describe_error() of an error that a file at `path` met; where the sandbox is why, it says so.
  [[nodiscard]] std::string explain(const Error& error, const std::string& path) const;

  // An option's value, or its default.  Requires: the option is described.
  [[nodiscard]] std::string option(std::string_view name) const;
  // As a whole number within [least, most]; on a fault says so and ends the process with status 2.
  [[nodiscard]] std::int64_t option_number(std::string_view name, std::int64_t least,
                                           std::int64_t most) const;
  // "true" and "false", "on" and "off", "1" and "0"; faults as above.
  [[nodiscard]] bool option_flag(std::string_view name) const;

  // A number on the stage's board; swallowed when there is no board.
  [[nodiscard]] Board::Number counter(std::string_view name) noexcept;
  [[nodiscard]] Board::Number gauge(std::string_view name) noexcept;

  // 1 at first, one more with every restart.
  [[nodiscard]] std::uint32_t incarnation() const noexcept;

  // Whether somebody (the runner, Ctrl-C) asked for the end.
  [[nodiscard]] bool stop_requested() const noexcept;

  // The next command from any command port, oldest first within a port.
  [[nodiscard]] std::optional<Command> next_command();
  [[nodiscard]] bool has_command() const noexcept;

  // How the waits below wait, under the adaptive strategy; Waiter::set_lingering says what for.
  void set_lingering(bool lingers) noexcept { waiter_.set_lingering(lingers); }

  // Sleeps (by the stage's strategy) until ready() holds, a stop is asked for, or the deadline has
  // passed.  Wakes for every input, every command port, and the given outputs; ready() must be
  // quick and change nothing.
  template <typename Ready>
  WaitOutcome wait(Ready&& ready, std::uint64_t deadline_ns = kNoDeadline,
                   std::initializer_list<LinkWriter*> outputs = {}) noexcept {
    collect_points(outputs);
    return wait_on_points(ready, deadline_ns, outputs);
  }

  // The same for what must come by this input first: a sleep on its words alone is a shorter way
  // into the kernel and out of it, and nobody else wakes it.  What comes by the others is met at
  // the sleep's bound.
  template <typename Ready>
  WaitOutcome wait_on(LinkReader& input, Ready&& ready,
                      std::uint64_t deadline_ns = kNoDeadline) noexcept {
    collect_points_of(input);
    return wait_on_points(ready, deadline_ns, {});
  }

  // Sleeps on the epoll instance, every input and the given outputs, at most `bound_ms`, unless
  // ready() holds already; answers how many events there are.  Without spinning, for what comes by
  // a descriptor.  Commands, and news of links, are met at the bound.
  template <typename Ready>
  int wait_in_epoll(int epoll_fd, std::span<epoll_event> events, Ready&& ready, int bound_ms,
                    std::initializer_list<LinkWriter*> outputs = {}) noexcept {
    look_for_news();
    collect_bell_points(outputs);
    const Arming arming(points_, bell_ ? &*bell_ : nullptr);
    const bool is_ready = stop_requested() || has_command() || ready();
    if (!is_ready) note_sleeps(1);
    return epoll_events(epoll_fd, events, is_ready ? 0 : arming.bound_ms(bound_ms));
  }
  // The same by the stage's strategy, which may spin on ready(): for what comes by a link.
  template <typename Ready>
  int wait_with_epoll(int epoll_fd, std::span<epoll_event> events, Ready&& ready, int bound_ms,
                      std::initializer_list<LinkWriter*> outputs = {}) noexcept {
    collect_bell_points(outputs);
    WaitDescriptor descriptor{epoll_fd};
    WaitAids aids;
    aids.event = bell_ ? &*bell_ : nullptr;
    aids.descriptors = {&descriptor, 1};
    const std::uint64_t sleeps_before = waiter_.counts().sleeps;
    const auto look = [&] {
      look_for_news();
      return stop_requested() || ready();
    };
    // How it ended is seen by looking at everything.
    const WaitOutcome outcome =
        waiter_.wait(std::span<const WaitPoint>(points_), look,
                     deadline_after(static_cast<std::uint64_t>(bound_ms) * 1'000'000), aids);
    note_sleeps(waiter_.counts().sleeps - sleeps_before);
    // What has come by a descriptor, too, is met in the next wait.
    if (outcome == WaitOutcome::kReady) return 0;
    return epoll_events(epoll_fd, events, 0);
  }
  // To add to that instance for EPOLLIN; -1: the stage was given none, and sleeps blindly.
  [[nodiscard]] int bell_fd() const noexcept { return bell_ ? bell_->fd() : -1; }

  // The stage's descriptor store; without a runner one that keeps nothing.
  [[nodiscard]] DescriptorKeeper& keeper() noexcept { return keeper_; }

  // try_reserve() that waits while the link is full.  `interrupted` as ready() above.  A link with
  // credit is not waited for: kInterrupted at once when it is full.
  template <typename Interrupted>
  [[nodiscard]] Reserved reserve(LinkWriter& output, std::uint64_t size_bytes,
                                 std::span<std::byte>& message,
                                 Interrupted&& interrupted) noexcept {
    for (;;) {
      switch (output.try_reserve(size_bytes, message)) {
        case Transfer::kDone:
          return Reserved::kDone;
        case Transfer::kCorruptPeer:
          return Reserved::kCorruptPeer;
        case Transfer::kBlocked:
          break;
      }
      if (output.shape().credit_count != 0 || interrupted()) return Reserved::kInterrupted;
      if (output.is_peer_closed()) return Reserved::kPeerClosed;
      if (stop_requested()) return Reserved::kStopped;
      wait([&] { return output.has_space(size_bytes) || output.is_peer_closed() || interrupted(); },
           kNoDeadline, {&output});
    }
  }

  // One line on stderr, which the runner shows with the stage's name.
  void log(Severity severity, const char* format, ...) const __attribute__((format(printf, 3, 4)));

  // Closes every end: readers see the end of the stream.  Answers the process's exit status, 0.
  int finish() noexcept;

 private:
  struct InputEnd {
    std::string port;
    LinkReader reader;
  };
  struct OutputEnd {
    std::string port;
    LinkWriter writer;
  };

  Stage() = default;
  [[nodiscard]] bool parse(std::span<char* const> words, int& exit_status);
  [[nodiscard]] bool attach(int& exit_status);
  [[nodiscard]] bool shut_in(int directory_fd) const;
  [[nodiscard]] bool take_setting(std::string_view word);
  [[nodiscard]] bool take_option(std::string_view word);
  [[nodiscard]] bool take_inherited(std::string_view key, std::string_view value);
  [[nodiscard]] bool attach_bells();
  [[nodiscard]] bool check_ports() const;
  // On what points_ holds.
  template <typename Ready>
  WaitOutcome wait_on_points(Ready& ready, std::uint64_t deadline_ns,
                             std::initializer_list<LinkWriter*> outputs) noexcept {
    const std::uint64_t sleeps_before = waiter_.counts().sleeps;
    const WaitOutcome outcome = waiter_.wait(
        std::span<const WaitPoint>(points_),
        [&] {
          look_for_news();
          return stop_requested() || ready();
        },
        deadline_ns);
    const std::uint64_t sleeps = waiter_.counts().sleeps - sleeps_before;
    note_sleeps(sleeps);
    for (LinkWriter* output : outputs) output->count_sleep(sleeps);
    return outcome;
  }
  void collect_points(std::initializer_list<LinkWriter*> outputs) noexcept;
  void collect_points_of(LinkReader& input) noexcept;
  void collect_bell_points(std::initializer_list<LinkWriter*> outputs) noexcept;
  static int epoll_events(int epoll_fd, std::span<epoll_event> events, int bound_ms) noexcept;
  // Of every end, whether waited for or not: a peer's successor sleeps lightly until we look.
  void look_for_news() noexcept;
  void note_sleeps(std::uint64_t more) noexcept;
  void complain(const std::string& what) const;

  StageDescription description_;
  std::string name_;
  std::string board_segment_;
  struct Wanted {
    PortKind kind;
    std::string port;
    std::string segment;
  };
  std::vector<Wanted> wanted_;
  std::vector<std::pair<std::string, std::string>> options_;
  MemoryLock memory_lock_ = MemoryLock::kTry;
  bool is_sandboxed_ = false;
  WaiterOptions waiter_options_;
  Waiter waiter_;
  std::optional<Board> board_;
  Board::Number sleep_count_;
  // Deques, because ends must stay where they are.
  std::deque<InputEnd> inputs_;
  std::deque<OutputEnd> outputs_;
  std::deque<InputEnd> commands_;
  std::vector<WaitPoint> points_;
  DescriptorKeeper keeper_;
  std::optional<EventBell> bell_;  // ours, rung by the others
  // The others', by the port that joins us to them; one bell may stand behind several ports.  They
  // stay open to the end.
  std::vector<std::pair<std::string, int>> rung_bells_;
};

}  // namespace slipring
