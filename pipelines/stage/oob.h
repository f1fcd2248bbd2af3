// Out-of-band commands: short texts on a record link of their own, which a stage looks at before
// its data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace slipring {

inline constexpr std::size_t kMaxCommandBytes = 1024;

struct Command {
  std::uint64_t issued_ns = 0;  // CLOCK_MONOTONIC, when the operator gave it
  std::string text;             // words parted by one space; printable ASCII
};

// The record: issued_ns, then the text without a terminator.
[[nodiscard]] inline std::string encode_command(const Command& command) {
  std::string record(sizeof command.issued_ns, '\0');
  std::memcpy(record.data(), &command.issued_ns, sizeof command.issued_ns);
  return record + command.text;
}

// Nothing for a record that is no command: too short, too long, or not printable.
[[nodiscard]] inline std::optional<Command> decode_command(std::span<const std::byte> record) {
  Command command;
  if (record.size() < sizeof command.issued_ns ||
      record.size() > sizeof command.issued_ns + kMaxCommandBytes) {
    return std::nullopt;
  }
  std::memcpy(&command.issued_ns, record.data(), sizeof command.issued_ns);
  for (const std::byte byte : record.subspan(sizeof command.issued_ns)) {
    const char letter = static_cast<char>(byte);
    if (letter < ' ' || letter > '~') return std::nullopt;
    command.text.push_back(letter);
  }
  return command;
}

}  // namespace slipring
