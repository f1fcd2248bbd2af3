// Writers that follow each other in the lanes of a set, as its owner on another machine sees them.
#pragma once

#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>

#include <doctest/doctest.h>

#include "pipelines/link/lane_reader.h"
#include "pipelines/link/link_writer.h"

namespace slipring::wire {

// What the owner has read, by whoever wrote it.
class TurnLedger {
 public:
  // "WHO@INCARNATION NUMBER", as a writer of its lane.
  void enter(const LaneMessage& message) {
    const auto bytes = message.message.bytes;
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t gap = text.find(' ');
    REQUIRE(gap != std::string::npos);
    const std::string writer = text.substr(0, gap);
    std::uint64_t number = 0;
    std::from_chars(text.data() + gap + 1, text.data() + text.size(), number);
    REQUIRE(message.origin.has_value());
    const LaneProcess& process = message.origin->process;
    Seen& seen = seen_[writer];
    CHECK_MESSAGE(number == seen.next, writer, " lost or repeated");
    seen.next = number + 1;
    CHECK_MESSAGE(writer.ends_with("@" + std::to_string(process.incarnation)), writer, " as ",
                  process.incarnation);
    CHECK(process.process_id == static_cast<std::uint32_t>(getpid()));
    CHECK(process.user == getuid());
    CHECK(process.group == getgid());
    ++count_;
  }
  void drain(LaneReader& reader) {
    LaneMessage message;
    while (reader.try_peek(message) == Transfer::kDone) {
      enter(message);
      reader.release(message);
    }
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  struct Seen {
    std::uint64_t next = 0;
  };
  std::map<std::string, Seen> seen_;
  std::uint64_t count_ = 0;
};

inline std::string text_of(const std::string& writer, int number) {
  return writer + " " + std::to_string(number);
}

// What a writer calls itself.
inline std::string name_of(const std::string& who, const LinkWriter& writer) {
  return who + "@" + std::to_string(writer.attachment());
}

// False if there is no room.
inline bool try_push(LinkWriter& writer, const std::string& text) {
  std::span<std::byte> place;
  if (writer.try_reserve(text.size(), place) != Transfer::kDone) return false;
  std::memcpy(place.data(), text.data(), text.size());
  writer.commit(text.size());
  return true;
}

}  // namespace slipring::wire
