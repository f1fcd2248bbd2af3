// What carries records (record_loop.h) as a channel of messages (stream_loop.h), and the other way
// round.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include "tools/bench/arena.h"
#include "tools/bench/message.h"

namespace slipring::bench {

// A carrier of records as a channel of messages.
template <typename Carrier>
struct AsChannel {
  template <typename M, std::size_t kSlots>
  class Of : public Carrier {
   public:
    static constexpr bool kPopBlocks = false;
    explicit Of(Arena& arena) : Carrier(arena, sizeof(M)) {}

    struct Producer {
      typename Carrier::Producer end;
      [[nodiscard]] bool try_push(const M& message) {
        return end.try_send(sizeof(M), [&](std::span<std::byte> bytes) {
          std::memcpy(bytes.data(), &message, sizeof(M));
        });
      }
    };
    struct Consumer {
      typename Carrier::Consumer end;
      [[nodiscard]] bool try_pop(M& message) {
        return end.try_receive([&](std::span<const std::byte> bytes) {
          std::memcpy(&message, bytes.data(), sizeof(M));
        });
      }
    };
    [[nodiscard]] Producer producer() const { return {Carrier::producer()}; }
    [[nodiscard]] Consumer consumer() const { return {Carrier::consumer()}; }
  };
};

// A channel of messages as a carrier of records of exactly that size.
template <typename Channel, typename M>
class AsCarrier {
 public:
  AsCarrier(Arena& arena, std::size_t) : channel_(arena.make<Channel>(arena)) {}

  struct Producer {
    decltype(std::declval<const Channel&>().producer()) end;
    M message;
    template <typename Fill>
    [[nodiscard]] bool try_send(std::size_t, Fill&& fill) {
      fill(std::as_writable_bytes(std::span<M, 1>(&message, 1)));
      return end.try_push(message);
    }
    void flush() {
      if constexpr (requires { end.flush(); }) end.flush();
    }
  };
  struct Consumer {
    decltype(std::declval<const Channel&>().consumer()) end;
    M message;
    template <typename Look>
    [[nodiscard]] bool try_receive(Look&& look) {
      if (!end.try_pop(message)) return false;
      look(std::as_bytes(std::span<const M, 1>(&message, 1)));
      return true;
    }
  };
  [[nodiscard]] Producer producer() const { return {channel_.producer(), {}}; }
  [[nodiscard]] Consumer consumer() const { return {channel_.consumer(), {}}; }

 private:
  Channel& channel_;
};

}  // namespace slipring::bench
