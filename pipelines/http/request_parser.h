// HTTP/1.0 and 1.1 requests from bytes that may come in any pieces: the parser of Boost.Beast, held
// to fewer shapes than it takes.
//
// What could be read in two ways is refused, so that no proxy in front of us and we ever disagree
// about where a request ends: two lengths, a length with a transfer encoding, a transfer encoding
// other than "chunked", none or two hosts, a length that is not digits alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace slipring::http {

inline constexpr std::uint32_t kHeadBytesMax = 8192;  // request line and fields
inline constexpr std::size_t kTargetBytesMax = 2048;

struct RequestHead {
  std::string method;
  std::string target;  // as sent: "/v1/links/a?wait=1"
  std::string host;
  std::string authorization;
  std::string origin;
  std::string fetch_site;  // Sec-Fetch-Site, which browsers send and pages cannot forge
  bool keeps_alive = false;
  bool is_http_1_0 = false;
  bool expects_continue = false;
  bool is_chunked = false;
  bool has_length = false;
  std::uint64_t content_length = 0;

  [[nodiscard]] bool has_body() const noexcept { return is_chunked || content_length != 0; }
};

// Why a request is refused: an HTTP status, and words for people.
struct Refusal {
  int status = 0;
  std::string what;
  std::string found;
  std::string remedy;
  std::string allow = {};  // of a 405: the methods that there are
};

enum class ParseStage : std::uint8_t {
  kHead,  // not all of it is there
  kBody,  // head() is known, and the body goes on
  kDone,  // all of the request was read
  kBad,   // no request, for good: refusal() says why
};

// One request.  One thread at a time.
class RequestParser {
 public:
  RequestParser();
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Reads on in `bytes`, which begins with whatever an earlier call left over.  Stops at the end of
  // the head, before the body.  Answers how many bytes it used up; none when more must come first.
  [[nodiscard]] std::size_t read_head(std::span<const std::byte> bytes);
  // The same for the body, as much as `room` takes; `count` says how much was put there.  Chunks
  // are taken apart.  Requires: stage() is kBody; room is not empty.
  [[nodiscard]] std::size_t read_body(std::span<const std::byte> bytes, std::span<std::byte> room,
                                      std::size_t& count);

  [[nodiscard]] ParseStage stage() const noexcept { return stage_; }
  [[nodiscard]] const RequestHead& head() const noexcept { return head_; }
  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }
  // Something of the request has been seen.
  [[nodiscard]] bool has_begun() const noexcept { return has_begun_; }

 private:
  struct Beast;
  void take_head();
  void refuse(int status, const char* what, std::string found, const char* remedy);

  std::unique_ptr<Beast> beast_;
  RequestHead head_;
  Refusal refusal_;
  ParseStage stage_ = ParseStage::kHead;
  bool has_begun_ = false;
};

}  // namespace slipring::http
