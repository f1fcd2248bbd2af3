// Who may ask: a token, and no web page that somebody happens to look at.
//
// A browser sends requests to any address that a page names, to 127.0.0.1 too.  Such a page could
// not read an answer, but taking a message is done by asking.  So a request that a browser marks as
// coming from another site is refused, and without a token so is one whose Host is not an address
// or name of this machine's own: a foreign name that was made to mean 127.0.0.1.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pipelines/http/request_parser.h"

namespace slipring::http {

inline constexpr std::size_t kTokenBytesMin = 16;
inline constexpr std::size_t kTokenBytesMax = 512;

// Reads a token: the file's only line, printable ASCII.  Nothing, with `fault`, for a file that
// others may read or that holds no token.
[[nodiscard]] std::optional<std::string> read_token_file(const std::string& path,
                                                         std::string& fault);

// Takes as long for any `given` of a length, however much of it is right.
[[nodiscard]] bool is_same_token(std::string_view token, std::string_view given) noexcept;

struct AccessRules {
  std::string token;        // empty: none is asked for
  bool only_local = false;  // listens on a loopback address
};

// Whether the request may be answered.  `is_page`: it is the page itself, which says nothing and
// asks for the token.
[[nodiscard]] std::optional<Refusal> refuse_access(const AccessRules& rules,
                                                   const RequestHead& head, bool is_page);

}  // namespace slipring::http
