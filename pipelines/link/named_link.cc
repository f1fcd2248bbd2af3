#include "pipelines/link/named_link.h"

#include <errno.h>
#include <sys/stat.h>

#include <utility>

#include "core/ring/cursor_page.h"
#include "pipelines/link/link_segment.h"
#include "platform/memory/mapping.h"

namespace slipring {

Result<OpenLink> open_link(const SegmentDirectory& directory, std::string_view name) noexcept {
  Result<SegmentFile> file = SegmentFile::open(directory, name);
  if (!file) return file.error();
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return header.error();
  Result<LinkShape> shape = shape_of(*header);
  if (!shape) return shape.error();
  return OpenLink{std::move(file).value(), *header, *shape, parts_of(*shape, header->page_bytes)};
}

Result<bool> is_read(const OpenLink& link, std::uint32_t lane) noexcept {
  MappingOptions options;
  options.memory_lock = MemoryLock::kOff;
  const int fd = link.file.read_only_fd();
  Result<Mapping> writer =
      Mapping::map(fd, offset_of(link, Role::kWriter, lane), link.header.page_bytes, options);
  if (!writer) return writer.error();
  Result<Mapping> reader =
      Mapping::map(fd, offset_of(link, Role::kReader, lane), link.header.page_bytes, options);
  if (!reader) return reader.error();
  // relaxed: taking the certificate ordered us after the last writer.
  const std::uint64_t tail = reinterpret_cast<const ProducerPage*>(writer->bytes().data())
                                 ->tail.load(std::memory_order_relaxed);
  return reinterpret_cast<const ConsumerPage*>(reader->bytes().data())
             ->done.load(std::memory_order_acquire) == tail;  // cursor.D pairs with cursor.C
}

Status check_named(const OpenLink& link) noexcept {
  struct stat found {};
  if (fstat(link.file.read_only_fd(), &found) != 0) {
    return Error{ErrorCode::kSystem, errno, "look whether a link still has its name"};
  }
  if (found.st_nlink != 0) return {};
  return Error{ErrorCode::kNotFound, ENOENT, "take a role of a link that was just removed"};
}

}  // namespace slipring
