#include "tests/pipelines/array/nbd/nbd_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "platform/wait/clock.h"

namespace slipring::test {
namespace {

constexpr std::uint64_t kPatienceNs = 60'000'000'000;
constexpr std::uint32_t kSimpleMagic = 0x67446698;
constexpr std::uint32_t kChunkMagic = 0x668e33ef;
constexpr std::uint64_t kOptionReplyMagic = 0x3e889045565a9;

bool wait_for(int fd, short events, std::uint64_t deadline_ns) {
  while (monotonic_ns() < deadline_ns) {
    pollfd watched{fd, events, 0};
    const int count = poll(&watched, 1, 1000);
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
  }
  return false;
}

}  // namespace

std::uint64_t big_endian_number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

std::string option_text(std::uint32_t option, std::string_view data) {
  return Wire()
      .text("IHAVEOPT")
      .u32(option)
      .u32(static_cast<std::uint32_t>(data.size()))
      .text(data)
      .bytes();
}

std::string go_data(std::string_view export_name, const std::vector<std::uint16_t>& infos) {
  Wire wire;
  wire.u32(static_cast<std::uint32_t>(export_name.size())).text(export_name);
  wire.u16(static_cast<std::uint16_t>(infos.size()));
  for (const std::uint16_t info : infos) wire.u16(info);
  return wire.bytes();
}

std::string context_data(std::string_view export_name, const std::vector<std::string>& queries) {
  Wire wire;
  wire.u32(static_cast<std::uint32_t>(export_name.size())).text(export_name);
  wire.u32(static_cast<std::uint32_t>(queries.size()));
  for (const std::string& query : queries) {
    wire.u32(static_cast<std::uint32_t>(query.size())).text(query);
  }
  return wire.bytes();
}

std::string request_text(std::uint16_t command, std::uint16_t flags, std::uint64_t cookie,
                         std::uint64_t offset, std::uint32_t length) {
  return Wire().u32(0x25609513).u16(flags).u16(command).u64(cookie).u64(offset).u32(length).bytes();
}

std::optional<NbdClient> NbdClient::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  do {
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return NbdClient(std::move(socket));
    }
    poll(nullptr, 0, 2);
  } while (monotonic_ns() < deadline_ns);
  return std::nullopt;
}

bool NbdClient::send(std::string_view bytes) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return false;
    // A server that waits for us to read must be read, or both wait for ever.
    if (!wait_for(socket_.get(), POLLOUT | POLLIN, deadline_ns)) return false;
    std::array<char, 65536> block;
    const ssize_t got = ::recv(socket_.get(), block.data(), block.size(), MSG_DONTWAIT);
    if (got > 0) pending_.append(block.data(), static_cast<std::size_t>(got));
    if (got == 0) return false;
  }
  return true;
}

std::optional<std::string> NbdClient::receive(std::size_t size) {
  const std::uint64_t deadline_ns = deadline_after(kPatienceNs);
  while (pending_.size() < size) {
    std::array<char, 65536> block;
    const ssize_t got = ::recv(socket_.get(), block.data(), block.size(), MSG_DONTWAIT);
    if (got > 0) {
      pending_.append(block.data(), static_cast<std::size_t>(got));
      continue;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) return std::nullopt;
    if (!wait_for(socket_.get(), POLLIN, deadline_ns)) return std::nullopt;
  }
  std::string bytes = pending_.substr(0, size);
  pending_.erase(0, size);
  return bytes;
}

std::string NbdClient::receive_to_the_end() {
  std::string all;
  for (std::optional<std::string> byte = receive(1); byte; byte = receive(1)) {
    all += *byte + std::exchange(pending_, {});
  }
  return all;
}

bool NbdClient::is_hung_up_on() {
  return pending_.empty() && receive_to_the_end().empty();
}

bool NbdClient::greet(std::uint32_t flags) {
  const std::optional<std::string> greeting = receive(18);
  return greeting && greeting->substr(0, 16) == "NBDMAGICIHAVEOPT" &&
         send(Wire().u32(flags).bytes());
}

std::optional<OptionReplyText> NbdClient::option_reply() {
  const std::optional<std::string> header = receive(20);
  if (!header || big_endian_number(header->substr(0, 8)) != kOptionReplyMagic) return std::nullopt;
  const std::optional<std::string> data = receive(big_endian_number(header->substr(16, 4)));
  if (!data) return std::nullopt;
  return OptionReplyText{static_cast<std::uint32_t>(big_endian_number(header->substr(8, 4))),
                         static_cast<std::uint32_t>(big_endian_number(header->substr(12, 4))),
                         *data};
}

bool NbdClient::enter(std::string_view export_name, bool is_structured) {
  if (!greet()) return false;
  if (is_structured) {
    if (!send(option_text(8, "")) || option_reply().value_or(OptionReplyText{}).kind != 1) {
      return false;
    }
    if (!send(option_text(10, context_data(export_name, {"base:allocation"})))) return false;
    if (option_reply().value_or(OptionReplyText{}).kind != 4) return false;
    if (option_reply().value_or(OptionReplyText{}).kind != 1) return false;
    is_structured_ = true;
  }
  if (!send(option_text(7, go_data(export_name)))) return false;
  for (;;) {
    const std::optional<OptionReplyText> reply = option_reply();
    if (!reply) return false;
    if (reply->kind == 1) return true;
    if (reply->kind != 3) return false;
    if (big_endian_number(reply->data.substr(0, 2)) != 0) continue;
    export_bytes_ = big_endian_number(reply->data.substr(2, 8));
    export_flags_ = static_cast<std::uint16_t>(big_endian_number(reply->data.substr(10, 2)));
  }
}

bool NbdClient::request(std::uint16_t command, std::uint16_t flags, std::uint64_t cookie,
                        std::uint64_t offset, std::uint32_t length, std::string_view payload) {
  if (command == 0 && !is_structured_) simple_reads_[cookie] = length;
  return send(request_text(command, flags, cookie, offset, length)) && send(payload);
}

std::optional<NbdReply> NbdClient::next_reply() {
  for (;;) {
    const std::optional<std::string> magic = receive(4);
    if (!magic) return std::nullopt;
    if (big_endian_number(*magic) == kSimpleMagic) {
      const std::optional<std::string> rest = receive(12);
      if (!rest) return std::nullopt;
      NbdReply reply;
      reply.error = static_cast<std::uint32_t>(big_endian_number(rest->substr(0, 4)));
      reply.cookie = big_endian_number(rest->substr(4, 8));
      const auto read = simple_reads_.find(reply.cookie);
      if (read == simple_reads_.end()) return reply;
      if (reply.error == 0) {
        const std::optional<std::string> data = receive(read->second);
        if (!data) return std::nullopt;
        reply.data[0] = *data;
      }
      simple_reads_.erase(read);
      return reply;
    }
    if (big_endian_number(*magic) != kChunkMagic || !is_structured_) return std::nullopt;
    const std::optional<std::string> head = receive(16);
    if (!head) return std::nullopt;
    const std::uint64_t flags = big_endian_number(head->substr(0, 2));
    const std::uint64_t type = big_endian_number(head->substr(2, 2));
    const std::uint64_t cookie = big_endian_number(head->substr(4, 8));
    const std::optional<std::string> body = receive(big_endian_number(head->substr(12, 4)));
    if (!body) return std::nullopt;
    NbdReply& reply = partial_[cookie];
    reply.cookie = cookie;
    reply.is_structured = true;
    if (type == 1) {
      reply.data[big_endian_number(body->substr(0, 8))] = body->substr(8);
    } else if (type == 2) {
      reply.data[big_endian_number(body->substr(0, 8))] =
          std::string(big_endian_number(body->substr(8, 4)), '\0');
    } else if (type == 5) {
      for (std::size_t at = 4; at + 4 <= body->size(); at += 4) {
        reply.extents.push_back(static_cast<std::uint32_t>(big_endian_number(body->substr(at, 4))));
      }
    } else if ((type & 0x8000) != 0) {
      reply.error = static_cast<std::uint32_t>(big_endian_number(body->substr(0, 4)));
    }
    if ((flags & 1) == 0) continue;
    NbdReply whole = std::move(reply);
    partial_.erase(cookie);
    return whole;
  }
}

}  // namespace slipring::test
