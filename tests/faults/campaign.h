// Runs a scenario once for each fault that one of its system calls can have, and judges each run.
//
// A fault is a call of the scenario (the n-th, of a process), an errno that it can give, and a way:
//   once        this call fails
//   from here   this call and every later one of its kind fail
//   interrupted this call is interrupted three times, then goes on
//   one byte    this call moves one byte
//   after all   this call is done, and answers an error nevertheless (close)
//
// After each the run must show: no crash, no hang; an Error that names the errno and a fitting
// code, or a downgrade that the answer reports, or a success that the list of allowances explains;
// nothing left behind; nothing damaged that was there before; the operation succeeds afterwards.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/faults/call_table.h"
#include "tests/faults/scenario.h"
#include "tests/faults/tracer.h"

namespace slipring::faults {

enum class Way : std::uint8_t { kOnce, kFromHere, kInterrupted, kOneByte, kAfterAll };
[[nodiscard]] const char* name_of(Way way) noexcept;

struct Fault {
  Way way = Way::kOnce;
  int os_errno = 0;
  Call call;
  // Of the process's calls of this kind: counted so, since a call of another kind may come or not.
  std::size_t turn = 0;
};

enum class Blame : std::uint8_t {
  kUnknownCall,  // a call that the table does not know
  kBroken,       // the scenario fails without any fault
  kCrash,
  kHang,
  kSwallowed,   // success, and nobody says why that is right
  kUnfitting,   // an Error with another errno, an unfitting code, or no words
  kNotRetried,  // EINTR or few bytes became a failure
  kLeak,
  kDamage,   // what was there before is not whole
  kNoRetry,  // the operation fails afterwards
  kLie,      // an answer that is false
};
[[nodiscard]] const char* name_of(Blame blame) noexcept;

struct Failure {
  Blame blame;
  std::string words;  // scenario: call, errno, way: what was seen
};

struct Tally {
  std::uint64_t scenario_count = 0;
  std::uint64_t call_count = 0;       // of all scenarios, without faults
  std::uint64_t injection_count = 0;  // runs with a fault
  std::uint64_t missed_count = 0;     // the call did not come again
  std::uint64_t error_count = 0;      // answered by an Error
  std::uint64_t downgrade_count = 0;  // answered by a downgrade that the answer reports
  std::uint64_t harmless_count = 0;   // answered by a success that an allowance explains
  std::uint64_t retried_count = 0;    // interruptions and short transfers made good
  std::vector<Failure> failures;
  std::map<std::string, std::map<std::string, std::uint64_t>> injections;  // call, errno
};

// Every fault, or for each call and way one errno of its list, taken in turn.
enum class Depth : std::uint8_t { kEvery, kInTurn };

class Campaign {
 public:
  explicit Campaign(Depth depth) : depth_(depth) {}

  void run(const Scenario& scenario);
  [[nodiscard]] const Tally& tally() const { return tally_; }
  // Allowances that no run has needed; after every scenario with Depth::kEvery there is none.
  [[nodiscard]] std::vector<std::string> unused_allowances() const;

  // One line of numbers, and the failures.
  [[nodiscard]] std::string summary() const;
  // Call x errno x runs.
  [[nodiscard]] std::string table() const;

 private:
  std::vector<Call> record(const Scenario& scenario);
  void inject(const Scenario& scenario, const Fault& fault);
  void blame(Blame what, const Scenario& scenario, const Fault* fault, const std::string& words);

  Depth depth_;
  Tally tally_;
  std::size_t turn_ = 0;
  std::vector<std::uint64_t> allowance_uses_;
};

}  // namespace slipring::faults
