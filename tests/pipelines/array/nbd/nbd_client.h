// An NBD client for tests: says exactly what it is told to, right or wrong, and takes replies
// apart.
//
// It shares no code with the server but the names of numbers (nbd_protocol.h): it puts bytes
// together by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/process/descriptor.h"

namespace slipring::test {

// Big-endian bytes, one behind the other.
class Wire {
 public:
  Wire& u16(std::uint16_t value) { return number(value, 2); }
  Wire& u32(std::uint32_t value) { return number(value, 4); }
  Wire& u64(std::uint64_t value) { return number(value, 8); }
  Wire& text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  Wire& number(std::uint64_t value, int size) {
    for (int i = size; i-- > 0;) bytes_ += static_cast<char>(value >> (8 * i));
    return *this;
  }
  std::string bytes_;
};

[[nodiscard]] std::uint64_t big_endian_number(std::string_view bytes);

// IHAVEOPT, number, length, data.
[[nodiscard]] std::string option_text(std::uint32_t option, std::string_view data);
// The data of INFO and GO.
[[nodiscard]] std::string go_data(std::string_view export_name,
                                  const std::vector<std::uint16_t>& infos = {});
// The data of LIST_META_CONTEXT and SET_META_CONTEXT.
[[nodiscard]] std::string context_data(std::string_view export_name,
                                       const std::vector<std::string>& queries);
[[nodiscard]] std::string request_text(std::uint16_t command, std::uint16_t flags,
                                       std::uint64_t cookie, std::uint64_t offset,
                                       std::uint32_t length);

struct OptionReplyText {
  std::uint32_t option = 0;
  std::uint32_t kind = 0;
  std::string data;
};

// A reply, complete.
struct NbdReply {
  std::uint64_t cookie = 0;
  std::uint32_t error = 0;
  bool is_structured = false;
  std::map<std::uint64_t, std::string> data;  // of a read, by offset (simple: 0)
  std::vector<std::uint32_t> extents;         // of a block status: length, flags, ...
};

class NbdClient {
 public:
  // Unix sockets only.  Nothing when nobody listens within the test's patience.
  static std::optional<NbdClient> connect(const std::string& path);

  // Over a connection that somebody else has made.
  explicit NbdClient(Descriptor socket) : socket_(std::move(socket)) {}

  // False when the server has hung up, or is silent for longer than patience.
  [[nodiscard]] bool send(std::string_view bytes);
  // Exactly so many bytes; nothing as above.
  [[nodiscard]] std::optional<std::string> receive(std::size_t size);
  // Whether the server hangs up without a byte more.
  [[nodiscard]] bool is_hung_up_on();
  // All that comes until the server hangs up.
  [[nodiscard]] std::string receive_to_the_end();

  // Takes the greeting and says flags; false when the greeting is another.
  [[nodiscard]] bool greet(std::uint32_t flags = 3);
  [[nodiscard]] std::optional<OptionReplyText> option_reply();
  // Up to transmission: STRUCTURED_REPLY and base:allocation if wanted, GO.
  [[nodiscard]] bool enter(std::string_view export_name, bool is_structured);
  [[nodiscard]] std::uint64_t export_bytes() const { return export_bytes_; }
  [[nodiscard]] std::uint16_t export_flags() const { return export_flags_; }

  // Announces a request, so that next_reply() knows how long a simple read's data are.
  [[nodiscard]] bool request(std::uint16_t command, std::uint16_t flags, std::uint64_t cookie,
                             std::uint64_t offset, std::uint32_t length,
                             std::string_view payload = {});
  [[nodiscard]] std::optional<NbdReply> next_reply();

  [[nodiscard]] int fd() const { return socket_.get(); }
  void shut() { socket_.reset(); }

 private:
  Descriptor socket_;
  bool is_structured_ = false;
  std::uint64_t export_bytes_ = 0;
  std::uint16_t export_flags_ = 0;
  std::map<std::uint64_t, std::uint32_t> simple_reads_;  // cookie -> length
  std::map<std::uint64_t, NbdReply> partial_;            // structured replies that go on
  std::string pending_;                                  // received, not asked for yet
};

}  // namespace slipring::test
