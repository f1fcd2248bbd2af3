// Notes what a disk's stage writes, zeroes and syncs, in a record.
#pragma once

#include <string>

#include "pipelines/array/disk/disk_observer.h"
#include "tests/pipelines/array/power/power_record.h"

namespace slipring::array::test {

class RecordingObserver final : public DiskObserver {
 public:
  RecordingObserver(const std::string& path, std::uint32_t member)
      : record_(path), member_(member) {}

  [[nodiscard]] std::uint64_t begins(const DiskRequest& request, const std::byte* bytes) override {
    PowerEvent event;
    event.member = member_;
    event.offset_bytes = request.offset_bytes;
    event.length_bytes = request.length_bytes;
    switch (request.kind) {
      case DiskRequestKind::kWrite:
        event.kind = EventKind::kWriteBegins;
        break;
      case DiskRequestKind::kWriteDurable:
        event.kind = EventKind::kDurableWriteBegins;
        break;
      case DiskRequestKind::kZero:
        event.kind = EventKind::kZeroBegins;
        break;
      case DiskRequestKind::kSync:
        event.kind = EventKind::kSyncBegins;
        break;
      default:
        return 0;  // it changes nothing
    }
    return record_.note(event, bytes);
  }

  void ended(std::uint64_t name, int error) override {
    PowerEvent event;
    event.kind = EventKind::kEnds;
    event.member = member_;
    event.begin = name;
    event.error = static_cast<std::uint32_t>(error);
    record_.note(event);
  }

 private:
  PowerRecord record_;
  std::uint32_t member_;
};

}  // namespace slipring::array::test
