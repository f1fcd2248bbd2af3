#include "tests/pipelines/array/nbd/ledger_client.h"

#include <algorithm>
#include <cstring>

namespace slipring::test {
namespace {

constexpr std::size_t kWords = kSectorBytes / 8;
constexpr std::uint32_t kSectorsMax = 3000;  // a bit over 1 MiB: several pieces

std::uint64_t word_of(std::uint64_t sector, std::uint64_t version, std::size_t place) {
  std::uint64_t mixed = sector * 0x9e3779b97f4a7c15 ^ version * 0xc2b2ae3d27d4eb4f ^ place;
  mixed ^= mixed >> 29;
  return mixed * 0xbf58476d1ce4e5b9;
}

void fill(char* at, std::uint64_t sector, std::uint64_t version) {
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint64_t word = word_of(sector, version, i);
    std::memcpy(at + 8 * i, &word, 8);
  }
}

}  // namespace

LedgerClient::LedgerClient(NbdClient client, std::uint64_t first_sector, std::uint64_t sector_count,
                           std::uint32_t seed, std::uint32_t depth)
    : client_(std::move(client)),
      first_sector_(first_sector),
      versions_(sector_count, kZeroes),
      busy_(sector_count),
      random_(seed),
      depth_(depth) {}

void LedgerClient::fail(const std::string& what) {
  if (counts_.fault.empty()) counts_.fault = what;
}

bool LedgerClient::is_free(std::uint64_t sector, std::uint32_t count) const {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (busy_[sector + i]) return false;
  }
  return true;
}

void LedgerClient::mark(const UnderWay& one, bool is_busy) {
  for (std::uint32_t i = 0; i < one.count; ++i) busy_[one.sector + i] = is_busy;
}

bool LedgerClient::issue_read(std::uint64_t sector, std::uint32_t count) {
  const UnderWay one{Kind::kRead, sector, count, 0};
  mark(one, true);
  under_way_[next_cookie_] = one;
  return client_.request(0, 0, next_cookie_++, (first_sector_ + sector) * kSectorBytes,
                         count * kSectorBytes);
}

// One request more, if a place for it is found.
bool LedgerClient::issue() {
  const auto pick = [&](std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_);
  };
  std::uint32_t count = static_cast<std::uint32_t>(1 + pick(16));
  if (pick(8) == 0) count = static_cast<std::uint32_t>(1 + pick(kSectorsMax));
  count = std::min(count, static_cast<std::uint32_t>(versions_.size()));
  const std::uint64_t sector = pick(versions_.size() - count + 1);
  if (!is_free(sector, count)) return true;
  const std::uint64_t dice = pick(100);
  if (dice < 45) return issue_read(sector, count);
  UnderWay one{Kind::kWrite, sector, count, next_version_++};
  std::uint16_t flags = pick(4) == 0 ? 1 : 0;  // FUA
  const std::uint64_t offset = (first_sector_ + sector) * kSectorBytes;
  const std::uint32_t length = count * kSectorBytes;
  std::string payload;
  std::uint16_t command = 1;
  if (dice >= 96) {
    one = {Kind::kFlush, 0, 0, 0};
    under_way_[next_cookie_] = one;
    return client_.request(3, 0, next_cookie_++, 0, 0);
  }
  if (dice >= 94) {
    one.kind = Kind::kCache;
    flags = 0;
    command = 5;
  } else if (dice >= 91) {
    one.kind = Kind::kTrim;
    command = 4;
  } else if (dice >= 86) {
    one.kind = Kind::kZero;
    command = 6;
  } else {
    payload.resize(length);
    for (std::uint32_t i = 0; i < count; ++i) {
      fill(payload.data() + std::size_t{i} * kSectorBytes, first_sector_ + sector + i, one.version);
    }
  }
  mark(one, true);
  under_way_[next_cookie_] = one;
  return client_.request(command, flags, next_cookie_++, offset, length, payload);
}

void LedgerClient::compare(const UnderWay& one, const NbdReply& reply) {
  std::uint64_t at = (first_sector_ + one.sector) * kSectorBytes;
  std::string bytes;
  for (const auto& [offset, data] : reply.data) {
    if (reply.is_structured && offset != at) return fail("a read's chunks leave a gap");
    bytes += data;
    at += data.size();
  }
  if (bytes.size() != std::size_t{one.count} * kSectorBytes) return fail("a read is short");
  std::string wanted(kSectorBytes, '\0');
  for (std::uint32_t i = 0; i < one.count; ++i) {
    const std::uint64_t version = versions_[one.sector + i];
    if (version == kUnknown) continue;
    const std::uint64_t sector = first_sector_ + one.sector + i;
    if (version == kZeroes) {
      std::fill(wanted.begin(), wanted.end(), '\0');
    } else {
      fill(wanted.data(), sector, version);
    }
    ++counts_.sectors_compared;
    if (bytes.compare(std::size_t{i} * kSectorBytes, kSectorBytes, wanted) != 0) {
      return fail("sector " + std::to_string(sector) + " is not what was last written (version " +
                  std::to_string(version) + "), request of " + std::to_string(one.count) +
                  " sectors from " + std::to_string(first_sector_ + one.sector));
    }
  }
}

bool LedgerClient::take() {
  const std::optional<NbdReply> reply = client_.next_reply();
  if (!reply) {
    fail("the server hung up, or said what is no reply");
    return false;
  }
  const auto found = under_way_.find(reply->cookie);
  if (found == under_way_.end()) {
    fail("a reply to what was not asked, or was answered already");
    return false;
  }
  const UnderWay one = found->second;
  under_way_.erase(found);
  mark(one, false);
  if (reply->error != 0) {
    ++counts_.refusals;
    fail("error " + std::to_string(reply->error) + " to a good request");
    return false;
  }
  if (one.kind == Kind::kRead) {
    ++counts_.reads;
    compare(one, *reply);
    return counts_.fault.empty();
  }
  ++(one.kind == Kind::kWrite ? counts_.writes : counts_.others);
  if (one.kind == Kind::kFlush || one.kind == Kind::kCache) return true;
  const std::uint64_t version = one.kind == Kind::kWrite  ? one.version
                                : one.kind == Kind::kZero ? kZeroes
                                                          : kUnknown;
  for (std::uint32_t i = 0; i < one.count; ++i) versions_[one.sector + i] = version;
  return true;
}

void LedgerClient::run(std::uint64_t request_count) {
  for (std::uint64_t answered = 0; answered < request_count && counts_.fault.empty();) {
    int tries = 0;
    while (under_way_.size() < depth_ && ++tries < 100) {
      if (!issue()) return fail("the server hung up while it was asked");
    }
    if (!take()) return;
    ++answered;
  }
}

void LedgerClient::finish() {
  while (!under_way_.empty() && counts_.fault.empty()) {
    if (!take()) return;
  }
  for (std::uint64_t at = 0; at < versions_.size() && counts_.fault.empty(); at += kSectorsMax) {
    const auto count =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(kSectorsMax, versions_.size() - at));
    if (!issue_read(at, count)) return fail("the server hung up at the end");
    if (!take()) return;
  }
}

}  // namespace slipring::test
