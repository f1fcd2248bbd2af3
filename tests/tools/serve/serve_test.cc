// The whole program, with curl at the other end.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "tests/pipelines/http/http_fixture.h"
#include "tests/tools/command_fixture.h"

namespace slipring::tools {
namespace {

struct Said {
  int status;
  std::string text;
};

Said shell(const std::string& command) {
  FILE* stream = popen(("{ " + command + " ; } 2>&1").c_str(), "r");
  REQUIRE(stream != nullptr);
  std::string text;
  for (int letter = fgetc(stream); letter != EOF; letter = fgetc(stream)) {
    text += static_cast<char>(letter);
  }
  return {pclose(stream), text};
}

std::string read_all(int fd) {
  std::string text(65536, '\0');
  const ssize_t got = pread(fd, text.data(), text.size(), 0);
  return text.substr(0, got > 0 ? static_cast<std::size_t>(got) : 0);
}

// A running server; killed with the object if it still runs.
class Serving {
 public:
  Serving(const CommandFixture& fixture, std::vector<std::string> words = {})
      : fixture_(fixture), running_(start(fixture, std::move(words))) {
    // Its first line says where it listens.
    while (url_.empty()) {
      const std::string said = read_all(running_->out.get());
      if (said.find('\n') != std::string::npos) {
        url_ = nlohmann::json::parse(said.substr(0, said.find('\n'))).at("url");
      } else {
        REQUIRE_MESSAGE(!running_->peer.reap(0).value(), read_all(running_->err.get()));
      }
    }
  }
  ~Serving() {
    if (running_) static_cast<void>(end(SIGKILL));
  }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  Ending end(int signal_number) {
    REQUIRE(running_->peer.send_signal(signal_number).ok());
    Ending ending = fixture_.finish(std::move(*running_));
    running_.reset();
    return ending;
  }
  // curl's output; -s, but errors are shown.
  [[nodiscard]] std::string curl(const std::string& words) const {
    return shell("curl -sS --max-time 60 " + words).text;
  }
  // "127.0.0.1:8080"
  [[nodiscard]] std::string address() const { return url_.substr(7, url_.size() - 8); }
  [[nodiscard]] std::string url(const std::string& path) const { return "'" + url_ + path + "'"; }
  [[nodiscard]] std::string status(const std::string& words) const {
    return curl("-o /dev/null -w '%{http_code}' " + words);
  }

 private:
  static Running start(const CommandFixture& fixture, std::vector<std::string> words) {
    std::vector<std::string> all = {"serve", "--json"};
    if (std::find(words.begin(), words.end(), "--listen") == words.end()) {
      all.insert(all.end(), {"--listen", "0"});
    }
    all.insert(all.end(), words.begin(), words.end());
    return fixture.start(all);
  }

  const CommandFixture& fixture_;
  std::optional<Running> running_;
  std::string url_;
};

std::string in_memory(const CommandFixture& fixture, const std::string& name) {
  return fixture.path() + "." + name;
}

// A file beside the segment directory, gone with the object.
struct OutsideFile {
  OutsideFile(const CommandFixture& fixture, const std::string& name, const std::string& text)
      : path(in_memory(fixture, name)) {
    std::ofstream(path) << text;
    REQUIRE(chmod(path.c_str(), 0600) == 0);
  }
  ~OutsideFile() { unlink(path.c_str()); }
  OutsideFile(const OutsideFile&) = delete;
  OutsideFile& operator=(const OutsideFile&) = delete;
  std::string path;
};

TEST_CASE("serve: curl puts, takes, waits, and is told what is wrong") {
  const CommandFixture fixture;
  fixture.make_records("log", 1 << 20);
  Serving serving(fixture);
  CHECK(serving.status("-d hello " + serving.url("v1/links/log")) == "204");
  CHECK(serving.status("-T /etc/passwd " + serving.url("v1/links/log")) == "204");
  CHECK(shell("cat /etc/passwd | curl -sS -T - " + serving.url("v1/links/log")).status == 0);
  CHECK(serving.curl(serving.url("v1/links/log")) == "hello");
  CHECK(serving.curl(serving.url("v1/links/log")) == shell("cat /etc/passwd").text);
  CHECK(serving.curl("--http1.0 " + serving.url("v1/links/log")) == shell("cat /etc/passwd").text);
  CHECK(serving.status(serving.url("v1/links/log")) == "204");
  const auto fault = nlohmann::json::parse(serving.curl(serving.url("v1/links/lgo")));
  CHECK(fault.at("error").at("status") == 404);
  CHECK(serving.status("-X DELETE " + serving.url("v1/links/log")) == "405");
  CHECK(serving.status("--path-as-is " + serving.url("v1/links/../../etc/passwd")) == "404");
  const Ending ending = serving.end(SIGTERM);
  CHECK(ending.signal_number == SIGTERM);
  CHECK(ending.err == "");
}

TEST_CASE("serve: curl sends to a mailbox, and takes what others sent") {
  const CommandFixture fixture;
  REQUIRE(fixture.call({"create", "box", "--kind", "mailbox"}).exit_status == 0);
  Serving serving(fixture);
  CHECK(serving.status("-d hello " + serving.url("v1/links/box")) == "204");
  CHECK(shell("echo local | SLIPRING_DIR=" + fixture.path() +
              " tools/slipring put box --lines --no-wait")
            .status == 0);
  CHECK(serving.curl(serving.url("v1/links/box")) == "hello");
  CHECK(serving.curl(serving.url("v1/links/box")) == "local");
  CHECK(serving.status(serving.url("v1/links/box")) == "204");
  const auto fault = nlohmann::json::parse(serving.curl(serving.url("v1/links/box?follow=1")));
  CHECK(fault.at("error").at("status") == 422);
}

TEST_CASE("serve: the list is what stat says, the metrics count, and the page stands alone") {
  const CommandFixture fixture;
  fixture.make_records("log");
  Serving serving(fixture);
  CHECK(serving.status("-d hello " + serving.url("v1/links/log")) == "204");
  const auto list = nlohmann::json::parse(serving.curl(serving.url("v1/links")));
  CHECK(list.at("schema") == 1);
  CHECK(list.at("links")[0].at("name") == "log");
  CHECK(list.at("links")[0].at("writer").at("messages") == 1);
  const std::string metrics = serving.curl("-i " + serving.url("metrics"));
  CHECK(contains(metrics, "Content-Type: text/plain; version=0.0.4"));
  CHECK(contains(metrics, "slipring_link_messages_total{link=\"log\",end=\"writer\"} 1\n"));
  CHECK(contains(metrics, "slipring_http_requests_total "));
  const std::string page = serving.curl("-i " + serving.url(""));
  CHECK(contains(page, "Content-Security-Policy: default-src 'none'"));
  CHECK(contains(page, "</html>"));
  for (const char* elsewhere : {"src=", "href=", "@import", "url("}) {
    CAPTURE(elsewhere);
    CHECK_FALSE(contains(page, elsewhere));
  }
}

TEST_CASE("serve: a killed server's unconfirmed message comes again from its successor, marked") {
  const CommandFixture fixture;
  fixture.make_records("log");
  {
    Serving serving(fixture);
    CHECK(serving.status("-d one " + serving.url("v1/links/log")) == "204");
    CHECK(serving.status("-d two " + serving.url("v1/links/log")) == "204");
    http::RawClient client(serving.address());
    client.send(http::get("/v1/links/log"));
    CHECK(client.read(12) == "HTTP/1.1 200");
    CHECK(serving.end(SIGKILL).signal_number == SIGKILL);
  }
  Serving next(fixture);
  const std::string again = next.curl("-i " + next.url("v1/links/log?wait=60"));
  CHECK(contains(again, "Slipring-Redelivered: 1\r\n"));
  CHECK(again.ends_with("one"));
  const std::string last = next.curl("-i " + next.url("v1/links/log?wait=60"));
  CHECK_FALSE(contains(last, "Slipring-Redelivered"));
  CHECK(last.ends_with("two"));
}

TEST_CASE("serve: streams between curl and the other commands, both ways, byte for byte") {
  const CommandFixture fixture;
  Serving serving(fixture);
  const OutsideFile data(fixture, "data", std::string(3'000'000, 'x') + "end");
  const std::string environment = "SLIPRING_DIR=" + fixture.path() + " tools/slipring ";
  const std::string create = environment + "create s --kind stream --capacity 64KiB > /dev/null; ";
  const std::string compare = " | cmp - " + data.path;
  CHECK(shell(create + "curl -sS -T " + data.path + " " + serving.url("v1/links/s?end=1") + " & " +
              environment + "get s" + compare)
            .text == "");
  CHECK(shell(create + environment + "put s < " + data.path +
              " & sleep 0; curl -sS --retry 20 "
              "--retry-all-errors --retry-delay 1 -f " +
              serving.url("v1/links/s?follow=1") + compare)
            .text == "");
  CHECK(shell(create + "curl -sS -T " + data.path + " " + serving.url("v1/links/s?end=1") +
              " & curl -sS --retry 20 --retry-all-errors --retry-delay 1 -f " +
              serving.url("v1/links/s?follow=1") + compare)
            .text == "");
}

TEST_CASE("serve: a token, and what is refused without") {
  const CommandFixture fixture;
  fixture.make_records("log");
  const std::string token = "0123456789abcdef0123456789abcdef";
  const OutsideFile file(fixture, "token", token + "\n");
  Serving serving(fixture, {"--token-file", file.path});
  CHECK(serving.status(serving.url("metrics")) == "401");
  CHECK(serving.status(serving.url("")) == "200");
  CHECK(serving.status("--oauth2-bearer " + token + " " + serving.url("metrics")) == "200");
  CHECK(serving.status("--oauth2-bearer " + token + "x " + serving.url("metrics")) == "401");
}

TEST_CASE("serve: beyond this machine only with a token, and TLS unless told") {
  const CommandFixture fixture;
  const OutsideFile token(fixture, "token", "0123456789abcdef0123456789abcdef\n");
  struct Row {
    std::vector<std::string> words;
    int exit_status;
    const char* says;
  };
  const std::vector<Row> rows = {
      {{"--listen", "0.0.0.0:0"}, 2, "--token-file"},
      {{"--listen", "[::]:0"}, 2, "--token-file"},
      {{"--listen", "0.0.0.0:0", "--plain"}, 2, "--token-file"},
      {{"--listen", "0.0.0.0:0", "--token-file", token.path}, 2, "--plain"},
      {{"--listen", "127.0.0.1:http"}, 2, "HOST:PORT"},
      {{"--listen", "127.0.0.1:65536"}, 2, "HOST:PORT"},
      {{"--listen", "no.such.host.invalid:80"}, 2, "cannot listen"},
      {{"--token-file", "/nowhere"}, 2, "/nowhere"},
      {{"--token-file", "/etc/passwd"}, 2, "others may read it"},
      {{"--tls-key", "k"}, 2, "--tls-certificate"},
      {{"--tls-key", "k", "--tls-certificate", "c", "--tls-authority", "a"}, 2, "TLS: "},
      {{"--max-body", "0"}, 2, "--max-body"},
      {{"--max-body", "1GiB"}, 2, "--max-body"},
      {{"--connections", "0"}, 2, "--connections"},
      {{"--hold", "x"}, 2, "--hold"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.words.back());
    std::vector<std::string> words = {"serve"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const Ending ending = fixture.call(words);
    CHECK(ending.exit_status == row.exit_status);
    CHECK(ending.out == "");
    CHECK(contains(ending.err, row.says));
  }
  Serving plain(fixture, {"--token-file", token.path, "--plain", "--listen", "0.0.0.0:0"});
}

TEST_CASE("serve: TLS with certificates on both sides") {
  const CommandFixture fixture;
  fixture.make_records("log");
  const std::string folder = fixture.path() + ".tls";
  REQUIRE(shell("mkdir -m 700 " + folder + " && cd " + folder +
                " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                "-subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null && "
                "for who in server client; do openssl req -newkey ec -pkeyopt "
                "ec_paramgen_curve:P-256 -nodes -subj /CN=$who -keyout $who.key -out $who.csr "
                "2>/dev/null && printf 'subjectAltName=IP:127.0.0.1' | openssl x509 -req -in "
                "$who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile /dev/stdin "
                "-out $who.pem 2>/dev/null || exit 1; done && chmod 600 *.key")
              .status == 0);
  {
    Serving serving(fixture, {"--tls-certificate", folder + "/server.pem", "--tls-key",
                              folder + "/server.key", "--tls-authority", folder + "/ca.pem"});
    const std::string trust = "--cacert " + folder + "/ca.pem ";
    const std::string proof =
        trust + "--cert " + folder + "/client.pem --key " + folder + "/client.key ";
    CHECK(serving.status(proof + "-d hello " + serving.url("v1/links/log")) == "204");
    CHECK(serving.curl(proof + serving.url("v1/links/log")) == "hello");
    CHECK(serving.status(proof + serving.url("v1/links/log")) == "204");
    CHECK(serving.status(trust + serving.url("")).ends_with("000"));
    CHECK(serving.status(proof + serving.url("metrics")) == "200");
  }
  static_cast<void>(shell("rm -r " + folder));
}

}  // namespace
}  // namespace slipring::tools
