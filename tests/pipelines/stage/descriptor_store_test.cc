#include "pipelines/stage/descriptor_store.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "pipelines/stage/descriptor_keeper.h"

namespace slipring {
namespace {

// What a process would be started with: its end of the pair, and what was kept.  As exec does, it
// gets duplicates.
struct Life {
  explicit Life(DescriptorStore& from) : store(&from) {
    std::vector<int> inherited;
    REQUIRE(from.prepare(words, inherited).ok());
    for (const std::string& word : words) {
      const std::size_t mark = word.find_last_of(":=");
      Descriptor copy(fcntl(std::stoi(word.substr(mark + 1)), F_DUPFD_CLOEXEC, 3));
      REQUIRE(copy.is_open());
      if (word.rfind("--keeper=", 0) == 0) {
        Result<DescriptorKeeper> adopted = DescriptorKeeper::adopt(std::move(copy));
        REQUIRE(adopted.ok());
        keeper = std::move(adopted).value();
      } else {
        const std::size_t equals = word.find('=');
        inherits.push_back({word.substr(equals + 1, mark - equals - 1), std::move(copy)});
      }
    }
    from.started();
  }
  // As the kernel does when the process dies.
  void die() {
    keeper = DescriptorKeeper();
    inherits.clear();
    store->ended();
  }

  DescriptorStore* store;
  std::vector<std::string> words;
  DescriptorKeeper keeper;
  std::vector<KeptDescriptor> inherits;
};

bool is_same_file(int a, int b) {
  struct stat first {};
  struct stat second {};
  return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

Descriptor some_file() {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  close(ends[1]);
  return Descriptor(ends[0]);
}

// An abstract unix socket, listened on.
struct Listener {
  Listener() : socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un any{};
    any.sun_family = AF_UNIX;
    REQUIRE(bind(socket.get(), reinterpret_cast<sockaddr*>(&any), sizeof any.sun_family) == 0);
    REQUIRE(listen(socket.get(), 64) == 0);
    size = sizeof address;
    REQUIRE(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  }
  [[nodiscard]] Descriptor connected() const {
    Descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    return client;
  }
  Descriptor socket;
  sockaddr_un address{};
  socklen_t size = 0;
};

TEST_CASE("descriptor_store: what a stage hands in is its successor's, however soon it dies") {
  DescriptorStore store = std::move(DescriptorStore::make()).value();
  Life first(store);
  CHECK(first.inherits.empty());
  const Descriptor file = some_file();
  REQUIRE(first.keeper.keep("memory", file.get()).ok());
  first.die();  // the store has not looked at it yet
  CHECK(store.count() == 1);
  Life second(store);
  REQUIRE(second.inherits.size() == 1);
  CHECK(second.inherits[0].name == "memory");
  CHECK(is_same_file(second.inherits[0].descriptor.get(), file.get()));
  // A third life has it still; dropped, the fourth has not.
  second.die();
  Life third(store);
  REQUIRE(third.inherits.size() == 1);
  REQUIRE(third.keeper.drop("memory").ok());
  third.die();
  CHECK(Life(store).inherits.empty());
}

TEST_CASE("descriptor_store: a client that comes while nobody serves is its successor's") {
  DescriptorStore store = std::move(DescriptorStore::make()).value();
  const Listener listener;
  Life first(store);
  REQUIRE(first.keeper.keep("door", listener.socket.get()).ok());
  REQUIRE(first.keeper.accept_on("door", listener.socket.get()).ok());
  store.turn();
  const Descriptor early = listener.connected();
  store.turn();
  Result<std::optional<KeptDescriptor>> told = first.keeper.next_accepted();
  REQUIRE(told.ok());
  REQUIRE(told->has_value());
  CHECK((*told)->name == "door#1");
  // Sent to the stage, which never read it; and one that nobody was there to hear of.
  const Descriptor unread = listener.connected();
  store.turn();
  first.die();
  const Descriptor late = listener.connected();
  store.turn();
  Life second(store);
  std::vector<std::string> names;
  for (const KeptDescriptor& one : second.inherits) names.push_back(one.name);
  CHECK(names == std::vector<std::string>{"door", "door#1", "door#2", "door#3"});
  // They are the clients' sockets.
  for (const KeptDescriptor& one : second.inherits) {
    if (one.name == "door#3") REQUIRE(write(one.descriptor.get(), "x", 1) == 1);
  }
  char letter = 0;
  CHECK(read(late.get(), &letter, 1) == 1);
  CHECK(letter == 'x');
  // None of them is told of again.
  store.turn();
  CHECK_FALSE(second.keeper.next_accepted()->has_value());
}

TEST_CASE("descriptor_store: while it is full it accepts nobody, and then those who waited") {
  DescriptorStore store = std::move(DescriptorStore::make()).value();
  const Listener listener;
  Life life(store);
  REQUIRE(life.keeper.keep("door", listener.socket.get()).ok());
  REQUIRE(life.keeper.accept_on("door", listener.socket.get()).ok());
  std::vector<Descriptor> clients;
  std::vector<std::string> told;
  const auto take_told = [&] {
    for (;;) {
      Result<std::optional<KeptDescriptor>> next = life.keeper.next_accepted();
      REQUIRE(next.ok());
      if (!next->has_value()) return;
      told.push_back((*next)->name);
    }
  };
  for (std::size_t i = 0; i < kMaxKeptDescriptors + 10; ++i) {
    clients.push_back(listener.connected());
    store.turn();
    take_told();
  }
  CHECK(store.count() == kMaxKeptDescriptors);
  CHECK(told.size() == kMaxKeptDescriptors - 1);
  for (int i = 0; i < 4; ++i) REQUIRE(life.keeper.drop(told[static_cast<std::size_t>(i)]).ok());
  for (int i = 0; i < 4; ++i) store.turn();
  take_told();
  CHECK(told.size() == kMaxKeptDescriptors + 3);
  CHECK(store.count() == kMaxKeptDescriptors);
}

TEST_CASE("descriptor_store: what is no packet of the protocol ends it, and what was kept stays") {
  DescriptorStore store = std::move(DescriptorStore::make()).value();
  Life life(store);
  const Descriptor file = some_file();
  REQUIRE(life.keeper.keep("memory", file.get()).ok());
  store.turn();
  const int fd = life.keeper.poll_fds().front();
  REQUIRE(send(fd, "nonsense", 8, 0) == 8);
  store.turn();
  CHECK(store.take_complaint() == "it sent its descriptor store what is no packet");
  CHECK(store.take_complaint().empty());
  CHECK(store.count() == 1);
  CHECK_FALSE(life.keeper.keep("more", file.get()).ok());
  life.die();
  CHECK(Life(store).inherits.size() == 1);
}

TEST_CASE("descriptor_store: names are bounded, and so is how much is kept") {
  CHECK(is_kept_name("unix#12"));
  CHECK(is_kept_name(std::string(kMaxKeptNameBytes, 'a')));
  CHECK_FALSE(is_kept_name(std::string(kMaxKeptNameBytes + 1, 'a')));
  CHECK_FALSE(is_kept_name(""));
  CHECK_FALSE(is_kept_name("a:b"));
  CHECK_FALSE(is_kept_name("a b"));
  DescriptorStore store = std::move(DescriptorStore::make()).value();
  Life life(store);
  const Descriptor file = some_file();
  for (std::size_t i = 0; i < kMaxKeptDescriptors + 3; ++i) {
    REQUIRE(life.keeper.keep("file" + std::to_string(i), file.get()).ok());
    store.turn();
  }
  CHECK(store.count() == kMaxKeptDescriptors);
  CHECK_FALSE(store.take_complaint().empty());
}

TEST_CASE("descriptor_keeper: without a store it accepts itself, and keeps nothing") {
  const Listener listener;
  REQUIRE(fcntl(listener.socket.get(), F_SETFL, O_NONBLOCK) == 0);
  DescriptorKeeper keeper;
  CHECK_FALSE(keeper.is_open());
  CHECK(keeper.keep("door", listener.socket.get()).ok());
  REQUIRE(keeper.accept_on("door", listener.socket.get()).ok());
  CHECK(keeper.poll_fds() == std::vector<int>{listener.socket.get()});
  CHECK_FALSE(keeper.next_accepted()->has_value());
  const Descriptor client = listener.connected();
  Result<std::optional<KeptDescriptor>> accepted = keeper.next_accepted();
  REQUIRE(accepted.ok());
  REQUIRE(accepted->has_value());
  CHECK((*accepted)->name == "door#1");
}

}  // namespace
}  // namespace slipring
