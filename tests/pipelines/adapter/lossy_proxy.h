// A UDP proxy that drops, repeats and reorders by a seed, and knows exactly what it let pass.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "platform/process/descriptor.h"

namespace slipring::test {

// A UDP socket on a port of 127.0.0.1 that the kernel chose.
inline Descriptor udp_socket() {
  Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return socket;
}

inline std::uint16_t port_of(int socket_fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  REQUIRE(getsockname(socket_fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

inline void send_to(const Descriptor& from, std::uint16_t port, std::string_view bytes) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  REQUIRE(sendto(from.get(), bytes.data(), bytes.size(), 0,
                 reinterpret_cast<const sockaddr*>(&address),
                 sizeof address) == static_cast<ssize_t>(bytes.size()));
}

// In percent of the datagrams.
struct LossRates {
  std::uint32_t dropped = 10;
  std::uint32_t repeated = 10;
  std::uint32_t delayed = 10;  // by 1 to 8 others
};

class LossyProxy {
 public:
  // What comes to port() goes on to `port_beyond` of this machine, as far as it goes.
  LossyProxy(std::uint32_t seed, std::uint16_t port_beyond, LossRates rates = {})
      : socket_(udp_socket()), port_beyond_(port_beyond), rates_(rates), state_(seed) {}

  [[nodiscard]] std::uint16_t port() const { return port_of(socket_.get()); }

  // Handles all that has come.
  void turn() {
    std::array<char, 65536> bytes;
    for (;;) {
      const ssize_t got = recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (got < 0) break;
      ++come_count_;
      handle(std::string(bytes.data(), static_cast<std::size_t>(got)));
    }
  }
  // Lets go of what is delayed still.
  void flush() {
    while (!delayed_.empty()) {
      pass(delayed_.front().bytes);
      delayed_.pop_front();
    }
  }

  // In this order.
  [[nodiscard]] const std::vector<std::string>& passed() const { return passed_; }
  [[nodiscard]] std::uint64_t come_count() const { return come_count_; }
  [[nodiscard]] std::uint64_t dropped_count() const { return dropped_count_; }
  [[nodiscard]] std::uint64_t repeated_count() const { return repeated_count_; }
  [[nodiscard]] std::uint64_t delayed_count() const { return delayed_count_; }

 private:
  struct Delayed {
    std::string bytes;
    std::uint32_t others_left;
  };

  std::uint32_t random(std::uint32_t below) {
    state_ = state_ * 1664525U + 1013904223U;
    return (state_ >> 8) % below;
  }
  void pass(const std::string& bytes) {
    send_to(socket_, port_beyond_, bytes);
    passed_.push_back(bytes);
  }
  void handle(std::string bytes) {
    const std::uint32_t lot = random(100);
    if (lot < rates_.dropped) {
      ++dropped_count_;
    } else if (lot < rates_.dropped + rates_.repeated) {
      ++repeated_count_;
      pass(bytes);
      pass(bytes);
    } else if (lot < rates_.dropped + rates_.repeated + rates_.delayed) {
      ++delayed_count_;
      delayed_.push_back({std::move(bytes), 1 + random(8)});
      return;
    } else {
      pass(bytes);
    }
    for (Delayed& one : delayed_) --one.others_left;
    while (!delayed_.empty() && delayed_.front().others_left == 0) {
      pass(delayed_.front().bytes);
      delayed_.pop_front();
    }
    for (Delayed& one : delayed_) {
      if (one.others_left == 0) one.others_left = 1;  // behind the one that came before it
    }
  }

  Descriptor socket_;
  std::uint16_t port_beyond_;
  LossRates rates_;
  std::uint32_t state_;
  std::deque<Delayed> delayed_;
  std::vector<std::string> passed_;
  std::uint64_t come_count_ = 0;
  std::uint64_t dropped_count_ = 0;
  std::uint64_t repeated_count_ = 0;
  std::uint64_t delayed_count_ = 0;
};

}  // namespace slipring::test
