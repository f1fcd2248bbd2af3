// Which requests are not wanted any more, as the front says it on a link of its own.
//
// An abort stays on its link until all requests that it is about have passed: a successor is given
// it again.  It names no request that is not on the ring before it, so that a ring that is found
// empty after it was heard has none of them.
//
// What a predecessor may have begun is redelivered, and is no longer to be dropped: that is the
// caller's to see.  One thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>

#include "core/ring/transfer.h"
#include "pipelines/array/block_request.h"
#include "pipelines/link/link_reader.h"

namespace slipring::array {

class AbortedRequests {
 public:
  // nullptr: nobody aborts.
  explicit AbortedRequests(LinkReader* aborts) noexcept : aborts_(aborts) {}

  [[nodiscard]] bool has_message() const noexcept {
    return aborts_ != nullptr && aborts_->has_message();
  }
  // All that are there.  kCorruptPeer: the front's page is impossible.
  [[nodiscard]] Transfer hear() {
    while (aborts_ != nullptr) {
      Message message;
      const Transfer answer = aborts_->try_peek(message);
      if (answer != Transfer::kDone) return answer;
      BlockAbort abort{};
      std::memcpy(&abort, message.bytes.data(), sizeof abort);
      held_.push_back({message, abort.sequence});
      if (abort.connection >= kBlockConnectionEnd) continue;
      std::uint64_t& up_to = sequences_[abort.connection];
      up_to = std::max(up_to, abort.sequence);
    }
    return Transfer::kBlocked;
  }
  [[nodiscard]] bool covers(const BlockRequest& request) const noexcept {
    return request.connection < kBlockConnectionEnd &&
           request.sequence <= sequences_[request.connection];
  }
  // No request up to this sequence will come again; UINT64_MAX: the ring was empty.
  void passed(std::uint64_t sequence) {
    while (!held_.empty() && held_.front().sequence <= sequence) {
      aborts_->release(held_.front().message);
      held_.pop_front();
    }
  }

 private:
  struct Held {
    Message message;
    std::uint64_t sequence;
  };

  LinkReader* aborts_;
  std::deque<Held> held_;
  std::array<std::uint64_t, kBlockConnectionEnd> sequences_{};
};

}  // namespace slipring::array
