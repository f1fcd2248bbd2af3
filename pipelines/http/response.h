// What is sent back: heads, and bodies that say what was wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pipelines/http/request_parser.h"

namespace slipring::http {

struct Response {
  int status = 200;
  std::string content_type = {};  // empty: no body is announced
  std::string fields = {};        // more of the head, each line with its end
  std::uint64_t content_length = 0;
  bool is_chunked = false;
  bool keeps_alive = false;
  bool is_http_1_0 = false;
};

[[nodiscard]] std::string_view reason_of(int status) noexcept;

// The head, with the empty line behind it.  Nothing that is answered may be kept by a cache.
[[nodiscard]] std::string head_of(const Response& response);

// {"schema":1,"error":{"status":…,"what":…,"found":…,"remedy":…}}
[[nodiscard]] std::string error_body(const Refusal& refusal);

// Head and body, without the body for HEAD.
[[nodiscard]] std::string refusal_text(const Refusal& refusal, bool keeps_alive, bool is_http_1_0,
                                       bool head_only);

}  // namespace slipring::http
