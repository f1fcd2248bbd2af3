// A server on a thread of its own, and clients that say every byte themselves.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "pipelines/http/server.h"
#include "pipelines/link/link_layout.h"
#include "platform/memory/segment_directory.h"
#include "platform/process/descriptor.h"

namespace slipring::http {

// A connection that fails the test when an answer does not come in a minute.
class RawClient {
 public:
  explicit RawClient(const std::string& address);

  // Errors are left for the next read to show.
  void send(std::string_view bytes);
  void end_sending();
  // Resets the connection instead of closing it in good order.
  void reset();
  void close() { socket_.reset(); }

  // At most `count` bytes; fewer at the connection's end.
  std::string read(std::size_t count);
  std::string read_to_end();

  struct Answer {
    int status = 0;  // 0: none came
    std::string head;
    std::string body;
    [[nodiscard]] bool has(std::string_view field) const {
      return head.find(field) != std::string::npos;
    }
  };
  // One answer with a Content-Length, or without a body.  What came behind it stays.
  Answer answer();
  Answer ask(std::string_view request) {
    send(request);
    return answer();
  }

 private:
  bool receive();

  Descriptor socket_;
  std::string received_;
};

class HttpFixture {
 public:
  explicit HttpFixture(ServerOptions options = {});
  ~HttpFixture();
  HttpFixture(const HttpFixture&) = delete;
  HttpFixture& operator=(const HttpFixture&) = delete;

  [[nodiscard]] RawClient client() const { return RawClient(address_); }
  [[nodiscard]] const SegmentDirectory& directory() const { return *directory_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  void make(std::string_view name, SegmentKind kind, std::uint64_t capacity_bytes = 65536) const;

  // Of the server, which is stopped by that.
  [[nodiscard]] Server& stop();

 private:
  std::string path_;
  std::unique_ptr<SegmentDirectory> directory_;
  std::unique_ptr<Server> server_;
  std::string address_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

[[nodiscard]] std::string get(std::string_view target, std::string_view fields = "");
[[nodiscard]] std::string put(std::string_view target, std::string_view body,
                              std::string_view fields = "");

}  // namespace slipring::http
