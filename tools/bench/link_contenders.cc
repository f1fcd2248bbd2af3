#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include "pipelines/link/value_link.h"
#include "tools/bench/contenders.h"
#include "tools/bench/spsc_cells.h"

namespace slipring::bench {
namespace {

// A value link in a named segment, as unrelated programs use it: certificates, doorbells, own pages
// writable and the other side's not.
template <typename M, std::size_t kSlots>
class LinkChannel {
 public:
  static constexpr bool kPopBlocks = false;

  explicit LinkChannel(Arena&) {
    char path[] = "/dev/shm/slipring-bench-XXXXXX";
    check(mkdtemp(path) != nullptr, "a directory in /dev/shm");
    path_ = path;
    maker_ = getpid();
    const SegmentDirectory folder = directory();
    check(create_link(folder, kName, value_link_shape<M>(kSlots)).ok(), "a link in /dev/shm");
  }
  LinkChannel(const LinkChannel&) = delete;
  LinkChannel& operator=(const LinkChannel&) = delete;
  ~LinkChannel() {
    std::error_code ignored;  // what stays behind is a few kilobytes of tmpfs
    if (getpid() == maker_) std::filesystem::remove_all(path_, ignored);
  }

  struct Producer {
    ValueWriter<M> end;
    [[nodiscard]] bool try_push(const M& message) noexcept {
      return end.try_push(message) == Transfer::kDone;
    }
  };
  struct Consumer {
    ValueReader<M> end;
    [[nodiscard]] bool try_pop(M& message) noexcept {
      return end.try_pop(message) == Transfer::kDone;
    }
  };
  [[nodiscard]] Producer producer() const {
    const SegmentDirectory folder = directory();
    return {ValueWriter<M>::attach(folder, kName).value()};
  }
  [[nodiscard]] Consumer consumer() const {
    const SegmentDirectory folder = directory();
    return {ValueReader<M>::attach(folder, kName).value()};
  }

 private:
  static constexpr const char* kName = "bench.values";

  [[nodiscard]] SegmentDirectory directory() const {
    return SegmentDirectory::open_at(path_).value();
  }

  std::string path_;
  pid_t maker_ = 0;
};

const Contender kValueLink{"slipring.link", "slipring value link, named segment", Family::kOurs,
                           "doorbells and certificates included"};

}  // namespace

void add_slipring_links(Registry& registry) {
  add_processes<LinkChannel>(registry, kValueLink);
}

}  // namespace slipring::bench
