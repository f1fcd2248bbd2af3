// A session over a socket: what comes is given to the session, what it says is written, and neither
// side waits for the other.
//
// Memory.  A client that has not said which link it means costs this object, and with TLS what
// OpenSSL holds for it.  A buffer of at most kInputBytes is kept only while the link has no room,
// one of at most kOutputBytes only while the socket takes no more.
//
// One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pipelines/wire/byte_channel.h"
#include "pipelines/wire/session.h"

namespace slipring::wire {

inline constexpr std::size_t kInputBytes = 65536;

// Shared by all connections of a loop.
struct WireScratch {
  std::array<std::byte, kInputBytes> input;
  std::array<std::byte, kOutputBytes> output;
};

class WireConnection {
 public:
  WireConnection(ByteChannel channel, std::unique_ptr<Session> session, bool is_connecting) noexcept
      : channel_(std::move(channel)),
        session_(std::move(session)),
        step_(is_connecting ? Step::kConnecting : Step::kShakingHands) {}

  // Does what can be done without waiting; whatever the socket is ready for.
  void work(WireScratch& scratch, std::uint64_t now_ns) noexcept;
  // Whether work() would do something although the socket has nothing new.
  [[nodiscard]] bool has_work() const noexcept;

  // What the socket is to be watched for.
  [[nodiscard]] bool wants_read() const noexcept;
  [[nodiscard]] bool wants_write() const noexcept;

  // All is said, or nothing more can be: to be closed.
  [[nodiscard]] bool is_over() const noexcept { return step_ == Step::kOver; }
  // Time passes.  Whoever does not part within `parting_ns` is not waited for.
  void tick(std::uint64_t now_ns, std::uint64_t parting_ns) noexcept;

  [[nodiscard]] Session& session() noexcept { return *session_; }
  [[nodiscard]] const Session& session() const noexcept { return *session_; }
  [[nodiscard]] const Descriptor& socket() const noexcept { return channel_.socket(); }
  // Why the socket failed; empty if it did not.
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

  // For the loop that owns it: what the socket is watched for now.
  std::uint32_t watched_events = 0;

 private:
  enum class Step : std::uint8_t {
    kConnecting,
    kShakingHands,
    kTalking,
    kParting,  // we have said everything, and listen until the other side has gone
    kOver,
  };
  void fail(const std::string& fault) noexcept;
  bool connect() noexcept;
  bool shake_hands() noexcept;
  void read(WireScratch& scratch, std::uint64_t now_ns) noexcept;
  void write(WireScratch& scratch) noexcept;
  bool write_out(std::span<const std::byte> bytes) noexcept;
  void part(WireScratch& scratch) noexcept;

  ByteChannel channel_;
  std::unique_ptr<Session> session_;
  Step step_;
  bool handshake_writes_ = false;
  std::uint64_t ended_ns_ = 0;  // when tick() first saw the session ended
  std::string fault_;
  std::vector<std::byte> input_;   // waits for room in the link
  std::vector<std::byte> output_;  // waits for the socket
};

}  // namespace slipring::wire
