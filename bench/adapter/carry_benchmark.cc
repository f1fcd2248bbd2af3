// Splice, or read and write?  A GiB from a pipe to a pipe, from a file to a pipe, from a pipe to a
// file, moved as carry() moves it, 64 KiB at a time, by each of the two in turns.
//
// Three processes, as in a shell: who fills the pipe, who moves, who empties it.  Pipes are as the
// shell makes them.  Files are in the page cache.  Every block of 4 KiB carries its number, and
// whoever is at the end checks them all.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/error/check.h"
#include "platform/wait/clock.h"

namespace slipring::bench {
namespace {

constexpr std::size_t kPieceBytes = 65536;
constexpr std::size_t kBlockBytes = 4096;
using Piece = std::array<std::uint64_t, kPieceBytes / 8>;
constexpr std::size_t kBlockWords = kBlockBytes / 8;

enum class Way : std::uint8_t { kReadWrite, kSplice };
enum class Route : std::uint8_t { kPipeToPipe, kFileToPipe, kPipeToFile };
constexpr const char* kRouteNames[] = {"pipe to pipe", "file to pipe", "pipe to file"};

bool put_all(int fd, const Piece& piece) {
  const auto* bytes = reinterpret_cast<const char*>(piece.data());
  for (std::size_t done = 0; done != kPieceBytes;) {
    const ssize_t put = write(fd, bytes + done, kPieceBytes - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    done += static_cast<std::size_t>(put);
  }
  return true;
}

bool get_all(int fd, Piece& piece) {
  auto* bytes = reinterpret_cast<char*>(piece.data());
  for (std::size_t done = 0; done != kPieceBytes;) {
    const ssize_t got = read(fd, bytes + done, kPieceBytes - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

bool fill(int fd, std::uint64_t total_bytes) {
  Piece piece{};
  std::uint64_t block = 0;
  for (std::uint64_t done = 0; done < total_bytes; done += kPieceBytes) {
    for (std::size_t i = 0; i < piece.size(); i += kBlockWords) piece[i] = ++block;
    if (!put_all(fd, piece)) return false;
  }
  return true;
}

bool empty(int fd, std::uint64_t total_bytes) {
  Piece piece{};
  std::uint64_t block = 0;
  for (std::uint64_t done = 0; done < total_bytes; done += kPieceBytes) {
    if (!get_all(fd, piece)) return false;
    for (std::size_t i = 0; i < piece.size(); i += kBlockWords) {
      if (piece[i] != ++block) return false;
    }
  }
  // To the end: a pipe that nobody reads any more would end the one who moves.
  return read(fd, piece.data(), kPieceBytes) == 0;
}

// Until the end of the input.
bool move(Way way, int input, int output) {
  Piece piece;
  for (;;) {
    ssize_t got = 0;
    if (way == Way::kSplice) {
      got = splice(input, nullptr, output, nullptr, kPieceBytes, SPLICE_F_MOVE);
    } else {
      got = read(input, piece.data(), kPieceBytes);
    }
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
    if (way == Way::kSplice) continue;
    const auto* bytes = reinterpret_cast<const char*>(piece.data());
    for (ssize_t done = 0; done != got;) {
      const ssize_t put = write(output, bytes + done, static_cast<std::size_t>(got - done));
      if (put <= 0) return false;
      done += put;
    }
  }
}

template <typename Work>
pid_t start(Work&& work) {
  const pid_t child = fork();
  check(child >= 0, "a process");
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  _exit(work() ? 0 : 1);
}

struct Moved {
  double wall_ns = 0;
  double mover_ns = 0;  // of the processor, by the process that moves
};

class Bench {
 public:
  Bench(const std::string& folder, std::uint64_t total_bytes) : total_bytes_(total_bytes) {
    source_ = open_in(folder);
    target_ = open_in(folder);
    check(fill(source_, total_bytes), "room for a file");
  }

  Moved run(Route route, Way way) {
    std::array<int, 2> in{-1, -1};
    std::array<int, 2> out{-1, -1};
    const bool from_pipe = route != Route::kFileToPipe;
    const bool to_pipe = route != Route::kPipeToFile;
    if (from_pipe) check(pipe2(in.data(), O_CLOEXEC) == 0, "a pipe");
    if (to_pipe) check(pipe2(out.data(), O_CLOEXEC) == 0, "a pipe");
    check(lseek(source_, 0, SEEK_SET) == 0 && ftruncate(target_, 0) == 0 &&
              lseek(target_, 0, SEEK_SET) == 0,
          "a file to begin with");
    const std::uint64_t begin_ns = monotonic_ns();
    std::vector<pid_t> others;
    if (from_pipe) {
      others.push_back(start([&] {
        close(in[0]);
        return fill(in[1], total_bytes_);
      }));
      close(in[1]);
    }
    if (to_pipe) {
      others.push_back(start([&] {
        close(out[1]);
        return empty(out[0], total_bytes_);
      }));
      close(out[0]);
    }
    const pid_t mover =
        start([&] { return move(way, from_pipe ? in[0] : source_, to_pipe ? out[1] : target_); });
    if (from_pipe) close(in[0]);
    if (to_pipe) close(out[1]);
    Moved moved;
    rusage used{};
    int status = 0;
    check(wait4(mover, &status, 0, &used) == mover && status == 0, "all of it moved");
    for (const pid_t other : others) {
      check(waitpid(other, &status, 0) == other && status == 0, "blocks whole and in order");
    }
    moved.wall_ns = static_cast<double>(monotonic_ns() - begin_ns);
    for (const timeval& time : {used.ru_utime, used.ru_stime}) {
      moved.mover_ns +=
          static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
    }
    if (!to_pipe) {
      check(lseek(target_, 0, SEEK_SET) == 0 && empty(target_, total_bytes_),
            "blocks whole and in order");
    }
    return moved;
  }

 private:
  static int open_in(const std::string& folder) {
    const int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    check(fd >= 0, "a file in the folder");
    return fd;
  }
  std::uint64_t total_bytes_;
  int source_ = -1;
  int target_ = -1;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  std::uint32_t rounds = 5;
  std::uint64_t total_mib = 1024;
  std::string folder = "/tmp";
  CLI::App app("Measures splice against read and write.", "carry_benchmark");
  app.add_option("--rounds", rounds, "Of each")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--mib", total_mib, "Moved each time")->check(CLI::Range(1, 65536));
  app.add_option("--folder", folder, "Where the files are")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& fault) {
    return app.exit(fault) == 0 ? 0 : 2;
  }
  const std::uint64_t total_bytes = total_mib << 20;
  Bench bench(folder, total_bytes);
  std::printf("%llu MiB a time, %u times each, in turns; medians; files in %s\n\n",
              static_cast<unsigned long long>(total_mib), rounds, folder.c_str());
  std::puts("                READ+WRITE        SPLICE  RATIO    THE MOVER'S PROCESSOR TIME A GiB");
  const double gib = static_cast<double>(total_bytes) / (1U << 30);
  for (const Route route : {Route::kPipeToPipe, Route::kFileToPipe, Route::kPipeToFile}) {
    std::array<std::vector<double>, 2> wall;
    std::array<std::vector<double>, 2> used;
    for (std::uint32_t i = 0; i < 2 * rounds; ++i) {
      const std::size_t at = (i % 4 == 0 || i % 4 == 3) ? 0 : 1;  // A B B A
      const Moved moved = bench.run(route, static_cast<Way>(at));
      wall[at].push_back(moved.wall_ns);
      used[at].push_back(moved.mover_ns);
    }
    const double by_copy = gib * 1e9 / median(wall[0]);
    const double by_splice = gib * 1e9 / median(wall[1]);
    std::printf("%-12s %7.2f GiB/s %7.2f GiB/s  %5.2f    %4.0f ms read+write, %4.0f ms splice\n",
                kRouteNames[static_cast<std::size_t>(route)], by_copy, by_splice,
                by_splice / by_copy, median(used[0]) / 1e6 / gib, median(used[1]) / 1e6 / gib);
  }
  return 0;
}

}  // namespace
}  // namespace slipring::bench

int main(int argc, char** argv) {
  slipring::check_failed_handler = [](const char* why, const char*, int) noexcept {
    std::fprintf(stderr, "carry_benchmark: this does not hold: %s\n", why);
  };
  return slipring::bench::run(argc, argv);
}
