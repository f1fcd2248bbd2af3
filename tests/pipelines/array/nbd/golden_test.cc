// The same words, good and malformed, to our server and to nbdkit: what they answer is compared,
// and where they differ the table says why.

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

// What a server answers, in words that two servers can have in common.
using Case = std::function<std::string(NbdClient&)>;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Replies to one option, up to the one that ends it.  Words that explain an error are not compared.
std::string option_answer(NbdClient& client) {
  std::string all;
  for (;;) {
    const std::optional<OptionReplyText> reply = client.option_reply();
    if (!reply) return all + "hang-up";
    const bool is_error = (reply->kind >> 31) != 0;
    if (is_error) return all + "error " + std::to_string(reply->kind & 0x7fffffff);
    if (reply->kind == 1) return all + "ack";
    all += std::to_string(reply->kind);
    // Of INFO_EXPORT the size, and of a block size all but what is a server's own choice.
    const std::uint64_t info = big_endian_number(reply->data.substr(0, 2));
    if (reply->kind == 3 && info == 0) all += " size " + hex(reply->data.substr(2, 8));
    if (reply->kind == 3 && info != 0) all += " info " + std::to_string(info);
    if (reply->kind == 4) all += " " + reply->data.substr(4);
    all += ", ";
  }
}

Case option(std::uint32_t number, std::string data, bool structured_first = false) {
  return [=](NbdClient& client) -> std::string {
    if (!client.greet()) return "no greeting";
    if (structured_first) {
      if (!client.send(option_text(8, ""))) return "hang-up";
      if (option_answer(client) != "ack") return "no structured replies";
    }
    if (!client.send(option_text(number, data))) return "hang-up";
    const std::string answer = option_answer(client);
    // Whether one may go on afterwards.
    if (!client.send(option_text(99, ""))) return answer + ", then hang-up";
    return answer + ", then " + option_answer(client);
  };
}

// Raw bytes in place of an option; what comes back before the server hangs up.
Case raw(std::string bytes, std::size_t expected_bytes) {
  return [=](NbdClient& client) -> std::string {
    if (!client.receive(18) || !client.send(bytes)) return "hang-up";
    const std::optional<std::string> answer = client.receive(expected_bytes);
    return answer ? std::to_string(answer->size()) + " bytes" : "hang-up";
  };
}

struct Request {
  std::uint16_t command;
  std::uint16_t flags;
  std::uint64_t offset;
  std::uint32_t length;
  std::size_t payload_bytes = 0;
};

std::string reply_answer(NbdClient& client) {
  const std::optional<NbdReply> reply = client.next_reply();
  if (!reply) return "hang-up";
  if (reply->error != 0) return "error " + std::to_string(reply->error);
  std::string text = "ok";
  std::size_t bytes = 0;
  for (const auto& [offset, data] : reply->data) bytes += data.size();
  if (bytes != 0) text += " " + std::to_string(bytes);
  if (!reply->extents.empty()) text += " extents";
  return text;
}

Case request(bool is_structured, Request what) {
  return [=](NbdClient& client) -> std::string {
    if (!client.enter("", is_structured)) return "no transmission";
    const bool sent = client.request(what.command, what.flags, 7, what.offset, what.length,
                                     std::string(what.payload_bytes, 'p'));
    if (!sent) return "hang-up";
    const std::string answer = reply_answer(client);
    if (answer == "hang-up") return answer;
    if (!client.request(3, 0, 8, 0, 0)) return answer + ", then hang-up";
    return answer + ", then " + reply_answer(client);
  };
}

constexpr std::uint64_t kSize = 32U << 20;

std::map<std::string, Case> option_cases() {
  std::map<std::string, Case> cases = {
      {"LIST", option(3, "")},
      {"LIST with data", option(3, "x")},
      {"unknown option", option(77, "")},
      {"unknown option with data", option(77, "some data")},
      {"INFO", option(6, go_data(""))},
      {"INFO of everything", option(6, go_data("", {0, 1, 2, 3, 4, 99}))},
      {"INFO of another export", option(6, go_data("nothing"))},
      {"INFO without data", option(6, "")},
      {"INFO cut in its name", option(6, std::string("\0\0\0\5ab", 6))},
      {"INFO cut in its list", option(6, std::string("\0\0\0\0\0\2\0\1", 8))},
      {"INFO with more than it says", option(6, go_data("") + "x")},
      {"INFO with a name of 4 GiB", option(6, std::string("\xff\xff\xff\xff\0\0", 6))},
      {"STRUCTURED_REPLY", option(8, "")},
      {"STRUCTURED_REPLY with data", option(8, "x")},
      {"STRUCTURED_REPLY twice", option(8, "", true)},
      {"SET_META_CONTEXT too early", option(10, context_data("", {"base:allocation"}))},
      {"SET_META_CONTEXT", option(10, context_data("", {"base:allocation"}), true)},
      {"SET_META_CONTEXT of nothing", option(10, context_data("", {}), true)},
      {"SET_META_CONTEXT unknown", option(10, context_data("", {"x:y"}), true)},
      {"SET_META_CONTEXT of a namespace", option(10, context_data("", {"base:"}), true)},
      {"SET_META_CONTEXT cut",
       option(10, context_data("", {"base:allocation"}).substr(0, 15), true)},
      {"SET_META_CONTEXT with more than it says",
       option(10, context_data("", {"base:allocation"}) + "x", true)},
      {"LIST_META_CONTEXT", option(9, context_data("", {}), true)},
      {"LIST_META_CONTEXT of a namespace", option(9, context_data("", {"base:"}), true)},
      {"LIST_META_CONTEXT unknown", option(9, context_data("", {"x:"}), true)},
      {"STARTTLS", option(5, "")},
      {"option of 8 MiB", option(77, std::string(8 << 20, 'x'))},
      {"EXPORT_NAME with zeroes", raw(Wire().u32(1).text(option_text(1, "")).bytes(), 134)},
      {"EXPORT_NAME without", raw(Wire().u32(3).text(option_text(1, "")).bytes(), 10)},
      {"unknown client flags", raw(Wire().u32(0x80).text(option_text(3, "")).bytes(), 20)},
      {"wrong option magic", raw(Wire().u32(3).text("IHAVENOT").u32(3).u32(0).bytes(), 20)},
  };
  return cases;
}

std::map<std::string, Case> request_cases() {
  const std::map<std::string, Request> requests = {
      {"read", {0, 0, 4096, 8192}},
      {"read of one byte", {0, 0, 511, 1}},
      {"read of 8 MiB", {0, 0, 0, 8U << 20}},
      {"read of nothing", {0, 0, 0, 0}},
      {"read over the end", {0, 0, kSize - 512, 1024}},
      {"read beyond the end", {0, 0, kSize + 512, 512}},
      {"read at the end of numbers", {0, 0, UINT64_MAX - 511, 1024}},
      {"read of more than is allowed", {0, 0, 0, 65U << 20}},
      {"read with DF", {0, 4, 0, 65536}},
      {"read with a flag of others", {0, 2, 0, 512}},
      {"write", {1, 0, 4096, 8192, 8192}},
      {"write with FUA", {1, 1, 4096, 512, 512}},
      {"write of 3 MiB", {1, 0, 4096, 3U << 20, 3U << 20}},
      {"write of nothing", {1, 0, 0, 0}},
      {"write over the end", {1, 0, kSize - 512, 1024, 1024}},
      {"write beyond the end", {1, 0, kSize + 512, 512, 512}},
      {"write with a flag of others", {1, 2, 0, 512, 512}},
      {"write with an unknown flag", {1, 0x4000, 0, 512, 512}},
      {"flush", {3, 0, 0, 0}},
      {"flush with an offset", {3, 0, 512, 0}},
      {"flush with a length", {3, 0, 0, 512}},
      {"trim", {4, 0, 65536, 65536}},
      {"trim with FUA", {4, 1, 65536, 65536}},
      {"trim over the end", {4, 0, kSize - 512, 1024}},
      {"trim of nothing", {4, 0, 0, 0}},
      {"cache", {5, 0, 0, 65536}},
      {"cache over the end", {5, 0, kSize - 512, 1024}},
      {"zeroes", {6, 0, 65536, 65536}},
      {"zeroes with FUA and without a hole", {6, 3, 65536, 65536}},
      // Fast zeroes are compared by clients:fast_zero_test: of them its file plug-in dies.
      {"zeroes over the end", {6, 0, kSize - 512, 1024}},
      {"zeroes of nothing", {6, 0, 0, 0}},
      {"block status", {7, 0, 0, 1U << 20}},
      {"block status, one extent", {7, 8, 0, 1U << 20}},
      {"block status over the end", {7, 0, kSize - 512, 1024}},
      {"block status of nothing", {7, 0, 0, 0}},
      {"unknown command", {77, 0, 0, 0}},
  };
  std::map<std::string, Case> cases;
  for (const auto& [name, what] : requests) {
    cases[name + " (simple)"] = request(false, what);
    cases[name + " (structured)"] = request(true, what);
  }
  cases["wrong request magic"] = [](NbdClient& client) -> std::string {
    if (!client.enter("", false)) return "no transmission";
    std::string text = request_text(0, 0, 1, 0, 512);
    text[0] = 'x';
    return client.send(text) && !client.is_hung_up_on() ? "goes on" : "hang-up";
  };
  cases["disconnect"] = [](NbdClient& client) -> std::string {
    if (!client.enter("", false)) return "no transmission";
    return client.request(2, 0, 1, 0, 0) && client.is_hung_up_on() ? "hang-up" : "goes on";
  };
  return cases;
}

// Where we differ, and why.
const std::map<std::string, std::string>& stated_differences() {
  static const std::map<std::string, std::string> kDifferences = {
      {"INFO of another export", "its file plug-in takes any name; ours has those that it lists"},
      {"INFO of everything", "it says block sizes only where a plug-in knows them"},
      {"SET_META_CONTEXT with more than it says", "it passes over what follows the queries"},
      {"STARTTLS", "forbidden by policy there, unknown here"},
      {"option of 8 MiB", "it reads past any length; we hang up beyond 1 MiB"},
      {"write of nothing (simple)", "the protocol leaves it open: ENOSPC there, EINVAL here"},
      {"write of nothing (structured)", "as above"},
      {"zeroes of nothing (simple)", "as above"},
      {"zeroes of nothing (structured)", "as above"},
  };
  return kDifferences;
}

TEST_CASE("golden: our answers are nbdkit's, but for what is stated") {
  const ServedArray array;
  const SocketFolder folder;
  REQUIRE(shell("truncate -s 32M " + folder.file("disk")) == 0);
  const Process nbdkit({"/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "nbdkit", "-f", "-U",
                        folder.socket(), "file", folder.file("disk")},
                       folder.file("log"), {});
  std::map<std::string, Case> cases = option_cases();
  cases.merge(request_cases());
  std::size_t equal_count = 0;
  for (const auto& [name, say] : cases) {
    std::optional<NbdClient> ours = NbdClient::connect(array.socket());
    std::optional<NbdClient> theirs = NbdClient::connect(folder.socket());
    REQUIRE(ours.has_value());
    REQUIRE_MESSAGE(theirs.has_value(), contents(folder.file("log")));
    const std::string our_answer = say(*ours);
    const std::string their_answer = say(*theirs);
    const auto stated = stated_differences().find(name);
    if (stated == stated_differences().end()) {
      CHECK_MESSAGE(our_answer == their_answer, name, ": ", our_answer, " | ", their_answer);
    } else {
      CHECK_MESSAGE(our_answer != their_answer, name, ": no difference any more: ", our_answer);
    }
    equal_count += our_answer == their_answer ? 1U : 0U;
  }
  MESSAGE(cases.size(), " cases, ", equal_count, " answers alike, ", cases.size() - equal_count,
          " differ as stated");
}

}  // namespace
}  // namespace slipring::test
