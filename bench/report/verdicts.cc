#include "bench/report/verdicts.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string_view>

namespace slipring::bench {
namespace {

std::string formatted(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Three significant digits.
std::string three_digits(double value) {
  return formatted(value >= 99.95 ? "%.0f" : value >= 9.995 ? "%.1f" : "%.2f", value);
}

using Choice = std::function<bool(const Contender& contender)>;

bool is_ours(const Contender& contender) {
  return contender.family == Family::kOurs;
}
bool is_rival(const Contender& contender) {
  return contender.family == Family::kPeer || contender.family == Family::kKernel;
}
bool is_rival_with_try(const Contender& contender) {
  return is_rival(contender) && std::strcmp(contender.id, "atomic-queue.optimist") != 0;
}
bool is_raw(const Contender& contender) {
  return contender.family == Family::kRaw;
}
bool is_whole_pipe(const Contender& contender) {
  return std::strcmp(contender.id, "pipe") == 0;
}
Choice is(std::string_view id) {
  return [id](const Contender& contender) { return contender.id == id; };
}
bool is_vyukov(const Contender& contender) {
  return std::strcmp(contender.id, "vyukov") == 0;
}
bool is_rival_but_vyukov(const Contender& contender) {
  return is_rival(contender) && !is_vyukov(contender);
}

// The best of those chosen, by the median; nothing when none was measured.
const Measured* best_of(const RunOutcome& outcome, std::string_view workload,
                        const Choice& choice) {
  const Measured* best = nullptr;
  for (const Measured& measured : outcome.measured) {
    if (workload != measured.cell->workload->id || !measured.was_measured()) continue;
    if (!choice(*measured.cell->contender) || measured.value.median <= 0) continue;
    const bool is_better = best == nullptr || (more_is_better(measured.cell->workload->unit)
                                                   ? measured.value.median > best->value.median
                                                   : measured.value.median < best->value.median);
    if (is_better) best = &measured;
  }
  return best;
}

std::string named(const Measured& measured) {
  const std::string fault = fault_text(measured);
  return figure_text(measured.value.median, measured.cell->workload->unit) + ", " +
         measured.cell->contender->title + (fault.empty() ? "" : " (" + fault + ")");
}

// "single repetitions 0.97 to 1.03": of two contenders that were measured in turns.
std::string spread_text(const Measured& one, const Measured& other) {
  double least = 1e9;
  double most = 0;
  const std::size_t count = std::min(one.repetitions.size(), other.repetitions.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (other.repetitions[i].value <= 0) continue;
    const double ratio = one.repetitions[i].value / other.repetitions[i].value;
    least = std::min(least, ratio);
    most = std::max(most, ratio);
  }
  return "single repetitions " + formatted("%.2f", least) + " to " + formatted("%.2f", most);
}

class Judge {
 public:
  explicit Judge(const RunOutcome& outcome) : outcome_(outcome) {}

  // Ours over theirs: a rate, or theirs over ours for a time when `at_most` is false.
  void at_least(const char* title, const char* goal, const char* workload, const Choice& rivals,
                double wanted) {
    compare(title, goal, workload, workload, rivals, wanted, false);
  }
  void at_most(const char* title, const char* goal, const char* workload, const Choice& rivals,
               double wanted, const Choice& chosen = is_ours) {
    compare(title, goal, workload, workload, rivals, wanted, true, chosen);
  }

  // Their time over that of those of ours that `chosen` finds.
  void at_least_as_quick(const char* title, const char* goal, const char* workload,
                         const Choice& rivals, const Choice& chosen = is_ours) {
    compare(title, goal, workload, workload, rivals, 1, false, chosen);
  }

  // Our own figures in two workloads.
  void between(const char* title, const char* goal, const char* workload, const char* reference,
               double wanted, bool at_most) {
    compare(title, goal, workload, reference, is_ours, wanted, at_most);
  }

  // Two contenders of ours in one workload: the ratio of their rates, and how far it lies apart in
  // single repetitions, which ran side by side.
  void of_ours(const char* title, const char* goal, const char* workload, std::string_view one,
               std::string_view other, double wanted) {
    Verdict verdict = begin(title, goal, wanted, false);
    const Measured* const ours = best_of(outcome_, workload, is(one));
    const Measured* const theirs = best_of(outcome_, workload, is(other));
    if (ours != nullptr) verdict.ours = named(*ours);
    if (theirs != nullptr) verdict.against = named(*theirs);
    if (ours == nullptr || theirs == nullptr) {
      verdict.remark = "not measured in this run";
    } else {
      verdict.ratio = ours->value.median / theirs->value.median;
      verdict.remark = spread_text(*ours, *theirs);
      settle(verdict);
    }
    verdicts_.push_back(std::move(verdict));
  }

  // The 99.9th percentile of what was measured message by message.
  void tail(const char* title, const char* goal, const char* workload, const Choice& rivals,
            double wanted) {
    Verdict verdict = begin(title, goal, wanted, true);
    const Measured* const ours = best_tail(workload, is_ours);
    const Measured* const theirs = best_tail(workload, rivals);
    if (ours != nullptr) verdict.ours = tail_text(*ours);
    if (theirs != nullptr) verdict.against = tail_text(*theirs);
    if (ours == nullptr || theirs == nullptr) {
      verdict.remark = "not measured in this run";
    } else if (ours->is_far != theirs->is_far) {
      verdict.remark = "no verdict: only one of the two was measured near";
    } else {
      verdict.ratio = tail_ns(*ours) / tail_ns(*theirs);
      settle(verdict);
    }
    verdicts_.push_back(std::move(verdict));
  }

  // Against a number.
  void absolute(const char* title, const char* goal, const char* workload, double wanted,
                bool at_most) {
    Verdict verdict = begin(title, goal, wanted, at_most);
    if (const Measured* ours = best_of(outcome_, workload, is_ours); ours != nullptr) {
      verdict.ours = named(*ours);
      verdict.ratio = ours->value.median;
      settle(verdict);
    }
    verdicts_.push_back(std::move(verdict));
  }

  // A time against the bare bounce of one cache line, measured by the same loop with its clock
  // readings and checks: what is left is what the ring costs.
  void against_bounce(const char* title, const char* goal, const char* workload, double wanted) {
    compare(title, goal, workload, workload, is_raw, wanted, true);
  }

  [[nodiscard]] std::vector<Verdict> take() { return std::move(verdicts_); }

 private:
  static double tail_ns(const Measured& measured) {
    return static_cast<double>(measured.latency_ns.percentile(0.999));
  }
  static std::string tail_text(const Measured& measured) {
    return figure_text(tail_ns(measured), Unit::kNanoseconds) + ", " +
           measured.cell->contender->title;
  }
  const Measured* best_tail(std::string_view workload, const Choice& choice) const {
    const Measured* best = nullptr;
    for (const Measured& measured : outcome_.measured) {
      if (workload != measured.cell->workload->id || !measured.was_measured()) continue;
      if (!choice(*measured.cell->contender) || measured.latency_ns.total() == 0) continue;
      if (best == nullptr || tail_ns(measured) < tail_ns(*best)) best = &measured;
    }
    return best;
  }

  static Verdict begin(const char* title, const char* goal, double wanted, bool at_most) {
    Verdict verdict;
    verdict.workload = title;
    verdict.goal = goal;
    verdict.wanted = wanted;
    verdict.at_most = at_most;
    return verdict;
  }

  static void settle(Verdict& verdict) {
    const bool won =
        verdict.at_most ? verdict.ratio <= verdict.wanted : verdict.ratio >= verdict.wanted;
    verdict.won = won ? Won::kYes : Won::kNo;
  }

  void compare(const char* title, const char* goal, const char* workload, const char* reference,
               const Choice& rivals, double wanted, bool at_most, const Choice& chosen = is_ours) {
    Verdict verdict = begin(title, goal, wanted, at_most);
    const Measured* const ours = best_of(outcome_, workload, chosen);
    const Measured* const theirs = best_of(outcome_, reference, rivals);
    if (ours != nullptr) verdict.ours = named(*ours);
    if (theirs != nullptr) verdict.against = named(*theirs);
    if (ours != nullptr && theirs != nullptr) {
      verdict.ratio = ours->value.median / theirs->value.median;
      const bool is_speed = !at_most && !more_is_better(ours->cell->workload->unit);
      if (is_speed) verdict.ratio = 1 / verdict.ratio;
      if (ours->is_far != theirs->is_far) {
        verdict.remark = "no verdict: only one of the two was measured near";
      } else {
        if (ours->is_far) verdict.remark = "both measured far apart";
        settle(verdict);
      }
    } else {
      verdict.remark = ours == nullptr ? "not measured in this run" : "no rival in this run";
    }
    verdicts_.push_back(std::move(verdict));
  }

  const RunOutcome& outcome_;
  std::vector<Verdict> verdicts_;
};

void judge_one_way(Judge& judge) {
  judge.at_least("SPSC 8 B singly, 1024 slots", "≥ 2 × the best peer with a real try", "spsc8.1k",
                 is_rival_with_try, 2);
  judge.at_least("SPSC 8 B singly, 1024 slots: the prize", "ahead of every peer", "spsc8.1k",
                 is_rival, 1);
  judge.at_least("SPSC 8 B singly, 64 Ki slots", "≥ 2 × the best peer with a real try", "spsc8.64k",
                 is_rival_with_try, 2);
  judge.at_least("SPSC 8 B, batches of 32", "≥ 1.5 × the best peer", "spsc8.batch", is_rival, 1.5);
  judge.at_least("SPSC 64 B singly", "≥ 1.4 × the best peer", "spsc64.1k", is_rival, 1.4);
  judge.at_least("SPSC 64 B, batches of 32", "≥ 0.9 × the raw hand-over", "spsc64.batch", is_raw,
                 0.9);
  judge.against_bounce("Round trip 8 B", "≤ 1.1 × a bare bounce of one line", "trip8", 1.1);
  judge.against_bounce("Round trip 56 B", "≤ 1.1 × a bare bounce of one line", "trip56", 1.1);
  judge.against_bounce("Round trip 64 B", "≤ 1.25 × a bare bounce of one line", "trip64", 1.25);
  judge.tail("Round trip 8 B, p99.9", "no worse than the best peer's", "trip8", is_rival, 1);
  judge.tail("Round trip 64 B, p99.9", "no worse than the best peer's", "trip64", is_rival, 1);
  judge.between("Across processes, 8 B singly", "within 5 % of threads", "process.spsc8",
                "spsc8.1k", 0.95, false);
  judge.between("Across processes, 64 B singly", "within 5 % of threads", "process.spsc64",
                "spsc64.1k", 0.95, false);
}

void judge_records(Judge& judge) {
  judge.at_least("Records 16 B", "ahead of every peer", "record16", is_rival, 1);
  judge.at_least("Records 64 B", "ahead of every peer", "record64", is_rival, 1);
  judge.at_least("Records 256 B", "ahead of every peer", "record256", is_rival, 1);
  judge.at_least("Records 1 KiB", "ahead of every peer", "record1k", is_rival, 1);
  judge.at_least("Records 4 KiB", "≥ 2 × the best peer", "record4k", is_rival, 2);
  judge.at_least("Records 64 KiB", "≥ 2 × the best peer", "record64k", is_rival, 2);
  for (const auto& [title, workload] : {std::pair("Bytes, 4 KiB a write", "stream4k"),
                                        std::pair("Bytes, 64 KiB a write", "stream64k"),
                                        std::pair("Bytes, 1 MiB a write", "stream1m")}) {
    judge.at_least(title, "ahead of pipe, unix stream and TCP", workload, is_rival, 1);
  }
  judge.between("Large messages by handle", "1 MiB costs what 64 B costs", "handle1m", "handle64",
                0.9, false);
}

bool is_asleep(const Contender& contender) {
  return std::strcmp(contender.id, "slipring.calls-asleep") == 0;
}

void judge_adapters(Judge& judge) {
  constexpr const char* kAheadOfSockets = "ahead of unix sockets";
  judge.at_least_as_quick("A call of 64 B, polled", kAheadOfSockets, "call", is_rival);
  judge.at_least_as_quick("A call of 64 B, ready to sleep", kAheadOfSockets, "call.slept",
                          is_rival);
  judge.at_least_as_quick("A call of 64 B, asleep each time", kAheadOfSockets, "call.slept",
                          is_rival, is_asleep);
  judge.at_least("16 calls at a time, polled", kAheadOfSockets, "call16", is_rival, 1);
  judge.at_least("16 calls at a time, ready to sleep", kAheadOfSockets, "call16.slept", is_rival,
                 1);
  judge.at_least("Mailbox, 64 B from 1 sender", "ahead of sockets, queues and ZeroMQ", "senders1",
                 is_rival, 1);
  judge.at_least("Mailbox, 64 B from 4 senders", "ahead of sockets, queues and ZeroMQ", "senders4",
                 is_rival, 1);
}

void judge_links(Judge& judge) {
  const Choice in_a_ring = is("slipring.abort");  // its requests lie in the ring itself
  judge.at_least_as_quick("Abort with 256 MiB queued",
                          "ahead of a pipe whose sender drops the rest", "abort256m", is_rival,
                          in_a_ring);
  judge.at_least_as_quick("Abort with 256 MiB queued by handle",
                          "ahead of a pipe whose sender drops the rest", "abort256m", is_rival,
                          is("slipring.abort-pool"));
  judge.at_most("Abort with 256 MiB queued", "≤ 1/50 of playing the queue out", "abort256m", is_raw,
                0.02, in_a_ring);
  judge.at_most("Abort with 256 MiB queued", "≤ 1/50 of reading it out of a pipe", "abort256m",
                is_whole_pipe, 0.02, in_a_ring);
  judge.between("A look at the control lane at every record", "within 3 % of never", "look.1",
                "look.never", 0.97, false);
  judge.between("A look at every 16th record", "within 1 % of never", "look.16", "look.never", 0.99,
                false);
  for (const auto& [title, workload] : {std::pair("Guarded, values of 8 B", "link.values8"),
                                        std::pair("Guarded, slots of 64 B", "link.slots64"),
                                        std::pair("Guarded, records of 1 KiB", "link.records1k"),
                                        std::pair("Guarded, byte stream", "link.stream4k")}) {
    judge.of_ours(title, "within 3 % of named", workload, "slipring.guarded", "slipring.named",
                  0.97);
  }
}

void judge_many(Judge& judge) {
  for (const auto& [title, workload] :
       {std::pair("MPMC 8 B, 1 × 1", "mpmc8.1x1"), std::pair("MPMC 8 B, 2 × 2", "mpmc8.2x2"),
        std::pair("MPMC 8 B, 4 × 4", "mpmc8.4x4"), std::pair("MPMC 8 B, 1 × 4", "mpmc8.1x4"),
        std::pair("MPMC 8 B, 4 × 1", "mpmc8.4x1"), std::pair("MPMC 8 B, 8 × 8", "mpmc8.8x8")}) {
    judge.at_least(title, "at least the best peer", workload, is_rival, 1);
  }
  judge.at_least("MPMC 64 B, 2 × 2", "≥ 0.7 × Vyukov's queue", "mpmc64.2x2", is_vyukov, 0.7);
  judge.at_least("MPMC 64 B, 2 × 2", "ahead of every other peer", "mpmc64.2x2", is_rival_but_vyukov,
                 1);
  judge.absolute("MPMC with one participant stopped", "≥ 0.9 × the rate without it", "stopped", 0.9,
                 false);
  judge.between("Broadcast to 4 readers", "writer's cost ≤ 1.5 × that with one", "fan4", "fan1",
                1.5, true);
  judge.at_most("Wake from sleep", "≤ 1.1 × a bare futex wake", "wake", is_rival, 1.1);
  judge.between("A link that can sleep", "within 3 % of poll-only", "ready8", "spsc8.1k", 0.97,
                false);
  judge.absolute("Idle", "< 1 % of a processor", "idle", 1, true);
  judge.absolute("8 B in and out, one thread", "≤ 31 instructions in all", "instructions8", 31,
                 true);
}

}  // namespace

std::vector<Verdict> judge_goals(const RunOutcome& outcome) {
  Judge judge(outcome);
  judge_one_way(judge);
  judge_records(judge);
  judge_many(judge);
  judge_adapters(judge);
  judge_links(judge);
  return judge.take();
}

std::string figure_text(double value, Unit unit) {
  switch (unit) {
    case Unit::kMessagesPerSecond:
      return value > 0 && value < 1e5 ? three_digits(value / 1e3) + " k/s"
                                      : three_digits(value / 1e6) + " M/s";
    case Unit::kBytesPerSecond:
      return three_digits(value / (1024.0 * 1024 * 1024)) + " GiB/s";
    case Unit::kNanoseconds:
      if (value >= 1e7) return three_digits(value / 1e6) + " ms";
      return value >= 1e4 ? three_digits(value / 1e3) + " µs" : three_digits(value) + " ns";
    case Unit::kRatio:
      return formatted("%.2f", value);
    case Unit::kPercent:
      return formatted("%.2f %%", value);
    case Unit::kInstructions:
      return formatted("%.1f", value);
  }
  return "";
}

std::string fault_text(const Measured& measured) {
  std::string text;
  const auto add = [&text](std::uint64_t count, const char* what) {
    if (count == 0) return;
    text += (text.empty() ? "" : ", ") + std::to_string(count) + ' ' + what;
  };
  if (measured.stall_count != 0) text = "stalls";
  add(measured.faults.lost, "lost");
  add(measured.faults.reordered, "out of order");
  add(measured.faults.torn, "torn");
  return text;
}

}  // namespace slipring::bench
