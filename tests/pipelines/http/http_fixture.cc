#include "tests/pipelines/http/http_fixture.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <utility>

#include "pipelines/link/link_segment.h"
#include "platform/wait/clock.h"

namespace slipring::http {

RawClient::RawClient(const std::string& address)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  REQUIRE(socket_.is_open());
  const std::size_t colon = address.rfind(':');
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  REQUIRE(inet_pton(AF_INET, address.substr(0, colon).c_str(), &where.sin_addr) == 1);
  REQUIRE(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
  const timeval minute{60, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof minute);
}

void RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void RawClient::end_sending() {
  shutdown(socket_.get(), SHUT_WR);
}

void RawClient::reset() {
  const linger at_once{1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket_.reset();
}

bool RawClient::receive() {
  std::array<char, 65536> piece{};
  const ssize_t got = recv(socket_.get(), piece.data(), piece.size(), 0);
  REQUIRE_MESSAGE((got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK)), "no answer in a minute");
  if (got <= 0) return false;
  received_.append(piece.data(), static_cast<std::size_t>(got));
  return true;
}

std::string RawClient::read(std::size_t count) {
  // Not a byte more is taken from the socket than is asked for.
  std::string bytes = received_.substr(0, count);
  received_.erase(0, bytes.size());
  while (bytes.size() < count) {
    std::string piece(count - bytes.size(), '\0');
    const ssize_t got = recv(socket_.get(), piece.data(), piece.size(), 0);
    if (got <= 0) break;
    bytes.append(piece, 0, static_cast<std::size_t>(got));
  }
  return bytes;
}

std::string RawClient::read_to_end() {
  while (receive()) {
  }
  return std::exchange(received_, "");
}

RawClient::Answer RawClient::answer() {
  std::size_t end = 0;
  while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
    if (!receive()) return {};
  }
  Answer answer;
  answer.head = received_.substr(0, end + 2);
  received_.erase(0, end + 4);
  std::from_chars(answer.head.data() + 9, answer.head.data() + 12, answer.status);
  constexpr std::string_view kLength = "Content-Length: ";
  const std::size_t at = answer.head.find(kLength);
  if (at == std::string::npos) return answer;
  const std::size_t length = std::stoul(answer.head.substr(at + kLength.size()));
  while (received_.size() < length && receive()) {
  }
  answer.body = received_.substr(0, length);
  received_.erase(0, answer.body.size());
  return answer;
}

HttpFixture::HttpFixture(ServerOptions options) {
  std::string pattern = "/dev/shm/slipring-http-test-XXXXXX";
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
  Result<SegmentDirectory> opened = SegmentDirectory::open_at(path_);
  REQUIRE(opened.ok());
  directory_ = std::make_unique<SegmentDirectory>(std::move(opened).value());
  server_ = std::make_unique<Server>(*directory_, std::move(options), [](Resource resource) {
    return Content{"text/plain", resource == Resource::kPage ? "page" : "content", ""};
  });
  REQUIRE(server_->listen({"127.0.0.1", "0"}).ok());
  address_ = server_->address();
  thread_ = std::thread([this] { server_->run(stop_, kNoDeadline); });
}

Server& HttpFixture::stop() {
  stop_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
  return *server_;
}

HttpFixture::~HttpFixture() {
  static_cast<void>(stop());
  server_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void HttpFixture::make(std::string_view name, SegmentKind kind,
                       std::uint64_t capacity_bytes) const {
  LinkShape shape;
  shape.kind = kind;
  shape.capacity_bytes = capacity_bytes;
  REQUIRE(create_link(*directory_, name, shape).ok());
}

std::string get(std::string_view target, std::string_view fields) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) +
         "\r\n";
}

std::string put(std::string_view target, std::string_view body, std::string_view fields) {
  return "PUT " + std::string(target) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(fields) + "\r\n" + std::string(body);
}

}  // namespace slipring::http
