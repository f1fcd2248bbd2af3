// The page at `/`: one file, nothing from elsewhere, drawn anew every second from /v1/links.
#pragma once

#include <string_view>

namespace slipring::tools {

// It loads nothing, talks to nobody but its own server, and is shown in nobody's frame.
inline constexpr const char* kLivePageFields =
    "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";

extern const std::string_view kLivePage;

}  // namespace slipring::tools
