#include "pipelines/http/access.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

namespace slipring::http {
namespace {

constexpr const char* kToken = "0123456789abcdef0123456789abcdef";

TEST_CASE("access: a token is the same, or it is not") {
  CHECK(is_same_token(kToken, kToken));
  CHECK_FALSE(is_same_token(kToken, ""));
  CHECK_FALSE(is_same_token("", ""));
  CHECK_FALSE(is_same_token(kToken, std::string(kToken) + "0"));
  CHECK_FALSE(is_same_token(kToken, std::string(kToken).substr(1)));
  // A repetition of it is another one.
  CHECK_FALSE(is_same_token(kToken, std::string(kToken) + kToken));
  for (std::size_t i = 0; i < std::string(kToken).size(); ++i) {
    std::string wrong = kToken;
    wrong[i] = static_cast<char>(wrong[i] ^ 1);
    CHECK_FALSE(is_same_token(kToken, wrong));
  }
}

TEST_CASE("access: who may ask") {
  struct Row {
    const char* what;
    AccessRules rules;
    std::string host, authorization, origin, fetch_site;
    bool is_page;
    int status;
  };
  const AccessRules local{"", true};
  const AccessRules open{kToken, false};
  const std::string right = std::string("Bearer ") + kToken;
  const std::vector<Row> rows = {
      {"a program on this machine", local, "127.0.0.1:8080", "", "", "", false, 0},
      {"by another name for it", local, "localhost", "", "", "", false, 0},
      {"by IPv6", local, "[::1]:8080", "", "", "", false, 0},
      {"HTTP/1.0 without a host", local, "", "", "", "", false, 0},
      {"a foreign name made to mean us", local, "evil.example:8080", "", "", "", false, 421},
      {"a name that begins like ours", local, "127.0.0.1.evil.example", "", "", "", false, 421},
      {"our own page", local, "localhost:1", "", "http://localhost:1", "same-origin", false, 0},
      {"a foreign page's script", local, "localhost:1", "", "http://evil", "", false, 403},
      {"a page without an origin", local, "localhost:1", "", "null", "", false, 403},
      {"a foreign page's picture", local, "localhost:1", "", "", "cross-site", false, 403},
      {"typed by a person", local, "localhost:1", "", "", "none", false, 0},
      {"a link to our page", local, "localhost:1", "", "", "cross-site", true, 0},
      {"no token", open, "h", "", "", "", false, 401},
      {"the page needs none", open, "h", "", "", "", true, 0},
      {"a token", open, "h", right, "", "", false, 0},
      {"a wrong token", open, "h", right + "0", "", "", false, 401},
      {"another scheme", open, "h", std::string("Basic ") + kToken, "", "", false, 401},
      {"no scheme", open, "h", kToken, "", "", false, 401},
      {"a token from a foreign page", open, "h", right, "http://evil", "", false, 403},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    RequestHead head;
    head.host = row.host;
    head.authorization = row.authorization;
    head.origin = row.origin;
    head.fetch_site = row.fetch_site;
    const auto refusal = refuse_access(row.rules, head, row.is_page);
    CHECK((refusal ? refusal->status : 0) == row.status);
    // What is told to whoever has no token says nothing of it.
    if (refusal) CHECK(refusal->found.find(kToken) == std::string::npos);
  }
}

TEST_CASE("access: a token file that others may read, or without a token, is refused") {
  std::string path = "/tmp/slipring-token-XXXXXX";
  const int fd = mkstemp(path.data());
  REQUIRE(fd >= 0);
  close(fd);
  const auto read_with = [&](const std::string& text, mode_t mode) {
    std::ofstream(path) << text;
    REQUIRE(chmod(path.c_str(), mode) == 0);
    std::string fault;
    const auto token = read_token_file(path, fault);
    CHECK(token.has_value() == fault.empty());
    return token;
  };
  CHECK(read_with(std::string(kToken) + "\n", 0600) == kToken);
  CHECK(read_with(kToken, 0400) == kToken);
  CHECK_FALSE(read_with(kToken, 0640).has_value());
  CHECK_FALSE(read_with(kToken, 0604).has_value());
  CHECK_FALSE(read_with("short\n", 0600).has_value());
  CHECK_FALSE(read_with("", 0600).has_value());
  CHECK_FALSE(read_with(std::string(kToken) + "\n" + kToken, 0600).has_value());
  CHECK_FALSE(read_with(std::string(600, 'a'), 0600).has_value());
  unlink(path.c_str());
  std::string fault;
  CHECK_FALSE(read_token_file(path, fault).has_value());
  CHECK_FALSE(read_token_file("/tmp", fault).has_value());
}

}  // namespace
}  // namespace slipring::http
