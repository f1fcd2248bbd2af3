#include "pipelines/http/request_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <limits>

namespace slipring::http {
namespace {

namespace beast = boost::beast;
using beast::http::field;

std::string text_of(beast::string_view view) {
  return {view.data(), view.size()};
}

// For showing: short, and nothing that could act on a terminal.
std::string shown(std::string text) {
  constexpr std::size_t kShownMax = 80;
  if (text.size() > kShownMax) text.resize(kShownMax);
  std::replace_if(
      text.begin(), text.end(), [](char letter) { return letter < ' ' || letter > '~'; }, '?');
  return text;
}

std::string first_line(std::span<const std::byte> bytes) {
  const std::string text(reinterpret_cast<const char*>(bytes.data()),
                         std::min<std::size_t>(bytes.size(), 200));
  return shown(text.substr(0, text.find_first_of("\r\n")));
}

bool is_digits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char letter) { return letter >= '0' && letter <= '9'; });
}

}  // namespace

struct RequestParser::Beast {
  beast::http::request_parser<beast::http::buffer_body> parser;

  Beast() {
    parser.header_limit(kHeadBytesMax);
    // How long a body may be is decided where it is known what it is for.
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());
  }
  [[nodiscard]] std::size_t count(field name) const { return parser.get().count(name); }
  [[nodiscard]] std::string value(field name) const { return text_of(parser.get()[name]); }
};

RequestParser::RequestParser() : beast_(std::make_unique<Beast>()) {}
RequestParser::~RequestParser() = default;

void RequestParser::refuse(int status, const char* what, std::string found, const char* remedy) {
  stage_ = ParseStage::kBad;
  refusal_ = {status, what, shown(std::move(found)), remedy};
}

std::size_t RequestParser::read_head(std::span<const std::byte> bytes) {
  if (stage_ != ParseStage::kHead || bytes.empty()) return 0;
  has_begun_ = true;
  beast::error_code fault;
  const std::size_t used =
      beast_->parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), fault);
  if (fault == beast::http::error::need_more) return used;
  if (fault == beast::http::error::header_limit) {
    refuse(431, "the request's head is too long", std::to_string(bytes.size()) + " bytes or more",
           "send at most 8192 bytes of request line and fields");
    return 0;
  }
  const bool is_old = fault == beast::http::error::bad_version;
  if (is_old) {
    refuse(505, "not a version of HTTP that is spoken here", first_line(bytes),
           "speak HTTP/1.1 or HTTP/1.0");
    return 0;
  }
  if (fault && fault != beast::http::error::need_buffer) {
    refuse(400, "this is no HTTP request", fault.message() + ": " + first_line(bytes),
           "send a request line and fields as RFC 9112 has them");
    return 0;
  }
  if (beast_->parser.is_header_done()) take_head();
  return used;
}

void RequestParser::take_head() {
  const auto& message = beast_->parser.get();
  head_.method = text_of(message.method_string());
  head_.target = text_of(message.target());
  head_.host = beast_->value(field::host);
  head_.authorization = beast_->value(field::authorization);
  head_.origin = beast_->value(field::origin);
  head_.fetch_site = text_of(message["Sec-Fetch-Site"]);
  head_.keeps_alive = beast_->parser.keep_alive();
  head_.is_http_1_0 = message.version() == 10;
  head_.is_chunked = beast_->parser.chunked();
  head_.expects_continue =
      !head_.is_http_1_0 && beast::iequals(message[field::expect], "100-continue");
  stage_ = beast_->parser.is_done() ? ParseStage::kDone : ParseStage::kBody;
  if (head_.target.size() > kTargetBytesMax) {
    return refuse(414, "the target is too long", std::to_string(head_.target.size()) + " bytes",
                  "ask for one of the paths that `GET /` shows");
  }
  const std::size_t host_count = beast_->count(field::host);
  if (host_count > 1 || (host_count == 0 && !head_.is_http_1_0)) {
    return refuse(400, "a request has one Host", std::to_string(host_count) + " of them",
                  "send exactly one Host field");
  }
  if (beast_->count(field::content_length) > 1) {
    return refuse(400, "a request has one length",
                  std::to_string(beast_->count(field::content_length)) + " Content-Length fields",
                  "send one Content-Length, or a chunked body");
  }
  if (beast_->count(field::content_length) == 1) {
    const std::string length = beast_->value(field::content_length);
    if (!is_digits(length)) {
      return refuse(400, "a length is digits alone", "Content-Length: " + length,
                    "send one decimal number");
    }
    head_.has_length = true;
    if (const auto known = beast_->parser.content_length()) head_.content_length = *known;
  }
  if (beast_->count(field::transfer_encoding) != 0) {
    const std::string encoding = beast_->value(field::transfer_encoding);
    const bool is_chunked = beast_->count(field::transfer_encoding) == 1 &&
                            beast::iequals(encoding, "chunked") && !head_.is_http_1_0;
    if (!is_chunked) {
      return refuse(501, "a transfer encoding that is not spoken here",
                    "Transfer-Encoding: " + encoding, "send `chunked` alone, with HTTP/1.1");
    }
  }
  if (beast_->count(field::expect) != 0 && !head_.expects_continue && !head_.is_http_1_0) {
    return refuse(417, "an expectation that cannot be met",
                  "Expect: " + beast_->value(field::expect), "expect 100-continue, or nothing");
  }
}

std::size_t RequestParser::read_body(std::span<const std::byte> bytes, std::span<std::byte> room,
                                     std::size_t& count) {
  count = 0;
  if (stage_ != ParseStage::kBody || bytes.empty()) return 0;
  auto& body = beast_->parser.get().body();
  std::size_t used = 0;
  while (used < bytes.size() && !beast_->parser.is_done() && count < room.size()) {
    body.data = room.data() + count;
    body.size = room.size() - count;
    body.more = true;
    beast::error_code fault;
    const std::size_t step = beast_->parser.put(
        boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), fault);
    count = room.size() - body.size;
    used += step;
    if (fault == beast::http::error::need_buffer) continue;
    if (fault == beast::http::error::need_more || (!fault && step == 0)) break;
    if (fault) {
      refuse(400, "the body is not what its head says", fault.message(),
             "send chunks as RFC 9112 has them");
      return used;
    }
  }
  if (beast_->parser.is_done()) stage_ = ParseStage::kDone;
  return used;
}

}  // namespace slipring::http
