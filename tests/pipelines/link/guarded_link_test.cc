#include <signal.h>
#include <sys/socket.h>

#include <barrier>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "pipelines/link/board.h"
#include "pipelines/link/link_observer.h"
#include "platform/wait/waiter.h"
#include "tests/pipelines/link/guarded_fixture.h"

namespace slipring {
namespace {

using test::attach_when_free;
using test::BrokerProcess;
using test::Directory;
using test::must;
using test::number_in;
using test::peek;
using test::put;

TEST_CASE("guarded link: messages cross in order, and each end knows the other from the kernel") {
  for (const LinkShape& shape : {test::records(4096), test::slots(8, 16)}) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    BrokerProcess broker(directory, shape);
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    CHECK_FALSE(writer.receiver().is_known);
    LinkReader reader = must(LinkReader::attach(directory, "t.link"));
    CHECK(writer.protection() == best_protection_level());
    const LinkPeer sender = reader.sender();
    CHECK(sender.is_known);
    CHECK(sender.user == geteuid());
    CHECK(sender.group == getegid());
    CHECK(sender.process_id == getpid());
    CHECK(sender.incarnation == 1);
    CHECK(sender.protection == best_protection_level());
    std::uint64_t sent = 0;
    std::uint64_t seen = 0;
    for (int round = 0; round < 1000; ++round) {
      while (put(writer, sent)) ++sent;
      Message message;
      while (reader.try_peek(message) == Transfer::kDone) {
        REQUIRE(number_in(message) == seen);
        CHECK_FALSE(message.redelivered);
        ++seen;
        reader.release(message);
      }
      CHECK(seen == sent);
    }
    CHECK(writer.receiver().is_known);
    CHECK(writer.receiver().process_id == getpid());
    writer.close();
    CHECK(reader.is_finished());
  }
}

TEST_CASE("guarded link: nothing is in the directory but the socket, and it goes with the broker") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  {
    Result<GuardedBroker> broker = GuardedBroker::create(directory, "t.link", test::records(4096));
    REQUIRE(broker.ok());
    CHECK(std::filesystem::exists(folder.path() + "/t.link.guard"));
    CHECK(directory.list().value().empty());
    CHECK(GuardedBroker::create(directory, "t.link", test::records(4096)).error().code ==
          ErrorCode::kExists);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK(GuardedBroker::create(directory, "t.link", test::records(17)).error().code ==
        ErrorCode::kInvalidArgument);
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK(LinkWriter::attach(directory, "t.link").error().code == ErrorCode::kNotFound);
}

TEST_CASE("guarded link: a role has one living holder, stopped or not, who is named") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::records(4096));
  OtherProcess holder([&](Line line) {
    Result<LinkWriter> writer = LinkWriter::attach(directory, "t.link");
    line.say(writer.ok() ? 'y' : 'n');
    line.hear();
    return 0;
  });
  REQUIRE(holder.line().hear() == 'y');
  const auto refused = [&] {
    Result<LinkWriter> second = LinkWriter::attach(directory, "t.link");
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == ErrorCode::kBusy);
    CHECK(second.error().found == static_cast<std::uint64_t>(holder.pid()));
  };
  refused();
  REQUIRE(kill(holder.pid(), SIGSTOP) == 0);
  refused();
  REQUIRE(kill(holder.pid(), SIGCONT) == 0);
  refused();
  holder.kill_now();
  CHECK(attach_when_free<LinkWriter>(directory).ok());
}

TEST_CASE("guarded link: a role that was laid down is free at once") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::records(4096));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  for (std::uint64_t round = 0; round < 50; ++round) {
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    CHECK(writer.incarnation() == round + 1);
    REQUIRE(put(writer, round));
    Message message;
    REQUIRE(peek(reader, message));
    CHECK(number_in(message) == round);
    CHECK(reader.sender().incarnation == round + 1);
    reader.release(message);
  }
}

// Children send numbers until they are killed; the numbers that a successor goes on with are read
// from the link itself, so that any loss or repetition shows.

TEST_CASE("guarded link: when the broker dies the ends go on, and nobody new comes in") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(8, 16));
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  broker.kill_now();
  Message message;
  for (std::uint64_t number = 0; number < 1000; ++number) {
    REQUIRE(put(writer, number));
    REQUIRE(reader.try_peek(message) == Transfer::kDone);
    REQUIRE(number_in(message) == number);
    reader.release(message);
    CHECK(reader.try_peek(message) == Transfer::kBlocked);
  }
  Result<LinkReader> late = LinkReader::attach(directory, "t.link");
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == ErrorCode::kNotFound);
  CHECK(late.error().os_errno == ECONNREFUSED);
  // The name is taken over by a new broker, whose link is another one.
  BrokerProcess again(directory, test::slots(8, 16));
  LinkReader other = must(LinkReader::attach(directory, "t.link"));
  CHECK(other.try_peek(message) == Transfer::kBlocked);
  REQUIRE(put(writer, 1));
  CHECK(other.try_peek(message) == Transfer::kBlocked);
  CHECK(reader.try_peek(message) == Transfer::kDone);
}

TEST_CASE("guarded link: a connection that is lost frees nothing as long as the process lives") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(8, 16));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  OtherProcess holder([&](Line line) {
    Result<LinkWriter> writer = LinkWriter::attach(directory, "t.link");
    if (!writer) return 1;
    for (int fd = 3; fd < 256; ++fd) {
      int type = 0;
      socklen_t size = sizeof type;
      if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET) {
        shutdown(fd, SHUT_RDWR);
      }
    }
    line.say('y');
    for (std::uint64_t number = 0; line.hear() == '.'; ++number) {
      if (!put(*writer, number)) return 2;
    }
    return 0;
  });
  REQUIRE(holder.line().hear() == 'y');
  for (std::uint64_t number = 0; number < 5; ++number) {
    CHECK(LinkWriter::attach(directory, "t.link").error().code == ErrorCode::kBusy);
    holder.line().say('.');
    Message message;
    REQUIRE(peek(reader, message));
    CHECK(number_in(message) == number);
    reader.release(message);
  }
  holder.kill_now();
  holder.wait();
  LinkWriter next = must(LinkWriter::attach(directory, "t.link"));
  CHECK(next.position() == 5);
}

TEST_CASE("guarded link: a sleeping reader hears of its writer's successor without any message") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::records(4096));
  LinkReader reader = must(LinkReader::attach(directory, "t.link"));
  Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = 3'600'000'000'000});
  for (std::uint32_t round = 1; round <= 20; ++round) {
    OtherProcess child([&](Line line) {
      Result<LinkWriter> writer = attach_when_free<LinkWriter>(directory);
      if (!writer) return 1;
      line.hear();
      return put(*writer, round) ? 0 : 2;
    });
    // Bounded by an hour: only the rings can end these sleeps.
    const auto doze = [&](auto&& ready) {
      return waiter.wait(std::vector<WaitPoint>{reader.message_point(), *reader.news_point()},
                         ready, deadline_after(test::kPatienceNs));
    };
    Message message;
    while (reader.sender().incarnation != round) {
      REQUIRE(doze([&] { return reader.has_message(); }) == WaitOutcome::kReady);
      CHECK(reader.try_peek(message) == Transfer::kBlocked);
    }
    child.line().say('.');
    REQUIRE(doze([&] { return reader.has_message(); }) == WaitOutcome::kReady);
    REQUIRE(peek(reader, message));
    CHECK(number_in(message) == round);
    reader.release(message);
    CHECK(child.wait() == 0);
  }
}

TEST_CASE("guarded link: a reader is heard by a writer that never looks for news") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::records(1 << 16));
  LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
  for (std::uint64_t round = 0; round < 10; ++round) {
    OtherProcess child([&](Line line) {
      Result<LinkReader> reader = attach_when_free<LinkReader>(directory);
      if (!reader) return 1;
      line.say('y');
      Waiter waiter({.strategy = WaitStrategy::kSleep, .sleep_bound_ns = 3'600'000'000'000});
      const WaitPoint point = reader->message_point();
      if (waiter.wait(
              {&point, 1}, [&] { return reader->has_message(); },
              deadline_after(test::kPatienceNs)) != WaitOutcome::kReady) {
        return 2;
      }
      Message message;
      if (reader->try_peek(message) != Transfer::kDone || number_in(message) != round) return 3;
      reader->release(message);
      line.say('y');
      line.hear();
      return 0;
    });
    REQUIRE(child.line().hear() == 'y');
    REQUIRE(put(writer, round));
    REQUIRE(child.line().hear() == 'y');
    child.kill_now();
    child.wait();
  }
}

TEST_CASE("guarded link: ends that attach at once know each other's newest memory, and say so") {
  int rounds = 0;
  for (; rounds < 100; ++rounds) {
    Directory folder;
    SegmentDirectory directory = folder.open();
    BrokerProcess broker(directory, test::records(4096));
    std::barrier both(2);
    std::optional<LinkReader> reader;
    std::thread other([&] {
      both.arrive_and_wait();
      Result<LinkReader> attached = LinkReader::attach(directory, "t.link");
      if (attached) reader.emplace(std::move(*attached));
    });
    both.arrive_and_wait();
    LinkWriter writer = must(LinkWriter::attach(directory, "t.link"));
    other.join();
    REQUIRE(reader);
    // Whoever is not told about yet sleeps lightly, which has to end.
    const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
    const auto is_heard = [&] {
      writer.look_for_news();
      reader->look_for_news();
      return !writer.space_point().is_deaf && !reader->message_point().is_deaf;
    };
    while (!is_heard() && monotonic_ns() < deadline_ns) ::sched_yield();
    REQUIRE(is_heard());
  }
  CHECK(rounds == 100);
}

TEST_CASE("guarded link: observers see both ends, and their successors") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  BrokerProcess broker(directory, test::slots(8, 16));
  LinkObserver observer = must(LinkObserver::attach(directory, "t.link"));
  CHECK(observer.report().is_guarded);
  CHECK(observer.report().writer.holder == Holder::kNobody);
  for (std::uint32_t round = 1; round <= 5; ++round) {
    OtherProcess child([&](Line line) {
      Result<LinkWriter> writer = attach_when_free<LinkWriter>(directory);
      if (!writer || !put(*writer, round)) return 1;
      line.say('y');
      line.hear();
      return 0;
    });
    REQUIRE(child.line().hear() == 'y');
    const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
    LinkReport report = observer.report();
    while (report.writer.message_count != round && monotonic_ns() < deadline_ns) {
      report = observer.report();
    }
    CHECK(report.tail == round);
    CHECK(report.fill == round);
    CHECK(report.writer.incarnation == round);
    CHECK(report.writer.holder == Holder::kAnother);
    CHECK(report.writer.process_id == child.pid());
    CHECK(report.writer.protection == best_protection_level());
    child.kill_now();
    child.wait();
    while (observer.report().writer.holder != Holder::kNobody && monotonic_ns() < deadline_ns) {
    }
    CHECK(observer.report().writer.holder == Holder::kNobody);
  }
}

TEST_CASE("guarded board: a killed stage's successor goes on with its numbers") {
  Directory folder;
  SegmentDirectory directory = folder.open();
  LinkShape shape;
  shape.kind = SegmentKind::kBoard;
  BrokerProcess broker(directory, shape);
  CHECK(LinkWriter::attach(directory, "t.link").error().code == ErrorCode::kVersion);
  BoardObserver observer = must(BoardObserver::attach(directory, "t.link"));
  for (std::uint64_t round = 1; round <= 10; ++round) {
    OtherProcess child([&](Line line) {
      Result<Board> board = attach_when_free<Board>(directory);
      if (!board) return 1;
      board->number("rounds", BoardKind::kCounter).add();
      board->number("own_" + std::to_string(round), BoardKind::kGauge).set(round);
      line.say('y');
      line.hear();
      return 0;
    });
    REQUIRE(child.line().hear() == 'y');
    const std::uint64_t deadline_ns = deadline_after(test::kPatienceNs);
    while (observer.value_of("rounds") != round && monotonic_ns() < deadline_ns) {
    }
    CHECK(observer.value_of("rounds") == round);
    CHECK(observer.value_of("own_" + std::to_string(round)) == round);
    CHECK(observer.value_of("own_1") == 1);
    // The first attempt to attach was refused before a page was made.
    CHECK(observer.incarnation() == round);
    CHECK(observer.is_held());
    child.kill_now();
    child.wait();
  }
}

}  // namespace
}  // namespace slipring
