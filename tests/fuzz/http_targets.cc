// Requests over HTTP: raw bytes, and what they ask for.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <variant>

#include "pipelines/http/access.h"
#include "pipelines/http/request_parser.h"
#include "pipelines/http/response.h"
#include "pipelines/http/route.h"
#include "platform/memory/segment_directory.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

// The bytes of one input in two ways: whole, and cut in two; they must agree.
class RequestBytes {
 public:
  static Corpus corpus() {
    return {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
         "PUT /v1/links/a?wait=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / ",
         "POST /v1/links/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
         "3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
         "GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: Bearer xyz\r\n\r\n",
         "PUT /v1/links/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
         "0\r\n\r\n"},
        {"Content-Length: ",
         "Transfer-Encoding: ",
         "chunked",
         "gzip, chunked",
         "\r\n",
         "\r\n\r\n",
         "\n",
         " ",
         "\t",
         ":",
         ",",
         "+5",
         "-1",
         "0x5",
         "ffffffffffffffff",
         "18446744073709551616",
         "Host: b\r\n",
         "HTTP/1.0",
         "HTTP/2.0",
         "Connection: close\r\n",
         "0\r\n\r\n",
         std::string(1, '\0'),
         "Expect: 100-continue\r\n",
         "Origin: http://b\r\n"},
        600};
  }

  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const Outcome whole = parse(input, input.size(), tally);
    tally.count(whole.stage == http::ParseStage::kDone ? Answer::kDone : Answer::kRefused);
    if (input.size() > 1) {
      const Outcome cut = parse(input, 1 + input[0] % (input.size() - 1), tally);
      const bool agree = whole.stage == cut.stage && whole.body == cut.body &&
                         (whole.stage != http::ParseStage::kDone || whole.used == cut.used);
      // What is refused as a whole may be found out a little later in pieces, and never the other
      // way round.
      tally.expect(
          agree || whole.stage == http::ParseStage::kBad || cut.stage == http::ParseStage::kBad,
          "the same bytes are another request when they come in pieces");
    }
    if (whole.stage != http::ParseStage::kDone) return;
    tally.expect(whole.used <= input.size(), "more bytes read than there are");
    tally.expect(whole.body.size() <= input.size(), "more body than there are bytes");
  }

 private:
  struct Outcome {
    http::ParseStage stage = http::ParseStage::kHead;
    std::string body;
    std::size_t used = 0;
  };

  static Outcome parse(std::span<const std::uint8_t> input, std::size_t piece, Tally& tally) {
    http::RequestParser parser;
    Outcome outcome;
    const auto is_over = [&] {
      return parser.stage() == http::ParseStage::kBad || parser.stage() == http::ParseStage::kDone;
    };
    for (std::size_t end = 0; end < input.size() && !is_over();) {
      end = std::min(input.size(), end + piece);
      for (;;) {
        const auto there = std::as_bytes(input).subspan(outcome.used, end - outcome.used);
        std::array<std::byte, 64> room{};
        std::size_t used = 0;
        std::size_t count = 0;
        if (parser.stage() == http::ParseStage::kHead) {
          used = parser.read_head(there);
        } else if (parser.stage() == http::ParseStage::kBody) {
          used = parser.read_body(there, room, count);
        }
        tally.expect(used <= there.size() && count <= room.size(), "beyond what was given");
        outcome.body.append(reinterpret_cast<const char*>(room.data()), count);
        outcome.used += used;
        if ((used == 0 && count == 0) || is_over()) break;
      }
    }
    outcome.stage = parser.stage();
    const http::RequestHead& head = parser.head();
    if (outcome.stage == http::ParseStage::kDone) {
      tally.expect(!(head.is_chunked && head.has_length), "a length and chunks");
      tally.expect(!head.has_length || outcome.body.size() == head.content_length,
                   "another body than the length says");
    }
    if (outcome.stage == http::ParseStage::kBad) {
      const http::Refusal& refusal = parser.refusal();
      tally.expect(refusal.status >= 400 && refusal.status < 600 && !refusal.what.empty(),
                   "refused without a word");
      const std::string text = http::error_body(refusal);
      tally.expect(std::all_of(text.begin(), text.end(),
                               [](char letter) { return letter == '\n' || letter >= ' '; }),
                   "an error that is no text");
    }
    return outcome;
  }
};

class RouteParser {
 public:
  static Corpus corpus() {
    return {{"GET /v1/links/a?wait=1.5&max=7&follow=1&keep=0", "PUT /v1/links/%61.b?end=1&wait=0",
             "GET /", "HEAD /metrics?x", "GET http://h:1/v1/links", "POST /v1/links/a"},
            {"wait=",
             "max=",
             "follow=",
             "keep=",
             "end=",
             "&",
             "?",
             "%",
             "%2e",
             "%00",
             "..",
             "/",
             "1e9",
             "nan",
             "inf",
             "-1",
             "301",
             "0x1",
             "18446744073709551616",
             "http://",
             "https://"},
            200};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    const std::size_t blank = text.find(' ');
    http::RequestHead head;
    head.method = text.substr(0, blank);
    head.target = blank == std::string_view::npos ? "" : text.substr(blank + 1);
    const auto answer = http::route(head);
    const auto* const call = std::get_if<http::Call>(&answer);
    tally.count(call != nullptr ? Answer::kDone : Answer::kRefused);
    if (call == nullptr) {
      const auto& refusal = std::get<http::Refusal>(answer);
      tally.expect(refusal.status >= 400 && !refusal.what.empty() && !refusal.remedy.empty(),
                   "refused without a word");
      return;
    }
    tally.expect(call->wait_ns <= http::kWaitSecondsMax * 1'000'000'000, "waits for too long");
    tally.expect(call->piece_bytes >= 1 && call->piece_bytes <= http::kPieceBytesMax,
                 "a piece of no size");
    tally.expect(call->resource != http::Resource::kLink || is_segment_name(call->link),
                 "a link that can be none");
    tally.expect(!call->puts || !(call->follows || call->keeps), "puts and takes");
  }
};

class TokenParser {
 public:
  static constexpr std::string_view kToken = "0123456789abcdef";
  static Corpus corpus() {
    return {{"Bearer 0123456789abcdef", "Bearer 0123456789abcdeg", "Basic 0123456789abcdef"},
            {"Bearer ", "0", "0123456789abcdef", " "},
            80};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    http::RequestHead head;
    head.host = "h";
    head.authorization = text;
    const bool passes = !http::refuse_access({std::string(kToken), false}, head, false).has_value();
    tally.count(passes ? Answer::kDone : Answer::kRefused);
    tally.expect(passes == (text == "Bearer " + std::string(kToken)), "another token is taken");
  }
};

constexpr std::array<TargetInfo, 3> kTargets{{
    {"http_request", TargetKind::kParser,
     "at most 600 bytes parsed as a request over HTTP, whole and in pieces",
     make_target<ParserTarget<RequestBytes>>},
    {"http_route", TargetKind::kParser, "a method and a target of at most 200 bytes taken apart",
     make_target<ParserTarget<RouteParser>>},
    {"http_token", TargetKind::kParser, "at most 80 bytes judged as a credential",
     make_target<ParserTarget<TokenParser>>},
}};

}  // namespace

std::span<const TargetInfo> http_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz
