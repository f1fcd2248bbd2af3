// What a reader of a guarded broadcast link has of it: the writer's memory, read-only, the broker's
// page, and a page of its own in which it says that it sleeps.
//
// Protocol.  GUARD.md.  A reader asks the broker for the writer's memory, and hands its page in;
// the writer then rings when somebody sleeps.  How many readers there are is bounded by nothing:
// when there are more than places the writer rings with every message.  When the broker's page
// shows that the writer's memory has been replaced, it asks again.
//
// Crash.  When the broker is gone, a reader goes on with what it has.
//
// One thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/error/result.h"
#include "pipelines/link/guard_protocol.h"
#include "pipelines/link/link_layout.h"
#include "platform/memory/mapping.h"
#include "platform/memory/segment_directory.h"
#include "platform/rendezvous/connection.h"
#include "platform/wait/doorbell.h"

namespace slipring {

class GuardedSubscription {
 public:
  struct Taken {
    std::unique_ptr<GuardedSubscription> subscription;
    LinkShape shape;
    LinkParts parts;
    Mapping writer;
  };
  // Errors: kNotFound (os_errno ENOENT: no guarded link of that name; ECONNREFUSED: its broker is
  // gone), kInvalidArgument (it is no broadcast link), kPermission (not for us), kCorruptPeer, and
  // as map_verified().
  static Result<Taken> attach(const SegmentDirectory& directory, std::string_view name,
                              MemoryLock memory_lock) noexcept;

  // The writer's memory is not the one that is shown.  One load.
  [[nodiscard]] bool has_news() const noexcept {
    return seat(Role::kReader).news_count.load(std::memory_order_acquire) !=
           news_seen_;  // guard.B pairs with guard.A
  }
  // Shows it in `writer`; whether it did.  Tried again at the next call where it could not be had.
  bool take_news(Mapping& writer) noexcept;

  // Who writes what is shown; unknown before anybody did.
  [[nodiscard]] const LinkPeer& sender() const noexcept { return sender_; }
  // Whether a living process has the writing role, as far as the broker has noticed.
  [[nodiscard]] bool is_writer_held() const noexcept {
    // relaxed: what is shown is never ahead of the kernel.
    return seat(Role::kWriter).is_held.load(std::memory_order_relaxed) != 0;
  }
  // Where the reader says that it sleeps on the writer's bell.
  [[nodiscard]] ArmLine& arm() noexcept {
    return *reinterpret_cast<ArmLine*>(own_page_.writable_bytes().data());
  }
  // The broker rings it when there is news.
  [[nodiscard]] WaitPoint news_point() noexcept {
    return {&seat(Role::kReader).news_count, &seat(Role::kReader).never_registered, &armed_};
  }

 private:
  GuardedSubscription(std::string directory_path, std::string name, Connection connection,
                      Mapping page, Mapping own_page, MemoryLock memory_lock) noexcept
      : directory_path_(std::move(directory_path)),
        name_(std::move(name)),
        connection_(std::move(connection)),
        page_(std::move(page)),
        own_page_(std::move(own_page)),
        memory_lock_(memory_lock) {}
  [[nodiscard]] const GuardSeat& seat(Role role) const noexcept {
    return reinterpret_cast<const GuardPage*>(page_.bytes().data())->seats[seat_of(role)];
  }

  std::string directory_path_;
  std::string name_;
  Connection connection_;  // as long as it lasts, the place is ours
  Mapping page_;
  Mapping own_page_;
  MemoryLock memory_lock_;
  LinkPeer sender_;
  std::uint32_t news_seen_ = 0;
  std::atomic<std::uint32_t> armed_{0};  // for Arming; the broker rings always
};

}  // namespace slipring
