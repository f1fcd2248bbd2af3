// A run of the whole array, client included, with a record of all that its disks were told.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/pipelines/array/nbd/served_array.h"
#include "tests/pipelines/array/power/power_record.h"

namespace slipring::array::test {

inline constexpr std::uint64_t kSectorBytes = 512;

struct RecordedRunOptions {
  std::uint32_t level = 5;  // 5 or 6, over four disks
  std::uint32_t disk_mib = 2;
  std::uint64_t seed = 1;
  std::uint32_t requests = 150;
  std::string cache_fault = "none";
  std::string raid_fault = "none";
  std::string engine = "auto";
};

// What the client asked: its number is its place, and its version one more.
struct ClientRequest {
  enum class Kind : std::uint8_t { kWrite, kZeroes, kTrim, kFlush } kind = Kind::kFlush;
  bool is_durable = false;  // with FUA
  std::uint64_t first_sector = 0;
  std::uint64_t sector_count = 0;
};

// A sector as the request of that version writes it; version 0: zeros.
void fill_sector(std::byte* bytes, std::uint64_t sector, std::uint64_t version);

class RecordedRun {
 public:
  static constexpr std::uint32_t kDisks = 4;
  static constexpr std::uint32_t kChunkKib = 16;
  static constexpr std::uint32_t kLogMib = 1;

  // Runs the array and the client to the end.
  explicit RecordedRun(const RecordedRunOptions& options);

  [[nodiscard]] const RecordedRunOptions& options() const { return options_; }
  [[nodiscard]] const std::vector<ClientRequest>& requests() const { return requests_; }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] const PowerRecord& record() const { return record_; }

  // The settings of an array on disks in that folder.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> settings(
      const slipring::test::SocketFolder& disks) const;

 private:
  void ask_all(const slipring::test::ServedArray& array);
  [[nodiscard]] ClientRequest draw(std::mt19937_64& random) const;

  RecordedRunOptions options_;
  slipring::test::SocketFolder folder_;
  PowerRecord record_;
  std::uint64_t size_bytes_ = 0;
  std::vector<ClientRequest> requests_;
};

}  // namespace slipring::array::test
