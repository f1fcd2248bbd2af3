#include "tests/pipelines/array/power/promises.h"

#include <algorithm>
#include <cstring>

namespace slipring::array::test {

Promises::Promises(const std::vector<ClientRequest>& requests, std::uint64_t sector_count)
    : requests_(requests), possible_(sector_count, {0}), safe_(sector_count, 0) {}

void Promises::asked(std::uint64_t number) {
  const ClientRequest& request = requests_[number];
  if (request.kind == ClientRequest::Kind::kFlush) {
    flush_[number] = answered_;
    return;
  }
  for (std::uint64_t i = 0; i < request.sector_count; ++i) {
    possible_[request.first_sector + i].push_back(number + 1);
  }
}

void Promises::answered(std::uint64_t number) {
  has_any_ = true;
  const ClientRequest& request = requests_[number];
  if (request.kind != ClientRequest::Kind::kFlush) {
    if (request.is_durable) {
      make_safe(number);
    } else {
      answered_.push_back(number);
    }
    return;
  }
  for (const std::uint64_t covered : flush_[number]) {
    make_safe(covered);
    std::erase(answered_, covered);
  }
  flush_.erase(number);
}

void Promises::make_safe(std::uint64_t number) {
  const ClientRequest& request = requests_[number];
  // What is trimmed holds what it held, or zeros.
  if (request.kind == ClientRequest::Kind::kTrim) return;
  for (std::uint64_t i = 0; i < request.sector_count; ++i) {
    const std::uint64_t sector = request.first_sector + i;
    safe_[sector] = std::max(safe_[sector], number + 1);
    std::erase_if(possible_[sector],
                  [&](std::uint64_t version) { return version < safe_[sector]; });
  }
}

// The version whose pattern it leaves: 0 for zeroes and trims.
std::uint64_t Promises::content_of(std::uint64_t version) const {
  return version == 0 || requests_[version - 1].kind != ClientRequest::Kind::kWrite ? 0 : version;
}

std::optional<std::string> Promises::fault_of(std::uint64_t sector, const std::byte* bytes) const {
  std::uint64_t found = 0;
  std::memcpy(&found, bytes, sizeof found);
  std::byte whole[kSectorBytes];
  fill_sector(whole, sector, found);
  const bool is_whole = std::memcmp(whole, bytes, sizeof whole) == 0;
  const std::vector<std::uint64_t>& possible = possible_[sector];
  const bool is_possible =
      std::any_of(possible.begin(), possible.end(),
                  [&](std::uint64_t version) { return content_of(version) == found; });
  if (is_whole && is_possible) return std::nullopt;
  std::string text = "sector " + std::to_string(sector) + " is ";
  text += is_whole ? "version " + std::to_string(found) : "of no version";
  text += ", safe is " + std::to_string(safe_[sector]) + ", possible are";
  for (const std::uint64_t version : possible) text += " " + std::to_string(version);
  return text;
}

}  // namespace slipring::array::test
