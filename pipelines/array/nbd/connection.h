// One client's connection: bytes in, requests cut into pieces, answers out.
//
// Everything that must not be lost with the process lies in ConnectionMemory, by the rules that
// stand there; what is here besides is made again from it by resume().  The state moves in steps,
// each a new ConnectionState that becomes the present one by one store.
//
// Bounds.  What a client can make us hold: kInputBytes of input, kRequestCountMax requests, its
// share of the pieces (and so of buffers), and replies unread up to kUnsentItemsMax before nothing
// more is taken from it.
//
// One thread.  Sockets are the caller's: receive() and send() are told which.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "pipelines/array/nbd/block_port.h"
#include "pipelines/array/nbd/connection_memory.h"
#include "pipelines/array/nbd/encrypted_stream.h"
#include "pipelines/array/nbd/nbd_request.h"
#include "pipelines/array/nbd/option_haggling.h"
#include "pipelines/array/nbd/piece_table.h"

namespace slipring::array {

// What all connections share.
struct FrontContext {
  PieceTable& pieces;
  BlockPort& port;
  std::vector<NbdExport> exports;
  TlsPolicy tls = TlsPolicy::kOff;
  std::uint32_t piece_limit = kPieceCountMax;  // of one connection
  std::uint64_t request_count = 0;             // accepted
  std::uint64_t refused_count = 0;             // answered with an error without asking anybody
  std::uint64_t hang_up_count = 0;             // clients that broke the protocol
  ExportGate* gate = nullptr;

  [[nodiscard]] bool are_exports_known() const;
};

enum class Progress : std::uint8_t {
  kSome,
  kLast,   // as kSome, and the socket is empty now
  kNone,   // the socket is empty or full, or nothing is there to be done
  kWaits,  // for something else: a free place or buffer, or the client's reading
  kEnded,  // the socket is of no use any more
};

class Connection {
 public:
  // All outlive the connection.  `index` is the memory's, in FrontMemory.
  Connection(ConnectionMemory& memory, std::uint32_t index, FrontContext& context);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] Phase phase() const noexcept { return state().phase; }
  [[nodiscard]] std::string_view name() const noexcept { return memory_->name.data(); }

  // A new client: greets.  Requires: kFree; name shorter than the memory's.
  void open(std::string_view name);

  // After a predecessor's death, in this order: what the kernel moved is counted; each piece of
  // this connection is looked at; what can go on goes on.
  void resume();
  void adopt_piece(std::uint32_t piece);
  void finish_resume();

  // Moves bytes, once; through `stream` if there is one.
  [[nodiscard]] Progress receive(int socket, EncryptedStream* stream = nullptr);
  [[nodiscard]] Progress send(int socket, EncryptedStream* stream = nullptr);
  // The client has been told that TLS begins: what comes now is its handshake.
  [[nodiscard]] bool wants_handshake() const noexcept {
    return phase() == Phase::kStartTls && !has_output() && !is_broken_;
  }
  void finish_handshake() noexcept;
  [[nodiscard]] bool has_output() const noexcept { return state().item_head != state().item_tail; }

  [[nodiscard]] std::uint64_t unsent_count() const noexcept {
    return state().item_tail - state().item_head;
  }

  // Parses what came and cuts requests into pieces, as far as it goes now: kSome or kEnded; else
  // kNone, be it for want of input or of anything else.
  Progress work();
  // What was accepted and is not on the ring is answered with NBD_ESHUTDOWN, a write whose data are
  // still coming once they are in; not a simple read that has begun.  Answers how many requests.
  std::uint32_t abort_queued();
  // A piece of this connection is kAnswered.
  void take_answer(std::uint32_t piece);

  // The rest of a handshake, a request, or its data has not come, though nobody but the client is
  // waited for.
  [[nodiscard]] bool owes_bytes() const noexcept;

  // It has chosen no export yet, and the end has not come.
  [[nodiscard]] bool is_choosing() const noexcept {
    return phase() == Phase::kClientFlags || phase() == Phase::kOptions ||
           phase() == Phase::kStartTls;
  }
  [[nodiscard]] bool has_entered() const noexcept {
    return phase() == Phase::kTransmission || phase() == Phase::kFinishing;
  }

  // Answered everything that it was asked, and the client wants no more.
  [[nodiscard]] bool is_finished() const noexcept {
    return phase() == Phase::kFinishing && !has_output() && live_request_count_ == 0;
  }
  // The socket is done with; what is under way is dropped as it comes back.
  void shut();
  // Requires: kClosed, and no pieces left.
  void release();
  [[nodiscard]] std::uint32_t piece_count() const noexcept { return piece_count_; }

 private:
  [[nodiscard]] const ConnectionState& state() const noexcept { return memory_->states[selected_]; }
  void commit(const ConnectionState& next) noexcept;

  [[nodiscard]] std::uint64_t input_size() const noexcept {
    return state().input_tail - state().input_head;
  }
  void copy_input(std::span<std::byte> to) const noexcept;
  void put(ConnectionState& next, std::span<const std::byte> text, std::uint32_t piece = kNoIndex,
           std::uint32_t payload_bytes = 0) noexcept;
  [[nodiscard]] bool may_answer() const noexcept;
  void hang_up();
  void count_received();
  [[nodiscard]] std::uint64_t count_sent();

  Progress skip();
  Progress take_client_flags();
  Progress take_option();
  Progress take_request();
  Progress take_payload();
  // The data that come next are of a write that has failed already.
  [[nodiscard]] bool discards_payload() const noexcept;
  Progress discard_payload();
  [[nodiscard]] bool has_filling();
  void refuse(const NbdRequest& request, NbdError error);
  void accept(const NbdRequest& request);
  void after_payload();

  Progress issue();
  [[nodiscard]] bool issue_next(std::uint32_t request);
  [[nodiscard]] bool cut(std::uint32_t request, std::uint32_t request_offset, std::uint32_t length,
                         PieceState state, std::uint32_t& piece);

  [[nodiscard]] std::uint32_t judge_answer(std::uint32_t piece) const;
  void put_data(std::uint32_t piece);
  void settle_request(std::uint32_t request);
  void conclude(std::uint32_t request);
  void free_request(std::uint32_t request);
  void drop_piece(std::uint32_t piece);
  [[nodiscard]] bool is_whole_issued(const RequestMemory& request) const noexcept;
  [[nodiscard]] bool is_live(const RequestMemory& request) const noexcept;
  [[nodiscard]] bool belongs(const PieceMemory& piece) const noexcept;
  // A part of a failed request that nobody has: it stays undone.
  [[nodiscard]] bool is_given_up(const PieceMemory& piece) const noexcept;
  void revive_piece(std::uint32_t piece);

  ConnectionMemory* memory_;
  std::uint32_t index_;
  FrontContext* context_;
  std::uint32_t selected_ = 0;  // as memory_->selected
  std::vector<std::uint32_t> free_requests_;
  std::uint32_t live_request_count_ = 0;
  std::deque<std::uint32_t> unissued_;                     // requests, in the order of acceptance
  std::array<std::uint32_t, kRequestCountMax> pending_{};  // pieces not answered yet, a request
  std::uint32_t piece_count_ = 0;
  std::uint32_t filling_ = kNoIndex;
  std::vector<std::uint32_t> answered_;  // while resuming: pieces not in line yet
  bool is_broken_ = false;               // hang up: the socket is of no use any more
};

}  // namespace slipring::array
