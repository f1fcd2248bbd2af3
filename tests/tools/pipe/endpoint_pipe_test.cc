// `pipe` with sockets that carry messages: UDP through a lossy proxy, seqpacket, a thousand
// clients.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/adapter/open_endpoint.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/link_writer.h"
#include "tests/pipelines/adapter/lossy_proxy.h"
#include "tests/tools/pipe/pipe_fixture.h"

namespace slipring::tools {
namespace {

// What is in the link now.
void take_records(LinkReader& reader, std::vector<std::string>& records) {
  for (Message message; reader.try_peek(message) == Transfer::kDone;) {
    records.emplace_back(reinterpret_cast<const char*>(message.bytes.data()), message.bytes.size());
    reader.release(message);
  }
}

LinkReader reader_of(const CommandFixture& fixture, const char* name) {
  Result<LinkReader> reader = LinkReader::attach(fixture.directory(), name);
  REQUIRE(reader.ok());
  return std::move(reader).value();
}

Endpoint endpoint(const std::string& text) {
  std::string fault;
  const std::optional<Endpoint> parsed = parse_endpoint(text, fault);
  REQUIRE_MESSAGE(parsed.has_value(), fault);
  return *parsed;
}

std::string socket_path() {
  return "/tmp/slipring-pipe-" + std::to_string(getpid()) + ".sock";
}

// Connects as soon as somebody listens.
Descriptor connect_to(const std::string& text) {
  Descriptor client;
  until("somebody listens", [&] {
    Result<Descriptor> opened = open_endpoint(endpoint(text), Direction::kSink);
    if (opened) client = std::move(opened).value();
    return client.is_open();
  });
  return client;
}

void stop(const CommandFixture& fixture, Running running, Ending& ending) {
  REQUIRE(running.peer.send_signal(SIGTERM).ok());
  ending = fixture.finish(std::move(running));
  CHECK(ending.signal_number == SIGTERM);
}

TEST_CASE("pipe udp://: a record link gets exactly what a lossy network let pass") {
  const CommandFixture fixture;
  fixture.make_records("u", 1 << 20);
  LinkReader reader = reader_of(fixture, "u");
  const std::string port = std::to_string(test::port_of(test::udp_socket().get()));
  Running pipe =
      fixture.start({"pipe", "udp://:" + port, "ring:u", "--json", "--max-message", "1KiB"});
  const Descriptor sender = test::udp_socket();
  std::vector<std::string> records;
  // Until it is there, the kernel has nobody to give them to.
  until("it receives", [&] {
    test::send_to(sender, static_cast<std::uint16_t>(std::stoi(port)), "there?");
    take_records(reader, records);
    return !records.empty();
  });
  // Behind all of them: nothing is under way after it.
  test::send_to(sender, static_cast<std::uint16_t>(std::stoi(port)), "last question");
  until("all questions are answered", [&] {
    take_records(reader, records);
    return records.back() == "last question";
  });
  const std::size_t questions = records.size();
  records.clear();
  test::LossyProxy proxy(2026, static_cast<std::uint16_t>(std::stoi(port)));
  for (std::size_t number = 0; number < 5000; ++number) {
    test::send_to(sender, proxy.port(),
                  std::to_string(number) + ":" + std::string(number * 131 % 1000, 'd'));
    if (number % 50 != 49) continue;
    proxy.turn();
    if (number == 4999) proxy.flush();
    // No more under way than any socket holds.
    until("what was let pass arrives", [&] {
      take_records(reader, records);
      return records.size() >= proxy.passed().size();
    });
  }
  CHECK(records == proxy.passed());
  test::send_to(sender, static_cast<std::uint16_t>(std::stoi(port)), std::string(1025, 'x'));
  test::send_to(sender, static_cast<std::uint16_t>(std::stoi(port)), "behind it");
  until("the next one arrives", [&] {
    take_records(reader, records);
    return records.back() == "behind it";
  });
  Ending ending;
  stop(fixture, std::move(pipe), ending);
  CHECK(contains(ending.out, "\"end\":\"stopped\""));
  CHECK(contains(ending.out, "\"truncated_messages\":1,"));
  CHECK(contains(ending.out, "\"overrun_messages\":0,"));
  CHECK(contains(ending.err, "longer than a message may be, left out whole: 1"));
  const std::string moved = std::to_string(questions + proxy.passed().size() + 1);
  CHECK(contains(ending.out, "\"moved_messages\":" + moved + ","));
  MESSAGE("datagrams: 5000 sent, ", proxy.dropped_count(), " dropped, ", proxy.repeated_count(),
          " repeated, ", proxy.delayed_count(), " delayed, ", proxy.passed().size(), " arrived");
}

TEST_CASE(
    "pipe udp://: out of a record link, a record a datagram; into a file, without boundaries") {
  const CommandFixture fixture;
  const Descriptor there = test::udp_socket();
  fixture.make_records("u", 1 << 16);
  Result<LinkWriter> writer = LinkWriter::attach(fixture.directory(), "u");
  REQUIRE(writer.ok());
  for (const std::string_view text : {std::string_view("a\nb"), std::string_view("")}) {
    std::span<std::byte> place;
    REQUIRE(writer->try_reserve(text.size(), place) == Transfer::kDone);
    if (!text.empty()) std::memcpy(place.data(), text.data(), text.size());
    writer->commit(text.size());
  }
  writer->close();
  const std::string to = "udp://:" + std::to_string(test::port_of(there.get())) + "?ttl=3";
  CHECK(fixture.call({"pipe", "ring:u", to}).exit_status == 0);
  char bytes[100];
  CHECK(recv(there.get(), bytes, sizeof bytes, 0) == 3);
  CHECK(recv(there.get(), bytes, sizeof bytes, 0) == 0);
  CHECK(recv(there.get(), bytes, sizeof bytes, 0) == -1);
}

TEST_CASE("pipe unix+seqpacket://: boundaries from ring to ring, and the end") {
  const CommandFixture fixture;
  const std::string path = socket_path();
  Running in = fixture.start({"pipe", "unix+seqpacket://" + path + "?listen", "ring:b", "--json"});
  until("it listens", [&] { return access(path.c_str(), F_OK) == 0; });
  PipeEnds pipe = make_pipe();
  Running put = fixture.start({"pipe", "-", "unix+seqpacket://" + path, "--lines"},
                              {.stdin_fd = pipe.read.get()});
  std::string lines;
  for (int i = 0; i < 5000; ++i)
    lines += std::string(static_cast<std::size_t>(i) % 300, 'm') + "\n";
  const pid_t feeder = fork();
  REQUIRE(feeder >= 0);
  if (feeder == 0) {
    write_all(pipe.write, lines);
    _exit(0);
  }
  pipe.write = Descriptor();
  CHECK(fixture.call({"get", "b", "--lines"}).out == lines);
  CHECK(fixture.finish(std::move(put)).exit_status == 0);
  const Ending ending = fixture.finish(std::move(in));
  CHECK(ending.exit_status == 0);
  CHECK(contains(ending.out, "\"moved_messages\":5000,"));
  CHECK(access(path.c_str(), F_OK) != 0);
  CHECK(is_gone(fixture));
}

TEST_CASE("pipe ?listen&clients: a thousand clients' lines, whole and in order, into one link") {
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  constexpr std::size_t kClients = 1000;
  constexpr std::size_t kLines = 20;
  const CommandFixture fixture;
  const std::string path = socket_path();
  fixture.make_records("c", 1 << 20);
  LinkReader reader = reader_of(fixture, "c");
  Running pipe = fixture.start(
      {"pipe", "unix://" + path + "?listen&clients=1000", "ring:c", "--lines", "--json"});
  std::vector<Descriptor> clients;
  for (std::size_t i = 0; i < kClients; ++i) clients.push_back(connect_to("unix://" + path));
  std::vector<std::string> records;
  for (std::size_t number = 0; number < kLines; ++number) {
    for (std::size_t who = 0; who < kClients; ++who) {
      const std::string line = std::to_string(who) + " " + std::to_string(number) + "\n";
      // In two halves, with all the others in between.
      write_all(clients[who], line.substr(0, line.size() / 2));
    }
    for (std::size_t who = 0; who < kClients; ++who) {
      const std::string line = std::to_string(who) + " " + std::to_string(number) + "\n";
      write_all(clients[who], line.substr(line.size() / 2));
    }
    until("they arrive", [&] {
      take_records(reader, records);
      return records.size() == kClients * (number + 1);
    });
  }
  std::map<std::size_t, std::size_t> next;
  std::size_t wrong = 0;
  for (const std::string& record : records) {
    const std::size_t who = std::strtoul(record.c_str(), nullptr, 10);
    if (record != std::to_string(who) + " " + std::to_string(next[who]++)) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(next.size() == kClients);
  clients.clear();
  const Ending ending = fixture.finish(std::move(pipe));
  CHECK(ending.exit_status == 0);
  CHECK(contains(ending.out, "\"client_count\":1000,"));
  CHECK(contains(ending.out, "\"refused_clients\":0"));
  take_records(reader, records);
  CHECK(reader.is_finished());
  CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("pipe: endpoints that cannot be meant together are refused in words") {
  const CommandFixture fixture;
  const std::string path = "unix://" + socket_path();
  const Ending mixed = fixture.call({"pipe", path + "?listen&clients=9", "ring:x"});
  CHECK(mixed.exit_status == 2);
  CHECK(contains(mixed.err, "say --lines or --frames"));
  const Ending sink = fixture.call({"pipe", "ring:x", path + "?listen&clients=9", "--lines"});
  CHECK(sink.exit_status == 2);
  CHECK(contains(sink.err, "can be FROM alone"));
  const Ending untold = fixture.call({"pipe", "-", "udp://:9"});
  CHECK(untold.exit_status == 2);
  CHECK(contains(untold.err, "how are messages told apart in -?"));
  CHECK(is_gone(fixture));
}

}  // namespace
}  // namespace slipring::tools
