// Carries one link to or from another machine, beside the program that uses it: a thread with a
// loop of its own (wire_loop.h), which ends with this object, or with the process.
//
// What is not carried by then stays in the link, and a carrier that is started again, by this
// process or another, goes on where this one was.
//
// Process.  The thread blocks all signals and starts no other.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/error/result.h"
#include "pipelines/wire/wire_address.h"
#include "pipelines/wire/wire_loop.h"
#include "platform/memory/segment_directory.h"

namespace slipring::wire {

class WireCarrier {
 public:
  // Takes the link's other role: kSender reads what the program writes, kReceiver writes what it
  // reads.
  // Errors: as WireLoop::dial(); kSystem (no thread).
  static Result<std::unique_ptr<WireCarrier>> start(const SegmentDirectory& directory,
                                                    const WireAddress& address,
                                                    std::string_view link, LinkSide side) noexcept;
  WireCarrier(const WireCarrier&) = delete;
  WireCarrier& operator=(const WireCarrier&) = delete;
  ~WireCarrier();

  // The stream has ended and all of it was carried, or it cannot be carried any further.
  [[nodiscard]] bool is_over() const noexcept {
    return is_over_.load(std::memory_order_acquire);  // carrier.B pairs with carrier.A
  }
  // After is_over(): whether it was carried to its end.
  [[nodiscard]] bool is_carried() const noexcept { return is_carried_; }
  // Of a program that writes: what the other machine's reader has dropped unread, because it was
  // told to, here or there; what was dropped of this machine's ring LinkWriter::drops() says.
  [[nodiscard]] Dropped dropped_there() const noexcept { return loop_->dropped_there(); }
  // Waits for is_over(); false at the deadline.
  bool wait_until_over(std::uint64_t deadline_ns) const noexcept;

 private:
  explicit WireCarrier(SegmentDirectory directory) noexcept : directory_(std::move(directory)) {}
  static void* run(void* self) noexcept;

  SegmentDirectory directory_;
  std::unique_ptr<WireLoop> loop_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> is_over_{false};
  bool is_carried_ = false;
  bool has_thread_ = false;
  pthread_t thread_{};
};

}  // namespace slipring::wire
