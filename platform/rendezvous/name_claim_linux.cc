#include "platform/rendezvous/name_claim.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "platform/memory/segment_name.h"
#include "platform/rendezvous/address.h"

namespace slipring {
namespace {

constexpr int kBacklog = 64;
// Others were quicker so often only if they die as often.
constexpr int kAttempts = 64;
// More dead in a row than any hour of killing leaves.
constexpr std::size_t kChainMax = 4096;
constexpr std::string_view kHeirSuffix = ".heir";
constexpr std::string_view kNewSuffix = ".new";
constexpr std::size_t kDrawDigits = 16;

Error failed(const char* doing) noexcept {
  const ErrorCode code = errno == EACCES || errno == EPERM || errno == EROFS
                             ? ErrorCode::kPermission
                         : errno == ENOENT                    ? ErrorCode::kNotFound
                         : errno == ENOSPC || errno == EDQUOT ? ErrorCode::kNoSpace
                                                              : ErrorCode::kSystem;
  return {code, errno, doing};
}

[[nodiscard]] std::string root_name(std::string_view name) {
  return std::string(name) + std::string(kRendezvousSuffix);
}
[[nodiscard]] std::string heir_name(std::string_view name, std::uint64_t inode) {
  return "." + std::string(name) + "." + std::to_string(inode) + std::string(kHeirSuffix);
}

// What is left of `text` between the two, if it has them.
[[nodiscard]] std::optional<std::string_view> between(std::string_view text, std::string_view front,
                                                      std::string_view back) noexcept {
  if (text.size() < front.size() + back.size() || !text.starts_with(front) ||
      !text.ends_with(back)) {
    return std::nullopt;
  }
  text.remove_prefix(front.size());
  text.remove_suffix(back.size());
  return text;
}
[[nodiscard]] bool is_heir(std::string_view file_name, const std::string& front) noexcept {
  const auto number = between(file_name, front, kHeirSuffix);
  return number && !number->empty() &&
         number->find_first_not_of("0123456789") == std::string_view::npos;
}
[[nodiscard]] bool is_new(std::string_view file_name) noexcept {
  const auto digits = between(file_name, ".", kNewSuffix);
  return digits && digits->size() == kDrawDigits &&
         digits->find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A name in the directory, its file held open so that its inode's number is not given again.
struct Held {
  NameState state = NameState::kMissing;
  Descriptor file;
  std::uint64_t inode = 0;
};

// Connects to the very socket that is held, whatever its name means by now.
Result<NameState> probe(int held) noexcept {
  const RendezvousAddress where = held_address(held);
  const Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return failed("make a socket");
  int answer = 0;
  do {
    answer = ::connect(socket.get(), where.get(), where.size_bytes);
  } while (answer != 0 && errno == EINTR);
  // A full queue has an owner, too.
  if (answer == 0 || errno == EAGAIN || errno == EPROTOTYPE) return NameState::kOwned;
  if (errno == ECONNREFUSED) return NameState::kStale;
  return failed("look at a rendezvous");
}

Result<Held> hold(int directory_fd, const std::string& file_name) noexcept {
  int fd = -1;
  do {
    fd = ::openat(directory_fd, file_name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  Held held;
  held.file = Descriptor(fd);
  if (!held.file.is_open()) {
    if (errno == ENOENT) return held;
    return failed("look at a rendezvous");
  }
  struct stat found = {};
  if (::fstat(held.file.get(), &found) != 0) return failed("look at a rendezvous");
  held.inode = found.st_ino;
  held.state = NameState::kOtherFile;
  if (!S_ISSOCK(found.st_mode)) return held;
  Result<NameState> state = probe(held.file.get());
  if (!state) return state.error();
  held.state = *state;
  return held;
}

// The chain as it was followed.
struct Chain {
  NameState state = NameState::kMissing;
  Held root;
  Held last_dead;   // if it is not the root
  std::string end;  // the name at which there is nothing; of kStale and kMissing
};

Result<Chain> follow(int directory_fd, std::string_view name) noexcept {
  Chain chain;
  chain.end = root_name(name);
  Result<Held> root = hold(directory_fd, chain.end);
  if (!root) return root.error();
  chain.root = std::move(*root);
  chain.state = chain.root.state;
  std::uint64_t dead = chain.root.inode;
  for (std::size_t i = 0; chain.state == NameState::kStale; ++i) {
    if (i == kChainMax) {
      return Error{ErrorCode::kSystem, ELOOP, "follow a rendezvous's dead owners", i, kChainMax};
    }
    chain.end = heir_name(name, dead);
    Result<Held> heir = hold(directory_fd, chain.end);
    if (!heir) return heir.error();
    if (heir->state == NameState::kMissing) break;
    chain.state = heir->state;
    dead = heir->inode;
    chain.last_dead = std::move(*heir);
  }
  return chain;
}

// A new socket that listens at a random name, which goes with the object.
class NewSocket {
 public:
  // kNotFound: somebody took it for dead before it listened, and has swept its name away; or the
  // directory is gone.
  static Result<NewSocket> make(const SegmentDirectory& directory,
                                const NameAccess& access) noexcept {
    std::uint64_t draw = 0;
    if (::getrandom(&draw, sizeof draw, 0) != sizeof draw) return failed("draw a random name");
    char digits[kDrawDigits + 1];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(draw));
    Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) return failed("make a socket");
    std::string file_name = "." + std::string(digits) + std::string(kNewSuffix);
    Result<RendezvousAddress> where = file_address(directory, file_name);
    if (!where) return where.error();
    if (::bind(socket.get(), where->get(), where->size_bytes) != 0) {
      return failed("make a rendezvous");
    }
    NewSocket made(directory.fd(), std::move(file_name), std::move(socket));
    if (Status set = made.set(access); !set) return set.error();
    return made;
  }
  NewSocket(NewSocket&& from) noexcept
      : directory_fd_(std::exchange(from.directory_fd_, -1)),
        file_name_(std::move(from.file_name_)),
        socket_(std::move(from.socket_)),
        inode_(from.inode_) {}
  NewSocket& operator=(NewSocket&&) = delete;
  ~NewSocket() { give_up_file(); }

  [[nodiscard]] const char* file_name() const noexcept { return file_name_.c_str(); }
  // The socket, which has another name by now.
  [[nodiscard]] OwnedName take() noexcept {
    give_up_file();
    return {std::move(socket_), inode_};
  }

 private:
  NewSocket(int directory_fd, std::string file_name, Descriptor socket) noexcept
      : directory_fd_(directory_fd), file_name_(std::move(file_name)), socket_(std::move(socket)) {}

  void give_up_file() noexcept {
    // What stays is swept away by the next one who takes a name here.
    const int directory_fd = std::exchange(directory_fd_, -1);
    if (directory_fd >= 0) static_cast<void>(::unlinkat(directory_fd, file_name(), 0));
  }
  // All of it before listen(), and so before anybody can connect.
  Status set(const NameAccess& access) noexcept {
    struct stat made = {};
    if (::fstatat(directory_fd_, file_name(), &made, AT_SYMLINK_NOFOLLOW) != 0) {
      return failed("look at a new rendezvous");
    }
    inode_ = made.st_ino;
    if (access.group && ::fchownat(directory_fd_, file_name(), static_cast<uid_t>(-1),
                                   *access.group, AT_SYMLINK_NOFOLLOW) != 0) {
      return failed("give a rendezvous to its group");
    }
    if (::fchmodat(directory_fd_, file_name(), access.mode, 0) != 0) {
      return failed("set a rendezvous's mode");
    }
    if (::listen(socket_.get(), kBacklog) != 0) return failed("listen at a rendezvous");
    return {};
  }

  int directory_fd_;
  std::string file_name_;
  Descriptor socket_;
  std::uint64_t inode_ = 0;
};

enum class Claim : std::uint8_t { kCounts, kAnother, kAgain };

// Whether the root is still the one that was followed.
Result<bool> is_root(int directory_fd, std::string_view name, const Held& root) noexcept {
  struct stat found = {};
  if (::fstatat(directory_fd, root_name(name).c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) {
    return found.st_ino == root.inode;
  }
  if (errno == ENOENT) return false;
  return failed("look at a rendezvous");
}

// One attempt.
Result<Claim> claim(int directory_fd, std::string_view name, const NewSocket& socket) noexcept {
  Result<Chain> chain = follow(directory_fd, name);
  if (!chain) return chain.error();
  if (chain->state == NameState::kOwned || chain->state == NameState::kOtherFile) {
    return Claim::kAnother;
  }
  const char* end = chain->end.c_str();
  if (::linkat(directory_fd, socket.file_name(), directory_fd, end, 0) != 0) {
    if (errno == EEXIST) return Claim::kAgain;  // another was quicker
    return failed("name a rendezvous");         // ENOENT: as NewSocket::make()
  }
  if (chain->state == NameState::kMissing) return Claim::kCounts;
  Result<bool> counts = is_root(directory_fd, name, chain->root);
  if (counts && *counts &&
      ::renameat(directory_fd, end, directory_fd, root_name(name).c_str()) == 0) {
    return Claim::kCounts;
  }
  const Error error = counts ? failed("replace a stale rendezvous") : counts.error();
  // Ours; or taken away already, as all claims that do not count.
  static_cast<void>(::unlinkat(directory_fd, end, 0));
  if (counts && !*counts) return Claim::kAgain;
  return error;
}

// The owner takes away what the dead have left: all heirs of its name, and the random names that
// nobody listens at.  What cannot be taken away now is left to the next.
void sweep(int directory_fd, std::string_view name) noexcept {
  const auto entries = read_directory_names(directory_fd);
  if (!entries) return;
  const std::string heirs = "." + std::string(name) + ".";
  for (const std::string& entry : *entries) {
    if (is_new(entry)) {
      Result<Held> held = hold(directory_fd, entry);
      if (!held || held->state != NameState::kStale) continue;
    } else if (!is_heir(entry, heirs)) {
      continue;
    }
    static_cast<void>(::unlinkat(directory_fd, entry.c_str(), 0));
  }
}

}  // namespace

Result<NameState> look_at_name(const SegmentDirectory& directory, std::string_view name) noexcept {
  if (Result<RendezvousAddress> where = rendezvous_address(directory, name); !where) {
    return where.error();
  }
  Result<Chain> chain = follow(directory.fd(), name);
  if (!chain) return chain.error();
  return chain->state;
}

Result<OwnedName> claim_name(const SegmentDirectory& directory, std::string_view name,
                             const NameAccess& access) noexcept {
  if (Result<RendezvousAddress> where = rendezvous_address(directory, name); !where) {
    return where.error();
  }
  constexpr Error kTaken{ErrorCode::kExists, EADDRINUSE, "make a rendezvous whose name is taken"};
  Error last = kTaken;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Result<NewSocket> socket = NewSocket::make(directory, access);
    if (!socket) {
      last = socket.error();
      if (last.code == ErrorCode::kNotFound) continue;
      return last;
    }
    Result<Claim> claimed = claim(directory.fd(), name, *socket);
    if (!claimed) {
      last = claimed.error();
      if (last.code == ErrorCode::kNotFound) continue;
      return last;
    }
    if (*claimed == Claim::kAnother) return kTaken;
    if (*claimed == Claim::kAgain) continue;
    OwnedName owned = socket->take();
    sweep(directory.fd(), name);
    return owned;
  }
  return last;
}

void give_up_name(int directory_fd, std::string_view name, std::uint64_t inode) noexcept {
  struct stat found = {};
  const std::string root = root_name(name);
  if (::fstatat(directory_fd, root.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
      found.st_ino == inode) {
    static_cast<void>(::unlinkat(directory_fd, root.c_str(), 0));
  }
}

}  // namespace slipring
