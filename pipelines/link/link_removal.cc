// The removal of named links that nobody needs any more, with every role of theirs in our hands.

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "core/ring/cursor_page.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/named_link.h"

namespace slipring {
namespace {

// Every role of a link; nothing when somebody has one.
Result<std::vector<Certificate>> take_everything(const OpenLink& link) noexcept {
  std::vector<Certificate> all;
  const auto take = [&](std::uint32_t role_byte) -> Status {
    Result<Certificate> certificate = Certificate::acquire(link.file.lock_file(), role_byte);
    if (!certificate) return certificate.error();
    all.push_back(std::move(certificate).value());
    return {};
  };
  // The reader's first: of two who leave at once, one holds nothing and the other everything.
  if (Status taken = take(static_cast<std::uint32_t>(Role::kReader)); !taken) return taken.error();
  const std::uint32_t writer_count = std::max(link.shape.lane_count, std::uint32_t{1});
  for (std::uint32_t lane = 0; lane < writer_count; ++lane) {
    if (Status taken = take(writer_byte(link.shape, lane)); !taken) return taken.error();
  }
  return all;
}

// Whether nothing was ever published, nor said to have ended.  Requires: every role is ours.
Result<bool> is_untouched(const OpenLink& link) noexcept {
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  Result<Mapping> mapped = Mapping::map(link.file.read_only_fd(), offset_of(link, Role::kWriter, 0),
                                        link.header.page_bytes, options);
  if (!mapped) return mapped.error();
  const Mapping& writer = *mapped;
  // relaxed, both: taking the certificate ordered us after the last writer.
  const auto* page = reinterpret_cast<const ProducerPage*>(writer.bytes().data());
  return page->tail.load(std::memory_order_relaxed) == 0 &&
         end_page(writer).state.load(std::memory_order_relaxed) !=
             static_cast<std::uint32_t>(EndState::kClosed);
}

// Requires: every role of it is ours.
Result<bool> remove_named(const SegmentDirectory& directory, std::string_view name,
                          const OpenLink& link) noexcept {
  // Somebody else may have removed it before, and the name be another's.
  if (Status named = check_named(link); !named) return false;
  const Status removed = remove_segment(directory, name);
  if (!removed && removed.error().code != ErrorCode::kNotFound) return removed.error();
  return removed.ok();
}

}  // namespace

Result<bool> remove_if_idle(const SegmentDirectory& directory, std::string_view name) noexcept {
  Result<OpenLink> link = open_link(directory, name);
  if (!link &&
      (link.error().code == ErrorCode::kNotFound || link.error().code == ErrorCode::kCorruptPeer)) {
    return false;  // nothing, or what is no link
  }
  if (!link) return link.error();
  if (!is_lane_set(link->shape) || !link->shape.goes_when_idle) return false;
  Result<std::vector<Certificate>> all = take_everything(*link);
  if (!all && all.error().code == ErrorCode::kBusy) return false;
  if (!all) return all.error();
  for (std::uint32_t lane = 0; lane < link->shape.lane_count; ++lane) {
    Result<bool> read = is_read(*link, lane);
    if (!read || !*read) return read;
  }
  return remove_named(directory, name, *link);
}

Result<bool> remove_if_untouched(const SegmentDirectory& directory, std::string_view name,
                                 std::uint64_t inode) noexcept {
  Result<OpenLink> link = open_link(directory, name);
  if (!link && link.error().code == ErrorCode::kNotFound) return false;
  if (!link) return link.error();
  if (is_lane_set(link->shape) || link->file.inode() != inode) return false;
  Result<std::vector<Certificate>> all = take_everything(*link);
  if (!all && all.error().code == ErrorCode::kBusy) return false;
  if (!all) return all.error();
  Result<bool> untouched = is_untouched(*link);
  if (!untouched || !*untouched) return untouched;
  return remove_named(directory, name, *link);
}

}  // namespace slipring
