#include "pipelines/http/route.h"

#include <charconv>
#include <cmath>
#include <optional>

#include "platform/memory/segment_directory.h"

namespace slipring::http {
namespace {

constexpr std::string_view kLinksPath = "/v1/links";

Refusal bad_query(std::string what, std::string_view found, const char* remedy) {
  return {400, std::move(what), std::string(found), remedy};
}

int digit_of(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
  return -1;
}

// %41 is A; nothing for a percent sign that is none of these.
std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || digit_of(text[i + 1]) < 0 || digit_of(text[i + 2]) < 0) {
      return std::nullopt;
    }
    out += static_cast<char>(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2]));
    i += 2;
  }
  return out;
}

// "0.5" to kWaitSecondsMax; 0 is not to wait.
std::optional<std::uint64_t> wait_ns_of(std::string_view text) {
  double seconds = 0;
  const char* end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, seconds, std::chars_format::fixed);
  const bool in_range = seconds >= 0 && seconds <= static_cast<double>(kWaitSecondsMax);
  if (fault != std::errc{} || stop != end || !in_range) return std::nullopt;
  return static_cast<std::uint64_t>(seconds * 1e9);
}

std::optional<std::uint64_t> piece_bytes_of(std::string_view text) {
  std::uint64_t bytes = 0;
  const char* end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, bytes);
  const bool in_range = bytes >= 1 && bytes <= kPieceBytesMax;
  if (fault != std::errc{} || stop != end || !in_range) return std::nullopt;
  return bytes;
}

// One "name=value" of the query, for a call whose method is known.
std::optional<Refusal> take_parameter(std::string_view parameter, Call& call) {
  const std::size_t equals = parameter.find('=');
  const std::string_view name = parameter.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view{} : parameter.substr(equals + 1);
  if (name == "wait") {
    const auto wait_ns = wait_ns_of(value);
    if (!wait_ns) return bad_query("wait is no number of seconds", value, "wait=0 to wait=300");
    call.wait_ns = *wait_ns;
    return std::nullopt;
  }
  if (name == "max" && !call.puts) {
    const auto bytes = piece_bytes_of(value);
    if (!bytes) return bad_query("max is no number of bytes", value, "max=1 to max=1048576");
    call.piece_bytes = *bytes;
    return std::nullopt;
  }
  bool* const flag = name == "end" && call.puts       ? &call.ends
                     : name == "follow" && !call.puts ? &call.follows
                     : name == "keep" && !call.puts   ? &call.keeps
                                                      : nullptr;
  if (flag == nullptr) {
    return bad_query("there is no such parameter", parameter,
                     call.puts ? "with PUT: wait, end" : "with GET: wait, max, follow, keep");
  }
  if (value != "1" && value != "0") {
    return bad_query(std::string(name) + " is neither 0 nor 1", value, "say 1, or leave it out");
  }
  *flag = value == "1";
  return std::nullopt;
}

std::variant<Call, Refusal> route_link(const RequestHead& head, std::string_view name,
                                       std::string_view query) {
  Call call;
  call.resource = Resource::kLink;
  call.puts = head.method == "PUT" || head.method == "POST";
  if (!call.puts && head.method != "GET") {
    return Refusal{405, "a link is not asked that way", head.method,
                   "GET takes a message, PUT enqueues one", "GET, PUT, POST"};
  }
  const std::optional<std::string> link = unescaped(name);
  if (!link || !is_segment_name(*link)) {
    return Refusal{404, "this can be no link's name", std::string(name),
                   "1 to 80 of A-Z a-z 0-9 . _ - name a link; GET /v1/links lists them"};
  }
  call.link = *link;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view parameter = query.substr(0, end);
    if (!parameter.empty()) {
      if (std::optional<Refusal> refusal = take_parameter(parameter, call)) return *refusal;
    }
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
  }
  if (!call.puts && head.has_body()) {
    return Refusal{400, "GET with a body", std::to_string(head.content_length) + " bytes",
                   "PUT enqueues a body"};
  }
  return call;
}

}  // namespace

std::variant<Call, Refusal> route(const RequestHead& head) {
  std::string_view target = head.target;
  // "http://host/path", as a client sends it that takes us for a proxy.
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const std::size_t path = target.find('/', scheme.size());
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  const std::size_t mark = target.find('?');
  const std::string_view path = target.substr(0, mark);
  const std::string_view query =
      mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
  if (path.starts_with(kLinksPath) && path.size() > kLinksPath.size() + 1 &&
      path[kLinksPath.size()] == '/') {
    return route_link(head, path.substr(kLinksPath.size() + 1), query);
  }
  Call call;
  if (path == "/") {
    call.resource = Resource::kPage;
  } else if (path == "/metrics") {
    call.resource = Resource::kMetrics;
  } else if (path == kLinksPath) {
    call.resource = Resource::kLinks;
  } else {
    return Refusal{404, "there is nothing at this path", std::string(path),
                   "there are /, /metrics, /v1/links and /v1/links/NAME"};
  }
  call.head_only = head.method == "HEAD";
  if (!call.head_only && head.method != "GET") {
    return Refusal{405, "this can only be read", head.method, "GET it", "GET, HEAD"};
  }
  if (head.has_body()) {
    return Refusal{400, head.method + " with a body",
                   std::to_string(head.content_length) + " bytes", "send none"};
  }
  return call;
}

}  // namespace slipring::http
