// How often should a reader look for commands?  Every look costs something a message; between two
// looks messages are processed that nobody wants any more.
//
// Three ways of looking, each at every 1, 2, 4, … 4096 messages: at the link's control lane, which
// is a load of shared memory; at an eventfd, a system call; at a word of the process's own that a
// real-time signal's handler sets.  And a reader that does not look, because it is blocked: in a
// futex, in poll() on the eventfd, in a read() that the signal interrupts.
//
// One process, the reader on one processor and the commander on another; 64-byte slots, every word
// of every message is checked; all settings in turns, again and again.
//
// Wasted messages are counted in the run: in rounds with a command the reader stamps every eighth
// message with the processor's counter.  What it had finished when the command was given, by the
// commander's own clock, is read off the stamps; the rest until the look that noticed is wasted.
// The overhead a message is that of rounds without a command, where nothing is stamped.

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/oob/interval_table.h"
#include "core/cpu/relax.h"
#include "core/error/check.h"
#include "pipelines/link/commander.h"
#include "pipelines/link/control_alarm.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"
#include "tools/bench/link_place.h"
#include "tools/bench/machine_facts.h"
#include "tools/bench/message.h"
#include "tools/bench/runner.h"
#include "tools/bench/shared_word.h"
#include "tools/bench/sides.h"
#include "tools/bench/ticks.h"

namespace slipring::bench {
namespace {

constexpr std::uint64_t kSlots = 65536;
constexpr std::uint64_t kStampEvery = 8;
using Request = Message<64>;

enum class Way : std::uint8_t { kLane, kEvent, kSignal };
constexpr const char* kWayNames[] = {"control lane", "eventfd", "signal"};
constexpr std::uint32_t kNoLook = 0;

volatile sig_atomic_t told = 0;
void hear_signal(int) {
  told = 1;
}

struct Setting {
  Way way = Way::kLane;
  std::uint32_t interval = kNoLook;
  std::vector<double> message_ns;  // of rounds without a command
  std::vector<double> notice_ns;
  std::vector<double> wasted;
};

double percentile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(fraction * last + 0.5)];
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

// Of the calling thread: what others do on its processor costs it nothing.
double own_time_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

class Bench {
 public:
  explicit Bench(const CellSettings& settings)
      : settings_(settings),
        place_(shape(), false),
        directory_(place_.directory()),
        writer_(LinkWriter::attach(directory_, LinkPlace::kName).value()),
        reader_(LinkReader::attach(directory_, LinkPlace::kName).value()),
        commander_(LinkCommander::attach(directory_, LinkPlace::kName).value()) {
    reader_.set_control_interval(kControlByHand);
    check(pipe(silent_) == 0, "a pipe");
    stamps_.reserve(kSlots / kStampEvery + 1);
    static_cast<void>(tick_rate());  // takes a while at first
    pin_to(settings.cpu_here);
  }

  // One drain of a full ring; with a command somewhere on the way, or without.
  void round(Setting& setting, bool has_command) {
    fill();
    told = 0;
    std::optional<ControlAlarm> alarm = alarm_of(setting.way);
    progress_.publish(0);
    issued_ns_.publish(0);
    std::optional<std::thread> commander;
    if (has_command) {
      const std::uint64_t at = kSlots / 20 + random_() % (kSlots / 2);
      commander.emplace([this, at] { command_at(at); });
    }
    const double start_ns = own_time_ns();
    ControlAlarm* const told_by = alarm ? &*alarm : nullptr;
    const Drained drained =
        has_command ? drain<true>(setting, told_by) : drain<false>(setting, told_by);
    const double each_ns = (own_time_ns() - start_ns) / static_cast<double>(drained.count);
    if (commander) commander->join();
    if (!has_command) {
      setting.message_ns.push_back(each_ns);
      return;
    }
    reader_.obey_commands();
    const std::uint64_t issued_ns = issued_ns_.look();
    // A drain that was over before the command came says nothing.
    if (!drained.was_told || drained.told_ns < issued_ns) return;
    const auto late_ns = static_cast<double>(drained.told_ns - issued_ns);
    setting.notice_ns.push_back(late_ns);
    setting.wasted.push_back(static_cast<double>(drained.count) - finished_at(issued_ns));
  }

  // The reader is blocked when the command comes.
  double blocked(Way way) {
    std::optional<ControlAlarm> alarm = alarm_of(way);
    issued_ns_.publish(0);
    asleep_.publish(0);
    std::thread commander([this] {
      while (asleep_.look() == 0) relax();
      // Long enough to have fallen asleep; what is measured begins with the command.
      const timespec soon{0, 300'000};
      nanosleep(&soon, nullptr);
      give();
    });
    asleep_.publish(1);
    if (way == Way::kLane) {
      Waiter waiter({.strategy = WaitStrategy::kSleep});
      const WaitPoint point = reader_.control_point();
      static_cast<void>(waiter.wait(
          std::span<const WaitPoint>(&point, 1), [this] { return reader_.has_command(); },
          kNoDeadline));
    } else if (way == Way::kEvent) {
      pollfd watched{alarm->fd(), POLLIN, 0};
      while (poll(&watched, 1, -1) < 0 && errno == EINTR) {
      }
    } else {
      char nothing = 0;
      // Nobody writes: a signal ends it.
      while (!reader_.has_command() && read(silent_[0], &nothing, 1) < 0) {
      }
    }
    const std::uint64_t end_ns = monotonic_ns();
    commander.join();
    reader_.obey_commands();
    return static_cast<double>(end_ns - issued_ns_.look());
  }

  [[nodiscard]] std::uint64_t checked() const { return checked_; }
  [[nodiscard]] std::uint64_t torn() const { return torn_; }

 private:
  struct Drained {
    std::uint64_t count = 0;
    bool was_told = false;
    std::uint64_t told_ns = 0;
  };

  [[nodiscard]] static LinkShape shape() {
    LinkShape shape;
    shape.kind = SegmentKind::kSlotLink;
    shape.slot_count = kSlots;
    shape.slot_bytes = sizeof(Request);
    return shape;
  }

  std::optional<ControlAlarm> alarm_of(Way way) {
    const ControlWatch watch = reader_.control_watch();
    if (way == Way::kEvent) return ControlAlarm::by_event(watch).value();
    if (way == Way::kSignal) return ControlAlarm::by_signal(watch, SIGRTMIN).value();
    return std::nullopt;
  }

  void fill() {
    std::span<std::byte> place;
    while (writer_.try_reserve(sizeof(Request), place) == Transfer::kDone) {
      set_bytes(place, first_word(sent_++));
      writer_.commit(sizeof(Request));
    }
  }

  [[nodiscard]] bool is_told(Way way, const ControlAlarm* alarm) const {
    if (way == Way::kLane) return reader_.has_command();
    if (way == Way::kSignal) return told != 0;
    pollfd watched{alarm->fd(), POLLIN, 0};
    return poll(&watched, 1, 0) > 0;
  }

  template <bool kStamps>
  Drained drain(const Setting& setting, const ControlAlarm* alarm) {
    Drained drained;
    stamps_.assign(1, ticks_now());
    std::uint32_t until_look = setting.interval == kNoLook ? UINT32_MAX : setting.interval;
    slipring::Message message;
    while (reader_.try_peek(message) == Transfer::kDone) {
      if (!bytes_are(message.bytes, first_of(message.bytes))) ++torn_;
      reader_.release(message);
      progress_.publish(++drained.count);
      if (kStamps && drained.count % kStampEvery == 0) stamps_.push_back(ticks_now());
      if (--until_look != 0) continue;
      until_look = setting.interval;
      if (!is_told(setting.way, alarm)) continue;
      drained.told_ns = monotonic_ns();
      drained.was_told = true;
      break;
    }
    checked_ += drained.count;
    return drained;
  }

  // How many messages the last drain had finished at that time: the stamps around it say so, and
  // between two of them it is a straight line.
  [[nodiscard]] double finished_at(std::uint64_t time_ns) const {
    const auto ago_ns = static_cast<double>(monotonic_ns() - time_ns);
    const double at = static_cast<double>(ticks_now()) - ago_ns / tick_rate().ns_per_tick;
    const auto next = std::upper_bound(
        stamps_.begin(), stamps_.end(), at,
        [](double time, std::uint64_t stamp) { return time < static_cast<double>(stamp); });
    if (next == stamps_.begin()) return 0;
    const auto full = static_cast<double>(next - stamps_.begin() - 1);
    if (next == stamps_.end()) return full * kStampEvery;
    const auto before = static_cast<double>(*(next - 1));
    const double part = (at - before) / (static_cast<double>(*next) - before);
    return (full + part) * kStampEvery;
  }

  void give() {
    Result<AbortTicket> ticket = commander_.abort();
    if (ticket) issued_ns_.publish(ticket->lanes.front().issued_ns);
  }
  void command_at(std::uint64_t progress) {
    pin_to(settings_.cpu_there);
    while (progress_.look() < progress) relax();
    give();
  }

  CellSettings settings_;
  LinkPlace place_;
  SegmentDirectory directory_;
  LinkWriter writer_;
  LinkReader reader_;
  LinkCommander commander_;
  std::vector<std::uint64_t> stamps_;  // in ticks: of the start, and of every eighth message
  SharedWord progress_;
  SharedWord issued_ns_;
  SharedWord asleep_;
  std::mt19937_64 random_{1};
  std::uint64_t sent_ = 0;
  std::uint64_t checked_ = 0;
  std::uint64_t torn_ = 0;
  int silent_[2] = {-1, -1};  // a pipe that nobody writes to
};

IntervalTable measure(std::uint32_t rounds) {
  Bench bench(default_settings());
  Setting bare;
  std::vector<Setting> settings;
  for (const Way way : {Way::kLane, Way::kEvent, Way::kSignal}) {
    for (std::uint32_t interval = 1; interval <= 4096; interval *= 2) {
      Setting setting;
      setting.way = way;
      setting.interval = interval;
      settings.push_back(setting);
    }
  }
  IntervalTable table;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    bench.round(bare, false);
    // There and back again, so that nobody always comes behind the same one.
    for (std::size_t i = 0; i < settings.size(); ++i) {
      Setting& setting = settings[round % 2 == 0 ? i : settings.size() - 1 - i];
      bench.round(setting, false);
      bench.round(setting, true);
    }
  }
  table.bare_message_ns = percentile(bare.message_ns, 0.5);
  for (const Setting& setting : settings) {
    IntervalRow row;
    row.way = kWayNames[static_cast<std::size_t>(setting.way)];
    row.interval = setting.interval;
    row.message_ns = percentile(setting.message_ns, 0.5);
    row.overhead_ns = row.message_ns - table.bare_message_ns;
    row.notice_p50_ns = percentile(setting.notice_ns, 0.5);
    row.notice_p99_ns = percentile(setting.notice_ns, 0.99);
    row.wasted_p50 = percentile(setting.wasted, 0.5);
    row.wasted_p99 = percentile(setting.wasted, 0.99);
    row.wasted_mean = mean(setting.wasted);
    row.round_count = static_cast<std::uint32_t>(setting.notice_ns.size());
    row.command_count = rounds;
    table.rows.push_back(row);
  }
  constexpr const char* kBlockedIn[] = {"futex, the lane's count", "poll(), an eventfd",
                                        "read(), a real-time signal"};
  std::vector<double> late[3];
  for (std::uint32_t round = 0; round < rounds * 4; ++round) {
    for (const Way way : {Way::kLane, Way::kEvent, Way::kSignal}) {
      late[static_cast<std::size_t>(way)].push_back(bench.blocked(way));
    }
  }
  for (std::size_t way = 0; way < 3; ++way) {
    table.blocked.push_back({kBlockedIn[way], percentile(late[way], 0.5),
                             percentile(late[way], 0.99),
                             static_cast<std::uint32_t>(late[way].size())});
  }
  table.messages_checked = bench.checked();
  table.torn = bench.torn();
  return table;
}

// A relative path is meant from where the user stands, not from where Bazel runs the program.
bool write_file(const std::string& path, const std::string& text) {
  const char* const folder = std::getenv("BUILD_WORKING_DIRECTORY");
  const bool is_relative = path.front() != '/' && folder != nullptr;
  std::ofstream file(is_relative ? std::string(folder) + '/' + path : path, std::ios::binary);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "interval: cannot write %s\n", path.c_str());
  return !!file;
}

int run(int argc, char** argv) {
  std::uint32_t rounds = 40;
  std::string json;
  std::string plot;
  CLI::App app("Measures what looking for commands costs, and what not looking costs.", "interval");
  app.add_option("--rounds", rounds, "Drains of each setting, with and without a command")
      ->check(CLI::Range(1U, 100'000U))
      ->capture_default_str();
  app.add_option("--json", json, "The figures, for programs");
  app.add_option("--plot", plot, "The trade-off as an SVG picture");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& fault) {
    return app.exit(fault) == 0 ? 0 : 2;
  }
  struct sigaction action {};
  action.sa_handler = hear_signal;
  sigaction(SIGRTMIN, &action, nullptr);
  const MachineFacts machine = machine_facts();
  const IntervalTable table = measure(rounds);
  std::fputs(interval_text(table).c_str(), stdout);
  bool written = true;
  if (!json.empty()) written &= write_file(json, interval_json(table));
  if (!plot.empty()) {
    const std::string caption = machine.processor + ", " + std::to_string(machine.processor_count) +
                                " processors; " + machine.time;
    written &= write_file(plot, interval_plot(table, caption));
  }
  return written && table.torn == 0 ? 0 : 1;
}

}  // namespace
}  // namespace slipring::bench

int main(int argc, char** argv) {
  return slipring::bench::run(argc, argv);
}
