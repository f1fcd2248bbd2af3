#include "pipelines/adapter/client_messages.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/adapter/open_endpoint.h"

namespace slipring {
namespace {

// A listener on a unix socket of its own, and its clients, all in one thread: a send is there when
// it returns.
class Meeting {
 public:
  explicit Meeting(ClientOptions options, std::string_view scheme = "unix://") {
    path_ = "/tmp/slipring-clients-" + std::to_string(getpid());
    unlink(path_.c_str());
    std::string fault;
    listening_ = *parse_endpoint(std::string(scheme) + path_ + "?listen&clients=1", fault);
    calling_ = *parse_endpoint(std::string(scheme) + path_, fault);
    Result<std::unique_ptr<ClientSource>> source = ClientSource::listen(listening_, options);
    REQUIRE(source.ok());
    source_ = std::move(source).value();
  }

  [[nodiscard]] Descriptor connect() const {
    Result<Descriptor> client = open_endpoint(calling_, Direction::kSink);
    REQUIRE(client.ok());
    REQUIRE(fcntl(client->get(), F_SETFL, O_NONBLOCK) == 0);
    return std::move(client).value();
  }
  // All that can be taken now; `ended` says whether that was all for good.
  std::vector<std::string> take() {
    std::vector<std::string> messages;
    for (bool is_held = false;;) {
      std::span<const std::byte> message;
      const Result<Passage> took = source_->try_take(message);
      REQUIRE(took.ok());
      if (took.value() == Passage::kDone) {
        messages.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
        held_.emplace_back(message.begin(), message.end());
        held_at_.push_back(message);
        is_held = true;
        if (held_.size() < 256) continue;
      } else if (!is_held) {
        ended_ = took.value() == Passage::kEnded;
        return messages;
      }
      // What was taken stayed in place.
      for (std::size_t i = 0; i < held_.size(); ++i) {
        REQUIRE(std::equal(held_[i].begin(), held_[i].end(), held_at_[i].begin()));
      }
      held_.clear();
      held_at_.clear();
      source_->finish_taken();
      is_held = false;
    }
  }
  [[nodiscard]] ClientSource& source() { return *source_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  Endpoint listening_;
  Endpoint calling_;
  std::unique_ptr<ClientSource> source_;
  std::vector<std::vector<std::byte>> held_;
  std::vector<std::span<const std::byte>> held_at_;
  bool ended_ = false;
};

void say(const Descriptor& client, std::string_view bytes) {
  REQUIRE(send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
}

// Whether the other side has closed the connection.
bool is_gone(const Descriptor& client) {
  char byte = 0;
  const ssize_t got = recv(client.get(), &byte, 1, MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN);
}

// "who:number:rest": each client's numbers count from 0, and the rest is what belongs to them.
std::string message_of(std::size_t who, std::size_t number) {
  return std::to_string(who) + ":" + std::to_string(number) + ":" +
         std::string(number * 37 % 211, static_cast<char>('a' + who % 26));
}

// The first message that is not what its client's next one should be; empty: none.
std::string first_wrong(const std::vector<std::string>& messages,
                        std::map<std::size_t, std::size_t>& next) {
  for (const std::string& message : messages) {
    const std::size_t who = std::strtoul(message.c_str(), nullptr, 10);
    if (message != message_of(who, next[who])) return message;
    ++next[who];
  }
  return "";
}

TEST_CASE("clients: pieces of three, cut and mixed at every byte, come out as whole messages") {
  Meeting meeting({});
  std::vector<Descriptor> clients;
  std::vector<std::string> streams(3);
  for (std::size_t who = 0; who < 3; ++who) {
    clients.push_back(meeting.connect());
    for (std::size_t number = 0; number < 40; ++number) {
      streams[who] += message_of(who, number) + "\n";
    }
  }
  std::map<std::size_t, std::size_t> next;
  const std::size_t longest = std::max({streams[0].size(), streams[1].size(), streams[2].size()});
  for (std::size_t at = 0; at < longest; ++at) {
    for (std::size_t who = 0; who < 3; ++who) {
      if (at < streams[who].size()) say(clients[who], streams[who].substr(at, 1));
    }
    REQUIRE(first_wrong(meeting.take(), next) == "");
  }
  for (std::size_t who = 0; who < 3; ++who) CHECK(next[who] == 40);
  CHECK_FALSE(meeting.ended());
  clients.clear();
  CHECK(meeting.take().empty());
  CHECK(meeting.ended());
}

TEST_CASE("clients: the check sees what one buffer for all would do") {
  MessageFramer framer(Framing::kLines, 1000);
  std::vector<std::string> streams{message_of(0, 0) + "\n", message_of(1, 0) + "\n"};
  std::vector<std::string> messages;
  for (std::size_t at = 0; at < streams[0].size(); ++at) {
    for (const std::string& stream : streams) {
      framer.room()[0] = static_cast<std::byte>(stream[at]);
      framer.add(1);
      std::span<const std::byte> message;
      const Result<MessageFramer::Cut> cut = framer.next(message);
      REQUIRE(cut.ok());
      if (cut.value() != MessageFramer::Cut::kMessage) continue;
      messages.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
    }
  }
  std::map<std::size_t, std::size_t> next;
  CHECK(first_wrong(messages, next) != "");
}

TEST_CASE("clients: a thousand silent, slow and flooding ones harm nobody, in bounded memory") {
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  REQUIRE(limit.rlim_cur >= 2100);
  ClientOptions options;
  options.client_count = 1100;
  options.max_message_bytes = 1 << 20;
  options.memory_bytes = 4 << 20;
  Meeting meeting(options);
  std::vector<Descriptor> bad;
  for (std::size_t i = 0; i < 1000; ++i) {
    bad.push_back(meeting.connect());
    if (i % 64 == 63) CHECK(meeting.take().empty());
  }
  std::vector<Descriptor> good;
  for (std::size_t i = 0; i < 5; ++i) good.push_back(meeting.connect());
  std::map<std::size_t, std::size_t> next;
  std::uint64_t most_bytes = 0;
  for (std::size_t number = 0; number < 500; ++number) {
    for (std::size_t i = 0; i < bad.size(); ++i) {
      // A third is silent, a third sends a byte now and then, and one in ten floods without an end.
      if (i % 3 == 1 && number % 100 == i % 100) send(bad[i].get(), "x", 1, MSG_NOSIGNAL);
      if (i % 10 == 2) {
        const std::string flood(20'000, 'y');
        send(bad[i].get(), flood.data(), flood.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      }
    }
    for (std::size_t who = 0; who < good.size(); ++who) {
      say(good[who], message_of(who, number) + "\n");
    }
    REQUIRE(first_wrong(meeting.take(), next) == "");
    for (std::size_t who = 0; who < good.size(); ++who) REQUIRE(next[who] == number + 1);
    most_bytes = std::max(most_bytes, meeting.source().memory_bytes());
  }
  CHECK(most_bytes <= options.memory_bytes);
  PumpReport report;
  meeting.source().add_to(report);
  CHECK(report.client_count == 1005);
  CHECK(report.refused_clients > 0);
  MESSAGE("messages: ", 5 * 500, ", memory at most ", most_bytes, " bytes, flooders sent away ",
          report.refused_clients);
}

TEST_CASE("clients: the longest silent one gives way, nobody who has sent something") {
  ClientOptions options;
  options.client_count = 3;
  Meeting meeting(options);
  Descriptor talks = meeting.connect();
  Descriptor silent_first = meeting.connect();
  Descriptor silent_second = meeting.connect();
  say(talks, "x");
  CHECK(meeting.take().empty());
  Descriptor newcomer = meeting.connect();
  CHECK(meeting.take().empty());
  CHECK(is_gone(silent_first));
  CHECK_FALSE(is_gone(silent_second));
  CHECK_FALSE(is_gone(talks));
  say(silent_second, "y");
  say(newcomer, "z\n");
  CHECK(meeting.take() == std::vector<std::string>{"z"});
  // All have sent something: who comes now waits, and is served when one has gone.
  Descriptor waits = meeting.connect();
  say(waits, "patient\n");
  CHECK(meeting.take().empty());
  CHECK(meeting.source().client_count() == 3);
  CHECK_FALSE(is_gone(talks));
  newcomer = Descriptor();
  CHECK(meeting.take() == std::vector<std::string>{"patient"});
  CHECK(meeting.source().displaced_count() == 1);
}

TEST_CASE("clients: who sends too much, or leaves in the middle, is sent away alone") {
  ClientOptions options;
  options.framing = Framing::kFrames;
  options.max_message_bytes = 100;
  Meeting meeting(options);
  Descriptor honest = meeting.connect();
  Descriptor boaster = meeting.connect();
  Descriptor torn = meeting.connect();
  const auto frame = [](std::string_view text) {
    std::string bytes(kFrameHeaderBytes, '\0');
    write_frame_length(std::as_writable_bytes(std::span(bytes)), text.size());
    return bytes.append(text);
  };
  say(boaster, frame("sound") + frame(std::string(101, 'x')));
  say(torn, frame("also sound") + frame("torn").substr(0, 6));
  std::vector<std::string> messages = meeting.take();
  std::sort(messages.begin(), messages.end());
  CHECK(messages == std::vector<std::string>{"also sound", "sound"});
  CHECK(is_gone(boaster));
  torn = Descriptor();
  CHECK(meeting.take().empty());
  say(honest, frame("") + frame("unharmed"));
  CHECK(meeting.take() == std::vector<std::string>{"", "unharmed"});
  PumpReport report;
  meeting.source().add_to(report);
  CHECK(report.refused_clients == 2);
  CHECK(report.client_count == 3);
}

TEST_CASE("clients: one that floods gets no larger share") {
  Meeting meeting({});
  Descriptor flood = meeting.connect();
  Descriptor modest = meeting.connect();
  std::string lines;
  while (lines.size() < 150'000) lines += "flood\n";
  static_cast<void>(send(flood.get(), lines.data(), lines.size(), MSG_NOSIGNAL));
  say(modest, "modest\n");
  const std::vector<std::string> messages = meeting.take();
  const auto at = std::find(messages.begin(), messages.end(), "modest");
  REQUIRE(at != messages.end());
  CHECK(static_cast<std::size_t>(at - messages.begin()) <= kClientReadBytes / 6 + 1);
}

TEST_CASE("clients: a sink that takes nothing fills the clients' own buffers") {
  Meeting meeting({});
  const Descriptor client = meeting.connect();
  std::string lines;
  while (lines.size() < 1'000'000) lines += "line\n";
  std::size_t sent = 0;
  for (;;) {
    const ssize_t put = send(client.get(), lines.data() + sent, lines.size() - sent, MSG_NOSIGNAL);
    if (put < 0) break;
    sent += static_cast<std::size_t>(put);
  }
  CHECK(errno == EAGAIN);
  CHECK(sent < lines.size());
  CHECK(meeting.take().size() == sent / 5);
  CHECK(meeting.source().memory_bytes() <= 5);
}

TEST_CASE(
    "clients: seqpacket keeps boundaries, of empty messages too, and a socket is ours alone") {
  ClientOptions options;
  options.framing = Framing::kBytes;
  options.max_message_bytes = 1000;
  Meeting meeting(options, "unix+seqpacket://");
  struct stat file {};
  REQUIRE(stat(meeting.path().c_str(), &file) == 0);
  CHECK((file.st_mode & 0777) == 0600);
  Descriptor one = meeting.connect();
  Descriptor two = meeting.connect();
  for (const std::string_view text :
       {std::string_view("a\nb"), std::string_view(""), std::string_view("c")}) {
    say(one, text);
  }
  CHECK(meeting.take() == std::vector<std::string>{"a\nb", "", "c"});
  say(two, std::string(1001, 'x'));
  CHECK(meeting.take().empty());
  CHECK(is_gone(two));
  for (int i = 0; i < 50; ++i) say(one, "many");
  CHECK(meeting.take().size() == 50);
  one = Descriptor();
  CHECK(meeting.take().empty());
  CHECK(meeting.ended());
}

TEST_CASE("clients: with a stay, nobody there is no end") {
  ClientOptions options;
  options.stays = true;
  Meeting meeting(options);
  static_cast<void>(meeting.connect());
  CHECK(meeting.take().empty());
  CHECK_FALSE(meeting.ended());
  const Descriptor next = meeting.connect();
  say(next, "later\n");
  CHECK(meeting.take() == std::vector<std::string>{"later"});
}

}  // namespace
}  // namespace slipring
