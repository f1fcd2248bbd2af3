// Messages of 64 bytes from kSenders processes to one reader, singly.
//
// A contender is a Channel: constructible from an Arena, with sender(number) and reader(), each
// called in the process that uses the end.  A sender has try_push(const M&), a reader try_pop(M&);
// with kSleeps they wait inside for a while before they answer false.
//
// Every sender numbers its messages; every word of every message is checked, and that each sender's
// come once each and in their order.  The rate is what arrived between a fifth of the time and its
// end.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "core/error/check.h"
#include "platform/wait/clock.h"
#include "tools/bench/arena.h"
#include "tools/bench/cell.h"
#include "tools/bench/many_loop.h"
#include "tools/bench/message.h"
#include "tools/bench/sides.h"

namespace slipring::bench {

using SenderMessage = Message<64>;

// Tries until it is done; false when that is pointless.
template <typename Channel, typename Try>
bool insist(Patience& patience, std::uint64_t deadline_ns, Try&& attempt) {
  patience.reset();
  while (!attempt()) {
    if (Channel::kSleeps ? monotonic_ns() > deadline_ns : !patience.wait()) return false;
  }
  return true;
}

template <typename Channel>
void send_numbered(Channel& channel, std::uint32_t number, std::uint32_t side_count,
                   MeetingPoint& point, ManyTotals& totals, std::uint64_t deadline_ns) {
  auto end = channel.sender(number);
  start_together(point, side_count);
  Patience patience(point, deadline_ns, side_count > 2);
  SenderMessage message;
  const auto push = [&] {
    return insist<Channel>(patience, deadline_ns, [&] { return end.try_push(message); });
  };
  std::uint64_t sequence = 0;
  bool going = true;
  while (going && totals.stop.look() == 0) {
    for (std::uint64_t i = 0; going && i < kShowEvery; ++i) {
      set_tagged(message, tag_of(number, sequence));
      going = push();
      if (going) ++sequence;
    }
  }
  totals.sent.add(sequence);
  if (sequence != 0) totals.sum_sent.add(sequence * (sequence - 1) / 2);
  message.set(kEndMark);
  if (going) (void)push();
  // Where a sender's end drops what its reader had no room for yet, it stays.
  while (going && totals.received[0].look() == 0 && monotonic_ns() < deadline_ns) {
    pause_for(1'000'000);
  }
}

struct NumberedOutcome {
  ManyJudge judge;
  double messages_per_second = 0;
  bool timed_out = false;
};

// Reads until every sender has said that it ends.
template <typename Channel>
NumberedOutcome read_numbered(Channel& channel, std::uint32_t sender_count, MeetingPoint& point,
                              ManyTotals& totals, const CellSettings& settings) {
  auto end = channel.reader();
  start_together(point, sender_count + 1);
  NumberedOutcome outcome;
  const std::uint64_t start_ns = monotonic_ns();
  const std::uint64_t deadline_ns = start_ns + settings.duration_ns + kStallNs;
  Patience patience(point, deadline_ns, sender_count > 1);
  std::uint64_t begin_ns = 0;
  std::uint64_t begin_count = 0;
  SenderMessage message;
  for (std::uint32_t ended = 0; ended != sender_count;) {
    if (!insist<Channel>(patience, deadline_ns, [&] { return end.try_pop(message); })) {
      outcome.timed_out = true;
      break;
    }
    if (message.is(kEndMark)) [[unlikely]] {
      ++ended;
      continue;
    }
    judge_tagged(outcome.judge, message);
    if (outcome.judge.count() % kShowEvery != 0 || outcome.messages_per_second != 0) continue;
    const std::uint64_t now_ns = monotonic_ns();
    if (begin_ns == 0 && now_ns - start_ns >= settings.duration_ns / 5) {
      begin_ns = now_ns;
      begin_count = outcome.judge.count();
    } else if (now_ns - start_ns >= settings.duration_ns) {
      const auto counted = static_cast<double>(outcome.judge.count() - begin_count);
      outcome.messages_per_second = counted * 1e9 / static_cast<double>(now_ns - begin_ns);
      totals.stop.publish(1);
    }
  }
  totals.received[0].publish(1);
  return outcome;
}

template <typename Channel, std::uint32_t kSenders>
CellResult run_senders(const CellSettings& settings) {
  Arena arena(kArenaBytes);
  auto& point = arena.make<MeetingPoint>();
  auto& totals = arena.make<ManyTotals>();
  auto& channel = arena.make<Channel>(arena, kSenders);
  const std::uint64_t deadline_ns = monotonic_ns() + settings.duration_ns + 2 * kStallNs;
  // Two sides have a processor each; more of them share both as the kernel likes.
  const auto place = [&](std::uint32_t cpu) {
    kSenders == 1 ? pin_to(cpu) : pin_to_both(settings);
  };
  std::array<pid_t, kSenders> senders{};
  for (std::uint32_t i = 0; i < kSenders; ++i) {
    senders[i] = fork();
    check(senders[i] >= 0, "no process for a sender");
    if (senders[i] != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    place(settings.cpu_there);
    send_numbered(channel, i, kSenders + 1, point, totals, deadline_ns);
    _exit(0);
  }
  place(settings.cpu_here);
  const NumberedOutcome outcome = read_numbered(channel, kSenders, point, totals, settings);
  if (outcome.timed_out) {
    for (const pid_t sender : senders) kill(sender, SIGKILL);
  }
  for (const pid_t sender : senders) waitpid(sender, nullptr, 0);
  CellResult result;
  result.value = outcome.timed_out ? 0 : outcome.messages_per_second;
  result.stalled = outcome.timed_out;
  result.message_count = outcome.judge.count();
  if (!outcome.timed_out) {
    result.faults = outcome.judge.faults(totals.sent.look(), totals.sum_sent.look());
  }
  return result;
}

// Both shapes of one contender.
template <typename Channel>
void add_senders_of(Registry& registry, const Contender& contender) {
  registry.add("senders1", contender, run_senders<Channel, 1>);
  registry.add("senders4", contender, run_senders<Channel, 4>);
}

}  // namespace slipring::bench
