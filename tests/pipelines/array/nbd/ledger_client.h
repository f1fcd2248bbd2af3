// A client that knows what it wrote: many requests under way, every byte that comes back compared.
//
// The device is a row of sectors of 512 bytes.  Each has a version; a write fills its sectors with
// words made of (sector, version, place), so that a sector that is lost, old, torn, or of another
// place is found at the first wrong word.  Requests under way at the same time never overlap, since
// NBD gives those no order.  A write or read may cover thousands of sectors, from any sector on.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/pipelines/array/nbd/nbd_client.h"

namespace slipring::test {

inline constexpr std::uint32_t kSectorBytes = 512;

struct LedgerCounts {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t others = 0;
  std::uint64_t sectors_compared = 0;
  std::uint64_t refusals = 0;  // requests that were answered with an error
  std::string fault;           // the first thing that was wrong; empty: nothing
};

class LedgerClient {
 public:
  // Sectors [first, first + count) are this client's alone; all read as zeroes now.
  LedgerClient(NbdClient client, std::uint64_t first_sector, std::uint64_t sector_count,
               std::uint32_t seed, std::uint32_t depth);

  // Keeps `depth` requests under way until so many have been answered, or something is wrong.
  void run(std::uint64_t request_count);
  // Waits for what is under way, and then reads everything.
  void finish();

  [[nodiscard]] const LedgerCounts& counts() const { return counts_; }

 private:
  enum class Kind : std::uint8_t { kRead, kWrite, kZero, kTrim, kFlush, kCache };
  struct UnderWay {
    Kind kind = Kind::kRead;
    std::uint64_t sector = 0;  // from 0, of ours
    std::uint32_t count = 0;
    std::uint64_t version = 0;
  };
  static constexpr std::uint64_t kZeroes = 0;
  static constexpr std::uint64_t kUnknown = UINT64_MAX;  // trimmed

  [[nodiscard]] bool issue();
  [[nodiscard]] bool issue_read(std::uint64_t sector, std::uint32_t count);
  [[nodiscard]] bool take();
  [[nodiscard]] bool is_free(std::uint64_t sector, std::uint32_t count) const;
  void mark(const UnderWay& one, bool is_busy);
  void compare(const UnderWay& one, const NbdReply& reply);
  void fail(const std::string& what);

  NbdClient client_;
  std::uint64_t first_sector_;
  std::vector<std::uint64_t> versions_;
  std::vector<bool> busy_;
  std::mt19937 random_;
  std::uint32_t depth_;
  std::uint64_t next_cookie_ = 1;
  std::uint64_t next_version_ = 1;
  std::map<std::uint64_t, UnderWay> under_way_;
  LedgerCounts counts_;
};

}  // namespace slipring::test
