#include "pipelines/array/nbd/nbd_request.h"

#include <errno.h>

#include "core/error/check.h"
#include "pipelines/array/nbd/option_haggling.h"

namespace slipring::array {
namespace {

bool is_aligned(const NbdRequest& request, const BlockExport& block) noexcept {
  return ((request.offset | request.length) & (block.block_bytes_min - 1)) == 0;
}

bool is_within(const NbdRequest& request, const BlockExport& block) noexcept {
  return request.offset <= block.size_bytes && request.length <= block.size_bytes - request.offset;
}

// The flags that the command may have; FUA says nothing where nothing is written, and is allowed.
std::uint16_t allowed_flags(NbdCommand command, const BlockExport& block,
                            bool has_structured_replies) noexcept {
  switch (command) {
    case NbdCommand::kRead:
      return has_structured_replies ? kFlagFua | kFlagDontFragment : kFlagFua;
    case NbdCommand::kWriteZeroes:
      return (block.flags & kExportCanFastZero) != 0 ? kFlagFua | kFlagNoHole | kFlagFastZero
                                                     : kFlagFua | kFlagNoHole;
    case NbdCommand::kBlockStatus:
      return kFlagFua | kFlagOneExtent;
    default:
      return kFlagFua;
  }
}

bool is_offered(NbdCommand command, const BlockExport& block, bool has_allocation_context) {
  switch (command) {
    case NbdCommand::kTrim:
      return (block.flags & kExportCanTrim) != 0;
    case NbdCommand::kWriteZeroes:
      return (block.flags & kExportCanWriteZeroes) != 0;
    case NbdCommand::kBlockStatus:
      return has_allocation_context;
    case NbdCommand::kDisconnect:  // has no answer
      return false;
    default:
      return true;
  }
}

}  // namespace

std::optional<NbdRequest> parse_request(std::span<const std::byte> bytes) noexcept {
  check(bytes.size() >= kRequestBytes, "a request that is there");
  if (get_big_endian<std::uint32_t>(bytes, 0) != kRequestMagic) return std::nullopt;
  NbdRequest request;
  request.flags = get_big_endian<std::uint16_t>(bytes, 4);
  request.command = get_big_endian<std::uint16_t>(bytes, 6);
  request.cookie = get_big_endian<std::uint64_t>(bytes, 8);
  request.offset = get_big_endian<std::uint64_t>(bytes, 16);
  request.length = get_big_endian<std::uint32_t>(bytes, 24);
  return request;
}

NbdError judge_request(const NbdRequest& request, const BlockExport& block,
                       bool has_structured_replies, bool has_allocation_context) noexcept {
  const auto command = static_cast<NbdCommand>(request.command);
  if (request.command > static_cast<std::uint16_t>(NbdCommand::kBlockStatus) ||
      !is_offered(command, block, has_allocation_context) ||
      (request.flags & ~allowed_flags(command, block, has_structured_replies)) != 0) {
    return NbdError::kInvalid;
  }
  if (command == NbdCommand::kFlush) {
    return request.offset == 0 && request.length == 0 ? NbdError::kNone : NbdError::kInvalid;
  }
  const bool changes = command == NbdCommand::kWrite || command == NbdCommand::kTrim ||
                       command == NbdCommand::kWriteZeroes;
  if (changes && (block.flags & kExportIsReadOnly) != 0) return NbdError::kPermission;
  if (request.length == 0) return NbdError::kInvalid;
  if (!is_within(request, block)) {
    const bool wants_space = command == NbdCommand::kWrite || command == NbdCommand::kWriteZeroes;
    return wants_space ? NbdError::kNoSpace : NbdError::kInvalid;
  }
  if (!is_aligned(request, block)) return NbdError::kInvalid;
  if (has_data(request.command) && request.length > kPayloadBytesMax) return NbdError::kInvalid;
  const bool is_whole = command == NbdCommand::kRead && (request.flags & kFlagDontFragment) != 0;
  if (is_whole && request.length > kBlockBufferBytes) return NbdError::kOverflow;
  return NbdError::kNone;
}

NbdError nbd_error_of(std::uint32_t os_errno) noexcept {
  switch (os_errno) {
    case 0:
      return NbdError::kNone;
    case EPERM:
    case EROFS:
      return NbdError::kPermission;
    case ENOMEM:
      return NbdError::kNoMemory;
    case EINVAL:
      return NbdError::kInvalid;
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
      return NbdError::kNoSpace;
    case EOVERFLOW:
      return NbdError::kOverflow;
    case ENOTSUP:
      return NbdError::kUnsupported;
    case ESHUTDOWN:
    case ECANCELED:
      return NbdError::kShutdown;
    default:
      return NbdError::kIo;
  }
}

BlockOperation block_operation(std::uint16_t command) noexcept {
  switch (static_cast<NbdCommand>(command)) {
    case NbdCommand::kRead:
      return BlockOperation::kRead;
    case NbdCommand::kWrite:
      return BlockOperation::kWrite;
    case NbdCommand::kFlush:
      return BlockOperation::kFlush;
    case NbdCommand::kTrim:
      return BlockOperation::kTrim;
    case NbdCommand::kCache:
      return BlockOperation::kCache;
    case NbdCommand::kWriteZeroes:
      return BlockOperation::kWriteZeroes;
    case NbdCommand::kBlockStatus:
      return BlockOperation::kBlockStatus;
    case NbdCommand::kDisconnect:
      break;
  }
  check(false, "a command that goes to the back end");
  return BlockOperation::kRead;
}

std::uint8_t block_flags(std::uint16_t nbd_flags) noexcept {
  unsigned flags = 0;
  if ((nbd_flags & kFlagFua) != 0) flags |= kForceUnitAccess;
  if ((nbd_flags & kFlagNoHole) != 0) flags |= kNoHole;
  if ((nbd_flags & kFlagFastZero) != 0) flags |= kFastZero;
  if ((nbd_flags & kFlagOneExtent) != 0) flags |= kOneExtent;
  return static_cast<std::uint8_t>(flags);
}

}  // namespace slipring::array
