// What a request asks for: its method, path, query and fields, as one call or one refusal.
//
//   GET  /                      the live page           (HEAD too, likewise below)
//   GET  /metrics               Prometheus text
//   GET  /v1/links              JSON
//   PUT  /v1/links/NAME         enqueues the body       ?wait=SECONDS ?end=1
//   POST /v1/links/NAME         the same
//   GET  /v1/links/NAME         takes one message       ?wait=SECONDS ?max=BYTES ?follow=1 ?keep=1
//
// There is no HEAD of a link: it could not take, and would promise what the next GET does not get.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "pipelines/http/request_parser.h"

namespace slipring::http {

inline constexpr std::uint64_t kWaitSecondsMax = 300;
inline constexpr std::uint64_t kPieceBytesDefault = 64 * 1024;  // of a stream, a GET
inline constexpr std::uint64_t kPieceBytesMax = 1024 * 1024;

enum class Resource : std::uint8_t { kPage, kMetrics, kLinks, kLink };

struct Call {
  Resource resource = Resource::kPage;
  bool head_only = false;
  bool puts = false;  // of a link: otherwise it takes
  std::string link;
  std::uint64_t wait_ns = 0;
  std::uint64_t piece_bytes = kPieceBytesDefault;
  bool ends = false;     // the body is the last: the stream is closed behind it
  bool follows = false;  // everything until the stream's end, in one answer
  bool keeps = false;    // the connection stays, and its next request confirms the message
};

// Requires: the head was read without a fault.
[[nodiscard]] std::variant<Call, Refusal> route(const RequestHead& head);

}  // namespace slipring::http
