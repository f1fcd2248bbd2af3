// What lives at the ends of named links have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/memory/segment_directory.h"
#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"
#include "tests/crash/campaign/pair_scenes.h"
#include "tests/crash/campaign/scene.h"

namespace slipring::campaign {

[[nodiscard]] inline std::optional<SegmentDirectory> open_directory(const Context& context) {
  Result<SegmentDirectory> directory = SegmentDirectory::open_at(context.directory);
  if (directory) return std::move(directory).value();
  context.report(Wrong::kCrash, "no directory: code, errno",
                 static_cast<std::uint64_t>(directory.error().code),
                 static_cast<std::uint64_t>(directory.error().os_errno));
  return std::nullopt;
}

// Takes an end, as soon as the kernel says that nobody holds it.
template <typename End>
[[nodiscard]] End attach_end(Life& life, const SegmentDirectory& directory, std::string_view name) {
  const auto lock = life.chance().one_in(4) ? MemoryLock::kTry : MemoryLock::kOff;
  for (;;) {
    Result<End> end = End::attach(directory, name, lock);
    if (end) return std::move(end).value();
    if (end.error().code != ErrorCode::kBusy) {
      life.fail(Wrong::kCorrupt, "a link's end was refused: code, errno",
                static_cast<std::uint64_t>(end.error().code),
                static_cast<std::uint64_t>(end.error().os_errno));
    }
    life.idle();
    life.now(Op::kAttach);
  }
}

// How one life waits: asleep on the doorbell, or polling.
class LinkWaiter {
 public:
  explicit LinkWaiter(Life& life)
      : life_(life),
        sleeps_(life.chance().one_in(2)),
        waiter_(options(life.chance().one_in(2) ? WaitStrategy::kSleep : WaitStrategy::kAdaptive)) {
  }

  // Until `ready`, or not for long.
  template <typename Ready>
  void wait(const WaitPoint& point, Ready ready) {
    if (!sleeps_) return life_.idle();
    life_.now(Op::kWait);
    static_cast<void>(
        waiter_.wait(std::span<const WaitPoint>(&point, 1), ready, monotonic_ns() + kLongestNs));
  }

 private:
  static constexpr std::uint64_t kLongestNs = 2'000'000;
  [[nodiscard]] static WaiterOptions options(WaitStrategy strategy) {
    WaiterOptions options;
    options.strategy = strategy;
    options.sleep_bound_ns = 1'000'000;
    return options;
  }

  Life& life_;
  bool sleeps_;
  Waiter waiter_;
};

// Records of many sizes, written in place.
inline void send_records(Life& life, Sender& sender, LinkWriter& writer) {
  LinkWaiter waiter(life);
  send_messages(life, sender, 0, 8, 100, [&](std::span<const std::byte> message) {
    std::span<std::byte> place;
    const Transfer answer = writer.try_reserve(message.size(), place);
    if (answer == Transfer::kBlocked) {
      waiter.wait(writer.space_point(), [&] { return writer.has_space(message.size()); });
    }
    if (answer != Transfer::kDone) return answer;
    std::memcpy(place.data(), message.data(), message.size());
    writer.commit(message.size());
    return answer;
  });
}

// Holds several now and then.
inline void take_records(Life& life, Taker& taker, LinkReader& reader) {
  LinkWaiter waiter(life);
  std::uint32_t held_count = 0;
  Message held;
  for (;;) {
    if (!life.has_room(taker)) continue;
    Message message;
    taker.about_to_take(1);
    life.now(Op::kTake);
    const Transfer answer = reader.try_peek(message);
    life.now(Op::kNothing);
    if (answer == Transfer::kCorruptPeer) {
      life.fail(Wrong::kCorrupt, "a link's reader found its writer corrupt", taker.end());
    }
    taker.took(answer == Transfer::kDone ? 1 : 0);
    if (answer == Transfer::kDone) {
      log_message(life, taker, message.bytes, message.redelivered);
      held = message;
      if (++held_count < 8 && !life.chance().one_in(3)) continue;
    }
    if (held_count != 0) {
      taker.about_to_finish(taker.end());
      life.now(Op::kFinish);
      reader.release(held);
      life.now(Op::kNothing);
      taker.finished(taker.end());
      held_count = 0;
    } else {
      if (!life.stays() && reader.is_finished()) return;
      waiter.wait(reader.message_point(), [&] { return reader.has_message(); });
    }
  }
}

}  // namespace slipring::campaign
