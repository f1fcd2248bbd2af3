#include "tests/faults/campaign.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>

#include "tests/faults/allowances.h"
#include "tests/faults/holdings.h"

namespace slipring::faults {

namespace {

constexpr unsigned kDeadlineSeconds = 20;
constexpr std::size_t kInterruptions = 3;

struct Words {
  std::array<char, 600> text{};
  void say(std::string_view words) {
    const std::size_t size = std::min(words.size(), text.size() - 1);
    std::memcpy(text.data(), words.data(), size);
    text[size] = '\0';
  }
  [[nodiscard]] const char* c_str() const { return text.data(); }
  [[nodiscard]] bool is_empty() const { return text[0] == '\0'; }
};

// What the child says of itself, in memory that it shares with the judge.
struct Record {
  bool is_finished = false;
  bool is_ok = false;
  Error error{};
  bool is_worded = false;
  Words doing;
  int downgrade_errno = 0;
  Words lie;
  Words leak;
  Words damage;
  Words retry;
  Words late_leak;
};

class SharedRecord {
 public:
  SharedRecord() {
    void* memory =
        ::mmap(nullptr, sizeof(Record), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    record_ = new (memory) Record;
  }
  SharedRecord(const SharedRecord&) = delete;
  SharedRecord& operator=(const SharedRecord&) = delete;
  ~SharedRecord() { ::munmap(record_, sizeof(Record)); }
  [[nodiscard]] Record& get() const { return *record_; }

 private:
  Record* record_ = nullptr;
};

class RunDirectory {
 public:
  RunDirectory() {
    char path[] = "/dev/shm/slipring-faults-XXXXXX";
    if (::mkdtemp(path) == nullptr) std::abort();
    path_ = path;
  }
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;
  ~RunDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool is_as_expected(const Scenario& scenario, const Outcome& outcome) {
  if (!scenario.expected) return outcome.is_ok;
  return !outcome.is_ok && outcome.error.code == *scenario.expected;
}

void note(const Scenario& scenario, const Outcome& outcome, Record& record) {
  record.is_ok = is_as_expected(scenario, outcome);
  record.error = outcome.error;
  record.doing.say(outcome.error.doing);
  record.error.doing = "";
  record.is_worded = outcome.is_worded;
  record.downgrade_errno = outcome.downgrade_errno;
  if (outcome.lie != nullptr) record.lie.say(outcome.lie);
}

// The child's part.
void perform(const Scenario& scenario, const std::string& path, Record& record) {
  Stage stage(path);
  if (scenario.prepare) scenario.prepare(stage);
  if (scenario.arrange) scenario.arrange(stage);
  const Holdings before = holdings_of_this_process(path);
  mark();
  Outcome outcome = scenario.run(stage);
  mark();
  note(scenario, outcome, record);
  if (outcome.is_ok && scenario.undo) scenario.undo(stage);
  record.leak.say(Holdings::difference(before, holdings_of_this_process(path)));
  if (scenario.verify) {
    if (const char* damage = scenario.verify(stage)) record.damage.say(damage);
  }
  if (scenario.arrange) scenario.arrange(stage);
  outcome = scenario.run(stage);
  if (!is_as_expected(scenario, outcome)) {
    record.retry.say(std::string(slipring::name_of(outcome.error.code)) + ", errno " +
                     name_of_errno(outcome.error.os_errno) + ": " + outcome.error.doing);
  }
  if (outcome.is_ok && scenario.undo) scenario.undo(stage);
  record.late_leak.say(Holdings::difference(before, holdings_of_this_process(path)));
  record.is_finished = true;
}

bool is_same_kind(const Call& one, const Call& other) {
  return one.process == other.process && rule_of(one) == rule_of(other);
}

// Applies one fault to a run.
class Injector {
 public:
  explicit Injector(const Fault& fault) : fault_(fault) {}

  Verdict judge(const Call& call) {
    if (!is_same_kind(call, fault_.call)) return {};
    const bool is_the_one = turn_++ == fault_.turn;
    if (is_the_one) was_met_ = true;
    if (!was_met_) return {};
    switch (fault_.way) {
      case Way::kOnce:
        return is_the_one ? Verdict{Verdict::Kind::kFail, fault_.os_errno} : Verdict{};
      case Way::kFromHere:
        return {Verdict::Kind::kFail, fault_.os_errno};
      case Way::kInterrupted:
        if (interruption_count_ == kInterruptions) return {};
        ++interruption_count_;
        return {Verdict::Kind::kFail, EINTR};
      case Way::kOneByte:
        return is_the_one ? Verdict{Verdict::Kind::kOneByte, 0} : Verdict{};
      case Way::kAfterAll:
        return is_the_one ? Verdict{Verdict::Kind::kDoneFail, fault_.os_errno} : Verdict{};
    }
    return {};
  }
  [[nodiscard]] bool was_met() const { return was_met_; }

 private:
  const Fault& fault_;
  bool was_met_ = false;
  std::size_t turn_ = 0;
  std::size_t interruption_count_ = 0;
};

bool is_translated(const Fault& fault, const Error& error) {
  const std::string call = name_of(fault.call);
  for (const Translation& known : translations()) {
    if (known.call == call && known.os_errno == fault.os_errno && known.code == error.code) {
      return true;
    }
  }
  return false;
}

std::string words_of(const Record& record) {
  return std::string(slipring::name_of(record.error.code)) + ", errno " +
         name_of_errno(record.error.os_errno) + ", \"" + record.doing.c_str() + '"';
}

}  // namespace

const char* name_of(Way way) noexcept {
  switch (way) {
    case Way::kOnce:
      return "once";
    case Way::kFromHere:
      return "from here";
    case Way::kInterrupted:
      return "interrupted";
    case Way::kOneByte:
      return "one byte";
    case Way::kAfterAll:
      return "after all";
  }
  return "?";
}

const char* name_of(Blame blame) noexcept {
  switch (blame) {
    case Blame::kUnknownCall:
      return "unknown call";
    case Blame::kBroken:
      return "broken scenario";
    case Blame::kCrash:
      return "crash";
    case Blame::kHang:
      return "hang";
    case Blame::kSwallowed:
      return "swallowed";
    case Blame::kUnfitting:
      return "unfitting error";
    case Blame::kNotRetried:
      return "not retried";
    case Blame::kLeak:
      return "leak";
    case Blame::kDamage:
      return "damage";
    case Blame::kNoRetry:
      return "fails afterwards";
    case Blame::kLie:
      return "false answer";
  }
  return "?";
}

void Campaign::blame(Blame what, const Scenario& scenario, const Fault* fault,
                     const std::string& words) {
  std::string text = std::string(name_of(what)) + ": " + scenario.name;
  if (fault != nullptr) {
    text += ": " + name_of(fault->call) + " #" + std::to_string(fault->call.index);
    if (fault->call.process != 0) text += " of process " + std::to_string(fault->call.process);
    text += ' ' + (fault->way == Way::kOneByte ? "" : name_of_errno(fault->os_errno) + ' ') +
            name_of(fault->way);
  }
  tally_.failures.push_back({what, text + ": " + words});
}

// The scenario's calls, without any fault.
std::vector<Call> Campaign::record(const Scenario& scenario) {
  const SharedRecord shared;
  const RunDirectory directory;
  std::vector<Call> calls;
  const Ending ending = trace([&] { perform(scenario, directory.path(), shared.get()); },
                              [&](const Call& call) {
                                calls.push_back(call);
                                return Verdict{};
                              },
                              kDeadlineSeconds);
  const Record& record = shared.get();
  const bool is_clean = ending.kind == Ending::Kind::kExited && ending.value == 0 &&
                        record.is_finished && record.is_ok && record.lie.is_empty() &&
                        record.leak.is_empty() && record.damage.is_empty() &&
                        record.retry.is_empty() && record.late_leak.is_empty();
  if (!is_clean) {
    blame(Blame::kBroken, scenario, nullptr,
          words_of(record) + record.lie.c_str() + record.leak.c_str() + record.damage.c_str() +
              record.retry.c_str() + record.late_leak.c_str() + " ending " +
              std::to_string(static_cast<int>(ending.kind)) + '/' + std::to_string(ending.value));
    return {};
  }
  return calls;
}

void Campaign::inject(const Scenario& scenario, const Fault& fault) {
  ++tally_.injection_count;
  ++tally_.injections[name_of(fault.call)]
                     [fault.way == Way::kOneByte ? "1 byte" : name_of_errno(fault.os_errno)];
  const SharedRecord shared;
  const RunDirectory directory;
  Injector injector(fault);
  const Ending ending =
      trace([&] { perform(scenario, directory.path(), shared.get()); },
            [&](const Call& call) { return injector.judge(call); }, kDeadlineSeconds);
  const Record& record = shared.get();
  if (!injector.was_met()) ++tally_.missed_count;
  if (ending.kind == Ending::Kind::kHung) {
    blame(Blame::kHang, scenario, &fault, "no end");
    return;
  }
  if (ending.kind != Ending::Kind::kExited || ending.value != 0 || !record.is_finished) {
    blame(Blame::kCrash, scenario, &fault,
          (ending.kind == Ending::Kind::kKilled ? "signal " : "exit ") +
              std::to_string(ending.value));
    return;
  }
  const Allowance* allowed = nullptr;
  for (std::size_t i = 0; i < allowances().size(); ++i) {
    const Allowance& one = allowances()[i];
    if (!scenario.name.starts_with(one.scenario) || one.call != name_of(fault.call)) continue;
    if (one.os_errno != 0 && one.os_errno != fault.os_errno) continue;
    allowed = &one;
    allowance_uses_.resize(allowances().size());
    ++allowance_uses_[i];
    break;
  }
  const auto is_allowed_to_leave = [&](std::string_view leak) {
    if (leak.empty()) return true;
    return allowed != nullptr && !allowed->may_leave.empty() &&
           leak.starts_with(allowed->may_leave);
  };
  if (!record.lie.is_empty()) blame(Blame::kLie, scenario, &fault, record.lie.c_str());
  const bool is_half_way = !scenario.may_leave.empty() &&
                           std::string_view(record.leak.c_str()).starts_with(scenario.may_leave);
  if (!is_half_way && !is_allowed_to_leave(record.leak.c_str())) {
    blame(Blame::kLeak, scenario, &fault, record.leak.c_str());
  }
  if (!record.damage.is_empty()) blame(Blame::kDamage, scenario, &fault, record.damage.c_str());
  if (!record.retry.is_empty()) blame(Blame::kNoRetry, scenario, &fault, record.retry.c_str());
  if (!is_allowed_to_leave(record.late_leak.c_str())) {
    blame(Blame::kLeak, scenario, &fault, std::string("afterwards") + record.late_leak.c_str());
  }
  if (!injector.was_met()) return;
  if (fault.way != Way::kOnce && fault.way != Way::kFromHere) {
    ++tally_.retried_count;
    if (!record.is_ok) blame(Blame::kNotRetried, scenario, &fault, words_of(record));
  } else if (record.is_ok) {
    if (record.downgrade_errno == fault.os_errno || record.downgrade_errno == kAnyErrno) {
      ++tally_.downgrade_count;
    } else if (allowed != nullptr) {
      ++tally_.harmless_count;
    } else {
      blame(Blame::kSwallowed, scenario, &fault, "success, without a word");
    }
  } else {
    ++tally_.error_count;
    const bool fits = record.is_worded || (record.error.os_errno == fault.os_errno &&
                                           is_fitting(record.error.code, fault.os_errno));
    if (record.doing.is_empty() || (!fits && !is_translated(fault, record.error))) {
      blame(Blame::kUnfitting, scenario, &fault, words_of(record));
    }
  }
}

void Campaign::run(const Scenario& scenario) {
  ++tally_.scenario_count;
  const std::vector<Call> calls = record(scenario);
  tally_.call_count += calls.size();
  std::map<std::pair<std::size_t, const CallRule*>, std::size_t> turns;
  for (const Call& call : calls) {
    const CallRule* rule = rule_of(call);
    const std::size_t turn = turns[{call.process, rule}]++;
    if (rule == nullptr) {
      const Fault unknown{Way::kOnce, 0, call, turn};
      blame(Blame::kUnknownCall, scenario, &unknown, "write a rule for it");
      continue;
    }
    if (rule->is_interruptible) inject(scenario, {Way::kInterrupted, EINTR, call, turn});
    if (rule->moves_bytes) inject(scenario, {Way::kOneByte, 0, call, turn});
    if (rule->errnos.empty()) continue;
    const auto fail = [&](int os_errno) {
      if (rule->is_done_anyway) {
        inject(scenario, {Way::kAfterAll, os_errno, call, turn});
        return;
      }
      inject(scenario, {Way::kOnce, os_errno, call, turn});
      inject(scenario, {Way::kFromHere, os_errno, call, turn});
    };
    if (depth_ == Depth::kEvery) {
      for (const int os_errno : rule->errnos) fail(os_errno);
    } else {
      fail(rule->errnos[turn_++ % rule->errnos.size()]);
    }
  }
}

std::vector<std::string> Campaign::unused_allowances() const {
  std::vector<std::string> unused;
  for (std::size_t i = 0; i < allowances().size(); ++i) {
    if (i < allowance_uses_.size() && allowance_uses_[i] != 0) continue;
    const Allowance& one = allowances()[i];
    unused.push_back(std::string(one.scenario) + ": " + std::string(one.call));
  }
  return unused;
}

std::string Campaign::summary() const {
  std::string text =
      std::to_string(tally_.scenario_count) + " scenarios, " + std::to_string(tally_.call_count) +
      " calls, " + std::to_string(tally_.injection_count) + " injections (" +
      std::to_string(tally_.error_count) + " errors, " + std::to_string(tally_.downgrade_count) +
      " downgrades, " + std::to_string(tally_.harmless_count) + " harmless, " +
      std::to_string(tally_.retried_count) + " made good, " + std::to_string(tally_.missed_count) +
      " missed), " + std::to_string(tally_.failures.size()) + " failures\n";
  for (const Failure& failure : tally_.failures) text += "  " + failure.words + '\n';
  return text;
}

std::string Campaign::table() const {
  std::string text;
  for (const auto& [call, errnos] : tally_.injections) {
    text += call + ':';
    for (const auto& [name, count] : errnos) text += ' ' + name + " x " + std::to_string(count);
    text += '\n';
  }
  return text;
}

}  // namespace slipring::faults
