// What is a request and what is none, row by row, in one piece and byte by byte.
#include "pipelines/http/request_parser.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace slipring::http {
namespace {

struct Outcome {
  ParseStage stage;
  int status;
  std::string body;
  std::size_t left;  // bytes behind the request
};

// Feeds `text` in pieces of `piece` bytes, into rooms of four.
Outcome parse(const std::string& text, std::size_t piece) {
  RequestParser parser;
  std::string body;
  std::size_t begin = 0;
  const auto is_over = [&] {
    return parser.stage() == ParseStage::kBad || parser.stage() == ParseStage::kDone;
  };
  for (std::size_t end = 0; end < text.size() && !is_over();) {
    end = std::min(text.size(), end + piece);
    for (;;) {
      const auto there = std::as_bytes(std::span(text)).subspan(begin, end - begin);
      std::size_t used = 0;
      std::size_t count = 0;
      std::array<std::byte, 4> room{};
      if (parser.stage() == ParseStage::kHead) {
        used = parser.read_head(there);
      } else if (parser.stage() == ParseStage::kBody) {
        used = parser.read_body(there, room, count);
      }
      REQUIRE(used <= there.size());
      body.append(reinterpret_cast<const char*>(room.data()), count);
      begin += used;
      if ((used == 0 && count == 0) || is_over()) break;
    }
  }
  return {parser.stage(), parser.refusal().status, body, text.size() - begin};
}

std::string with(const std::string& fields, const std::string& body = "") {
  return "PUT /v1/links/a HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

struct Row {
  const char* what;
  std::string text;
  int status;  // 0: a request
  std::string body = "";
  std::size_t left = 0;
};

const std::vector<Row> kRows = {
    {"nothing but a line", "GET / HTTP/1.0\r\n\r\n", 0},
    {"the usual", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
    {"a length", with("Content-Length: 5\r\n", "hello"), 0, "hello"},
    {"two requests in one piece", with("Content-Length: 5\r\n", "helloGET"), 0, "hello", 3},
    {"an empty body", with("Content-Length: 0\r\n"), 0},
    {"chunks", with("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\nGET"),
     0, "helloabc", 3},
    {"a trailer", with("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nX: y\r\n\r\n"), 0, "a"},
    {"an expectation", with("Expect: 100-continue\r\nContent-Length: 1\r\n", "a"), 0, "a"},
    {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"two lengths, unlike", with("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400},
    {"two lengths, alike", with("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
    {"a list of lengths", with("Content-Length: 5, 5\r\n", "hello"), 400},
    {"a length with a sign", with("Content-Length: +5\r\n", "hello"), 400},
    {"a negative length", with("Content-Length: -1\r\n", "hello"), 400},
    {"a length in hexadecimal", with("Content-Length: 0x5\r\n", "hello"), 400},
    {"a length beyond 64 bits", with("Content-Length: 99999999999999999999\r\n"), 400},
    {"an empty length", with("Content-Length: \r\n"), 400},
    {"a length and chunks",
     with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"chunks and a length",
     with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400},
    {"chunks twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
    {"another encoding", with("Transfer-Encoding: gzip\r\n", "hello"), 501},
    {"another encoding, chunked", with("Transfer-Encoding: gzip, chunked\r\n"), 501},
    {"chunked, then identity", with("Transfer-Encoding: chunked, identity\r\n"), 501},
    {"an unknown encoding", with("Transfer-Encoding: xchunked\r\n"), 501},
    {"chunks for HTTP/1.0",
     "PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
    {"a blank before the colon", with("Transfer-Encoding : chunked\r\n"), 400},
    {"a control character in a name", with("Content\x01Length: 5\r\n"), 400},
    {"a zero byte in a value", with(std::string("X: a\0b\r\n", 8)), 400},
    {"a bare carriage return", "GET / HTTP/1.1\rHost: a\r\n\r\n", 505},
    {"another expectation", with("Expect: more\r\nContent-Length: 1\r\n", "a"), 417},
    {"HTTP/2", "GET / HTTP/2.0\r\n\r\n", 505},
    {"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a method with a bracket", "G<T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"TLS where none is spoken", "\x16\x03\x01\x02\x00\x01\x00", 400},
    {"a chunk that is no number", with("Transfer-Encoding: chunked\r\n", "z\r\nhello\r\n"), 400},
    {"a chunk beyond 64 bits",
     with("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\nhello\r\n"), 400},
    {"a chunk without its end", with("Transfer-Encoding: chunked\r\n", "5\r\nhelloX\r\n0\r\n\r\n"),
     400},
    {"a head without end", "GET / HTTP/1.1\r\nX: " + std::string(9000, 'x'), 431},
    {"a target without end", "GET /" + std::string(3000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n",
     414},
};

TEST_CASE("request_parser: every row is what it is, in one piece and byte by byte") {
  for (const Row& row : kRows) {
    for (const std::size_t piece : {row.text.size(), std::size_t{1}, std::size_t{7}}) {
      CAPTURE(row.what);
      CAPTURE(piece);
      const Outcome outcome = parse(row.text, piece);
      CHECK(outcome.status == row.status);
      if (row.status == 0) {
        CHECK(outcome.stage == ParseStage::kDone);
        CHECK(outcome.body == row.body);
        if (piece == row.text.size()) CHECK(outcome.left == row.left);
      } else {
        CHECK(outcome.stage == ParseStage::kBad);
      }
    }
  }
}

TEST_CASE("request_parser: a part of a request is not one yet") {
  const std::string whole = with("Content-Length: 5\r\n", "hello");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const ParseStage stage = parse(whole.substr(0, size), 1000).stage;
    CHECK((stage == ParseStage::kHead || stage == ParseStage::kBody));
  }
}

TEST_CASE("request_parser: the head says what was asked") {
  const std::string text =
      "POST /v1/links/a?wait=1 HTTP/1.1\r\nHost: b:80\r\nAuthorization: Bearer x\r\nOrigin: "
      "http://c\r\n"
      "Sec-Fetch-Site: cross-site\r\nConnection: close\r\nContent-Length: 3\r\n\r\n";
  RequestParser parser;
  CHECK(parser.read_head(std::as_bytes(std::span(text))) == text.size());
  const RequestHead& head = parser.head();
  CHECK(head.method == "POST");
  CHECK(head.target == "/v1/links/a?wait=1");
  CHECK(head.host == "b:80");
  CHECK(head.authorization == "Bearer x");
  CHECK(head.origin == "http://c");
  CHECK(head.fetch_site == "cross-site");
  CHECK_FALSE(head.keeps_alive);
  CHECK(head.has_length);
  CHECK(head.content_length == 3);
}

}  // namespace
}  // namespace slipring::http
