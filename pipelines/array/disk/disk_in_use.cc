#include "pipelines/array/disk/disk_in_use.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "pipelines/stage/error_text.h"
#include "platform/wait/clock.h"

namespace slipring::array {
namespace {

constexpr std::string_view kKeptName = "disk";
// For the runner's descriptor of a block device that is opened again.
constexpr std::uint64_t kLettingGoNs = 2'000'000'000;

}  // namespace

DiskInUse::DiskInUse(Stage& stage, LinkWriter& replies)
    : stage_(stage),
      replies_(replies),
      is_usable_(stage.gauge("is_usable")),
      kept_failure_(stage.gauge(".failed")),
      kept_newness_(stage.gauge(".is_new")),
      path_(stage.option("path")),
      wanted_engine_(stage.option("engine")) {}

void DiskInUse::begin() {
  if (kept_failure_.get() == 0 && !take_kept()) open();
}

// What a predecessor had opened, which may be another one than the options say by now.
bool DiskInUse::take_kept() {
  for (KeptDescriptor& kept : stage_.keeper().take_inherited()) {
    if (kept.name != kKeptName) continue;
    Result<DiskFile> taken = DiskFile::adopt(std::move(kept.descriptor));
    if (!taken) return false;
    file_ = std::move(taken).value();
    make_engine();
    is_usable_.set(1);
    return true;
  }
  return false;
}

void DiskInUse::open() {
  engine_.reset();
  DiskFileOptions options;
  options.create_bytes = static_cast<std::uint64_t>(stage_.option_number("create_mib", 0, 1 << 24))
                         << 20;
  options.is_direct = stage_.option_flag("direct");
  const std::uint64_t patience_ns = deadline_after(kLettingGoNs);
  const auto is_ours_still = [&](const Error& error) {
    return error.os_errno == EBUSY && has_let_go_ && monotonic_ns() < patience_ns;
  };
  std::optional<Result<DiskFile>> tried(DiskFile::open(path_, options));
  while (!*tried && is_ours_still(tried->error())) {
    poll(nullptr, 0, 1);
    tried.emplace(DiskFile::open(path_, options));
  }
  Result<DiskFile>& opened = *tried;
  if (!opened) {
    return give_up(stage_.explain(opened.error(), path_));
  }
  file_ = std::move(opened).value();
  if (const Status kept = stage_.keeper().keep(kKeptName, file_.file.get()); !kept) {
    return give_up("it cannot be kept for a successor: " + describe_error(kept.error()));
  }
  make_engine();
  is_usable_.set(1);
  kept_failure_.set(0);
  stage_.log(Severity::kInfo, "%s: %llu MiB, by %s", path_.c_str(),
             static_cast<unsigned long long>(file_.size_bytes >> 20), engine_->name());
}

void DiskInUse::make_engine() {
  if (wanted_engine_ == "io_uring" || (wanted_engine_ == "auto" && !file_.is_in_memory)) {
    PoolOwner& pool = *replies_.pool();
    const std::span<std::byte> memory(pool.bytes(0).data(),
                                      pool.buffer_count() * pool.buffer_bytes());
    Result<std::unique_ptr<DiskEngine>> made =
        make_uring_engine(file_.file.get(), kDiskDepth, memory);
    if (made) {
      engine_ = std::move(made).value();
      return;
    }
    stage_.log(wanted_engine_ == "io_uring" ? Severity::kWarning : Severity::kInfo, "%s",
               describe_error(made.error()).c_str());
  }
  engine_ = make_plain_engine(file_.file.get());
}

void DiskInUse::give_up(const std::string& why) {
  stage_.log(Severity::kError, "%s: %s", path_.c_str(), why.c_str());
  use_no_more();
}

void DiskInUse::use_no_more() noexcept {
  is_usable_.set(0);
  kept_failure_.set(1);
  is_failed_ = true;
}

bool DiskInUse::is_whole() {
  if (has_failed()) return false;
  const std::string loss = file_.loss();
  if (loss.empty()) return true;
  give_up(loss + "; it is used no more");
  return false;
}

void DiskInUse::let_go() {
  engine_.reset();
  has_let_go_ = file_.file.is_open() && stage_.keeper().drop(kKeptName).ok();
  file_ = DiskFile();
}

void DiskInUse::replace(const std::string& path) {
  path_ = path;
  is_failed_ = false;
  kept_newness_.set(1);
  let_go();
  open();
}

bool DiskInUse::close() {
  engine_.reset();
  if (!file_.file.is_open() || is_failed_ || fdatasync(file_.file.get()) == 0) return true;
  stage_.log(Severity::kError, "%s does not sync at the end: %s", path_.c_str(), strerror(errno));
  return false;
}

}  // namespace slipring::array
