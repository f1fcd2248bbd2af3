// Disks in memory that know what is on stable storage and what a power cut could still lose.
//
// Of every sector there is what is stable, and the versions written since that a cut may leave in
// its place, each by itself: so writes are torn, dropped and reordered at will.  Faults are
// injected a disk at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "pipelines/array/raid/disk_set.h"

namespace slipring::array::test {

// One sector of one disk, and the versions of it that are not stable, oldest first.
struct UnstableSector {
  std::uint32_t member;
  std::uint64_t offset_bytes;
  std::vector<std::vector<std::byte>> versions;
};

class SimulatedDisks final : public DiskSet {
 public:
  SimulatedDisks(std::uint32_t member_count, std::uint64_t disk_bytes, std::uint32_t sector_bytes);

  std::uint64_t size_bytes(std::uint32_t member) override;
  void run(std::span<DiskCommand> commands) override;

  // Called with every run's commands before they are executed.
  std::function<void(std::span<const DiskCommand>)> before_run;

  // What a power cut during `commands` could leave: everything unstable, with these writes on top.
  [[nodiscard]] std::vector<UnstableSector> unstable(std::span<const DiskCommand> commands) const;
  [[nodiscard]] const std::vector<std::byte>& stable(std::uint32_t member) const {
    return disks_[member].stable;
  }
  [[nodiscard]] std::uint32_t member_count() const {
    return static_cast<std::uint32_t>(disks_.size());
  }
  [[nodiscard]] std::uint32_t sector_bytes() const { return sector_bytes_; }

  // Faults, a disk each.
  void set_present(std::uint32_t member, bool is_present) {
    disks_[member].is_present = is_present;
  }
  void set_failing_syncs(std::uint32_t member) { disks_[member].fails_syncs = true; }
  void set_losing_writes(std::uint32_t member, bool loses) { disks_[member].loses_writes = loses; }
  void set_write_error(std::uint32_t member, int error) { disks_[member].write_error = error; }
  void set_bad_sector(std::uint32_t member, std::uint64_t offset_bytes);
  void flip_bit(std::uint32_t member, std::uint64_t offset_bytes);
  // A new, blank disk in its place.
  void replace(std::uint32_t member);
  // The disk as it was at some time, for what was away meanwhile.
  [[nodiscard]] std::vector<std::byte> content(std::uint32_t member) const {
    return disks_[member].live;
  }
  void put_back(std::uint32_t member, const std::vector<std::byte>& bytes);

  // The disks after a power cut: what is stable on the others, with one version (0: the stable one)
  // of each unstable sector.  Quick while the others' stable bytes stay the same.
  void become(const SimulatedDisks& other, std::span<const UnstableSector> unstable,
              std::span<const std::uint32_t> choices);

  std::uint64_t run_count = 0;

 private:
  struct Disk {
    std::vector<std::byte> stable;
    std::vector<std::byte> live;
    // By offset of the sector.
    std::map<std::uint64_t, std::vector<std::vector<std::byte>>> unstable;
    std::set<std::uint64_t> bad_sectors;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> touched;  // since become(): offset, length
    bool is_present = true;
    bool fails_syncs = false;
    bool loses_writes = false;
    int write_error = 0;
  };

  void execute(DiskCommand& command);
  void write(Disk& disk, const DiskCommand& command);
  [[nodiscard]] std::optional<DiskCommand> as_write(const DiskCommand& command) const;
  static void look(const Disk& disk, const DiskCommand& command);
  static void settle(Disk& disk);

  std::vector<Disk> disks_;
  std::uint32_t sector_bytes_;
  mutable std::vector<std::byte> zeros_;
  std::uint64_t stable_changes_ = 1;
  std::uint64_t became_ = 0;  // the other's stable_changes_ then
};

}  // namespace slipring::array::test
