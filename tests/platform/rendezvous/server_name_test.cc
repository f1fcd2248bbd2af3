// Who has a rendezvous's name, when its owners die or several want it.

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "platform/rendezvous/server.h"
#include "platform/wait/clock.h"
#include "tests/platform/other_process.h"
#include "tests/platform/rendezvous/served_name.h"
#include "tests/platform/scratch.h"

namespace slipring {
namespace {

TEST_CASE("rendezvous: the name goes with the owner, and a killed owner's is taken over") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  {
    RendezvousServer server = served(directory);
    CHECK(is_rendezvous_alive(directory, "here").value());
    CHECK(RendezvousServer::create(directory, "here").error().code == ErrorCode::kExists);
    CHECK(remove_stale_rendezvous(directory, "here").error().code == ErrorCode::kBusy);
    struct stat made = {};
    REQUIRE(::fstatat(directory.fd(), "here.guard", &made, 0) == 0);
    CHECK((made.st_mode & 07777) == 0600);
  }
  CHECK(scratch.names().empty());
  for (int kills = 0; kills < 20; ++kills) {
    OtherProcess owner([&](Line line) {
      Result<RendezvousServer> server = RendezvousServer::create(directory, "here");
      if (!server.ok()) return 1;
      line.say('.');
      line.hear();
      return 0;
    });
    REQUIRE(owner.line().hear() == '.');
    owner.kill_now();
    CHECK(owner.wait() == -SIGKILL);
    CHECK(scratch.names() == std::vector<std::string>{"here.guard"});
    CHECK(list_rendezvous(directory).value() == std::vector<std::string>{"here"});
    CHECK_FALSE(is_rendezvous_alive(directory, "here").value());
    const auto nobody = Connection::connect(directory, "here", 0);
    REQUIRE_FALSE(nobody.ok());
    CHECK(nobody.error().code == ErrorCode::kNotFound);
    CHECK(nobody.error().os_errno == ECONNREFUSED);
  }
  CHECK(RendezvousServer::create(directory, "here").ok());
  CHECK(scratch.names().empty());
  // What is no socket is nobody's to remove.
  const Descriptor file(::openat(directory.fd(), "here.guard", O_CREAT | O_WRONLY, 0600));
  CHECK(RendezvousServer::create(directory, "here").error().code == ErrorCode::kExists);
  CHECK(remove_stale_rendezvous(directory, "here").error().code == ErrorCode::kNotFound);
}

TEST_CASE("rendezvous: who waits for a killed owner's end sees it, and a living one's not") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  CHECK(wait_until_refused(directory, "here", 0).value());
  RendezvousServer living = served(directory);
  CHECK_FALSE(wait_until_refused(directory, "here", deadline_after(1'000'000)).value());
  for (int kills = 0; kills < 20; ++kills) {
    OtherProcess owner([&](Line line) {
      Result<RendezvousServer> server = RendezvousServer::create(directory, "there");
      if (!server.ok()) return 1;
      line.say('.');
      line.hear();
      return 0;
    });
    REQUIRE(owner.line().hear() == '.');
    owner.kill_now();
    // Not reaped, and perhaps not even dead yet.
    CHECK(wait_until_refused(directory, "there", kNoDeadline).value());
    CHECK(remove_stale_rendezvous(directory, "there").ok());
    CHECK(owner.wait() == -SIGKILL);
  }
}

TEST_CASE("rendezvous: of several who find a stale name one gets it, and keeps it") {
  Scratch scratch;
  SegmentDirectory directory = opened(scratch);
  constexpr int kRounds = 40;
  for (int round = 0; round < kRounds; ++round) {
    {
      OtherProcess owner([&](Line line) {
        Result<RendezvousServer> server = RendezvousServer::create(directory, "here");
        line.say(server.ok() ? 'y' : 'n');
        line.hear();
        return 0;
      });
      REQUIRE(owner.line().hear() == 'y');
      owner.kill_now();
    }
    const auto race = [&](Line line) {
      line.hear();
      Result<RendezvousServer> server = RendezvousServer::create(directory, "here");
      line.say(server.ok() ? 'y' : 'n');
      line.hear();
      // The winner is still found under the name.
      if (server.ok()) line.say(is_rendezvous_alive(directory, "here").value() ? 'y' : 'n');
      line.hear();
      return 0;
    };
    OtherProcess one(race);
    OtherProcess other(race);
    one.line().say('.');
    other.line().say('.');
    const char first = one.line().hear();
    const char second = other.line().hear();
    CHECK((first == 'y') != (second == 'y'));
    const OtherProcess& winner = first == 'y' ? one : other;
    winner.line().say('.');
    CHECK(winner.line().hear() == 'y');
    winner.line().say('.');
    (first == 'y' ? other : one).line().say('.');
    (first == 'y' ? other : one).line().say('.');
    one.wait();
    other.wait();
  }
}

TEST_CASE("rendezvous: a directory of any depth will do, a name of any length will not") {
  Scratch scratch;
  std::string path = scratch.path();
  for (int i = 0; i < 3; ++i) {
    path += "/" + std::string(80, 'd');
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  }
  {
    Result<SegmentDirectory> directory = SegmentDirectory::open_at(path);
    REQUIRE(directory.ok());
    RendezvousServer server = served(*directory);
    CHECK(is_rendezvous_alive(*directory, "here").value());
  }
  SegmentDirectory directory = opened(scratch);
  for (const char* name : {"", "../x", "a/b", ".hidden"}) {
    CHECK(RendezvousServer::create(directory, name).error().code == ErrorCode::kInvalidArgument);
    CHECK(Connection::connect(directory, name, 0).error().code == ErrorCode::kInvalidArgument);
  }
  for (int i = 3; i > 0; --i) {
    ::rmdir(path.c_str());
    path.resize(path.rfind('/'));
  }
}

}  // namespace
}  // namespace slipring
