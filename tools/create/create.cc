#include "tools/create/create.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>
#include <vector>

#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/quantity.h"
#include "platform/memory/segment_file.h"
#include "tools/cli/json.h"
#include "tools/cli/segment_owner.h"
#include "tools/cli/selection.h"
#include "tools/cli/table.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/create/guarded_set.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "create";

struct Part {
  std::string name;
  std::string writer;  // whose role may write it
  std::uint64_t offset_bytes;
  std::uint64_t size_bytes;
};

bool refuse(const std::string& what) {
  complain(kCommand, what + "; see `slipring create --help`");
  return false;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number number{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Records or a stream.
bool read_bytes(const CreateRequest& request, SegmentKind kind, LinkShape& shape) {
  shape.kind = kind;
  if (!request.slots.empty() || !request.slot_size.empty() || !request.pool.empty()) {
    return refuse("--slots, --slot-size and --pool belong to --kind slots, not to " + request.kind);
  }
  if (request.capacity.empty()) {
    return refuse("--kind " + request.kind + " needs --capacity, 4MiB for example");
  }
  const std::optional<std::uint64_t> capacity_bytes = parse_size_bytes(request.capacity);
  if (!capacity_bytes) {
    return refuse("--capacity '" + request.capacity + "' is no size; write 65536, 64KiB, or 4MiB");
  }
  shape.capacity_bytes = *capacity_bytes;
  return true;
}

bool read_slots(const CreateRequest& request, SegmentKind kind, LinkShape& shape) {
  shape.kind = kind;
  if (!request.capacity.empty())
    return refuse("--capacity belongs to --kind records and stream, not to " + request.kind);
  if (request.slots.empty() || request.slot_size.empty()) {
    return refuse("--kind " + request.kind + " needs --slots and --slot-size");
  }
  const auto slot_count = parse_number<std::uint64_t>(request.slots);
  if (!slot_count) return refuse("--slots '" + request.slots + "' is no whole number");
  const std::optional<std::uint64_t> slot_bytes = parse_size_bytes(request.slot_size);
  if (!slot_bytes || *slot_bytes > UINT32_MAX) {
    return refuse("--slot-size '" + request.slot_size + "' is no size below 4 GiB");
  }
  shape.slot_count = *slot_count;
  shape.slot_bytes = static_cast<std::uint32_t>(*slot_bytes);
  if (request.pool.empty()) return true;
  const std::optional<PoolSize> pool = parse_pool(request.pool);
  if (!pool) {
    return refuse("--pool '" + request.pool + "' is not COUNTxSIZE, 32x4MiB for example");
  }
  shape.pool_buffer_count = pool->buffer_count;
  shape.pool_buffer_bytes = pool->buffer_bytes;
  return true;
}

// Empty: what nobody asked for.
bool read_count(const char* option, const std::string& text, std::uint32_t otherwise,
                std::uint32_t& count) {
  count = otherwise;
  if (text.empty()) return true;
  const auto number = parse_number<std::uint32_t>(text);
  if (!number || *number == 0) {
    return refuse(std::string(option) + " '" + text + "' is no positive whole number");
  }
  count = *number;
  return true;
}

// Many senders, one reader: a lane each.
bool read_lanes(const CreateRequest& request, LinkShape& shape) {
  CreateRequest lane = request;
  if (lane.capacity.empty()) lane.capacity = "64KiB";
  return read_bytes(lane, SegmentKind::kRecordLink, shape) &&
         read_count("--lanes", request.lanes, 16, shape.lane_count);
}

// Its readers have no places, and nobody could be waited for.
bool are_options_of_guarded(const CreateRequest& request) {
  if (!request.readers.empty() || !request.lag.empty() ||
      (!request.policy.empty() && request.policy != "overwrite")) {
    return refuse("--guarded takes no --readers and no --lag, and --policy overwrite alone");
  }
  return true;
}

bool read_broadcast(const CreateRequest& request, BroadcastShape& shape) {
  LinkShape slots;
  if (request.guarded && !are_options_of_guarded(request)) return false;
  if (!request.credit.empty() || !request.pool.empty()) {
    return refuse("--credit and --pool do not go with --kind broadcast");
  }
  if (!read_slots(request, SegmentKind::kSlotLink, slots)) return false;
  shape.slot_count = slots.slot_count;
  shape.message_bytes = slots.slot_bytes;
  if (!read_count("--readers", request.readers, 16, shape.reader_count)) return false;
  if (request.policy == "block") {
    shape.policy = BroadcastPolicy::kBlock;
  } else if (request.policy == "evict") {
    shape.policy = BroadcastPolicy::kEvict;
  } else if (!request.policy.empty() && request.policy != "overwrite") {
    return refuse("--policy '" + request.policy + "' is none of overwrite, block, evict");
  }
  if (!request.lag.empty() && shape.policy != BroadcastPolicy::kEvict) {
    return refuse("--lag belongs to --policy evict");
  }
  std::uint32_t lag = 0;
  const auto half = static_cast<std::uint32_t>(slots.slot_count / 2);
  if (!read_count("--lag", request.lag, half, lag)) return false;
  if (shape.policy == BroadcastPolicy::kEvict) shape.lag_limit = lag;
  return true;
}

// What belongs to links of many alone.
bool are_options_of_many(const CreateRequest& request) {
  const bool is_set = request.kind == "lanes" || request.kind == "mailbox";
  const bool is_broadcast = request.kind == "broadcast";
  if (!request.lanes.empty() && !is_set) return refuse("--lanes belongs to --kind lanes, mailbox");
  if (request.guarded && !is_set && !is_broadcast) {
    return refuse("--guarded belongs to --kind lanes, mailbox, broadcast");
  }
  const bool has_readers =
      !request.readers.empty() || !request.policy.empty() || !request.lag.empty();
  if (has_readers && !is_broadcast) {
    return refuse("--readers, --policy and --lag belong to --kind broadcast");
  }
  return true;
}

bool read_shape(const CreateRequest& request, LinkShape& shape) {
  if (!are_options_of_many(request)) return false;
  if (request.kind == "records") {
    if (!read_bytes(request, SegmentKind::kRecordLink, shape)) return false;
  } else if (request.kind == "stream") {
    if (!read_bytes(request, SegmentKind::kStreamLink, shape)) return false;
  } else if (request.kind == "slots") {
    if (!read_slots(request, SegmentKind::kSlotLink, shape)) return false;
  } else if (request.kind == "values") {
    if (!read_slots(request, SegmentKind::kValueLink, shape)) return false;
  } else if (request.kind == "lanes" || request.kind == "mailbox") {
    if (!read_lanes(request, shape)) return false;
  } else {
    return refuse("--kind '" + request.kind +
                  "' is none of records, slots, values, stream, lanes, mailbox, broadcast");
  }
  if (request.credit.empty()) return true;
  const auto credit = parse_number<std::uint64_t>(request.credit);
  if (!credit || *credit == 0) {
    return refuse("--credit '" + request.credit + "' is no number of messages");
  }
  shape.credit_count = *credit;
  return true;
}

std::vector<Part> parts_of_many(const SegmentHeader& header) {
  const bool is_set = header.kind == SegmentKind::kLaneSet;
  return {{"header", "creator", 0, header.page_bytes},
          {is_set ? "lanes" : "slots", is_set ? "each one's writer" : "writer",
           header.regions[0].offset_bytes, header.regions[0].size_bytes},
          {is_set ? "reader's pages" : "readers' pages", is_set ? "reader" : "each reader",
           header.regions[1].offset_bytes, header.regions[1].size_bytes}};
}

std::vector<Part> parts_of_segment(const SegmentHeader& header, const LinkShape& shape) {
  if (is_lane_set(shape) || shape.kind == SegmentKind::kBroadcastLink) return parts_of_many(header);
  const LinkParts parts = parts_of(shape, header.page_bytes);
  const std::uint64_t writer = header.regions[0].offset_bytes;
  std::vector<Part> all;
  all.push_back({"header", "creator", 0, header.page_bytes});
  all.push_back({"writer's page", "writer", writer, parts.ring_offset});
  all.push_back({"ring", "writer", writer + parts.ring_offset,
                 (shape.pool_buffer_count != 0 ? parts.buffers_offset : parts.writer_bytes) -
                     parts.ring_offset});
  if (shape.pool_buffer_count != 0) {
    all.push_back({"pool buffers", "writer", writer + parts.buffers_offset,
                   parts.writer_bytes - parts.buffers_offset});
  }
  all.push_back(
      {"reader's page", "reader", header.regions[1].offset_bytes, header.regions[1].size_bytes});
  all.push_back(
      {"control lane", "commander", header.regions[2].offset_bytes, header.regions[2].size_bytes});
  return all;
}

std::string octal(std::uint32_t mode) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode);
  return text.data();
}

void print_json(const SegmentDirectory& directory, const SegmentFile& file,
                const SegmentHeader& header, const LinkShape& shape) {
  JsonWriter json;
  json.begin_document();
  json.member("name", file.name());
  json.member("directory", directory.path());
  const bool is_records = is_counted_in_bytes(shape);
  json.member("kind", slipring::name_of(segment_kind(shape)));
  if (is_lane_set(shape)) json.member("lane_count", shape.lane_count);
  if (is_records) {
    json.member("capacity_bytes", shape.capacity_bytes);
  } else {
    json.member("slot_count", shape.slot_count);
    json.member("slot_bytes", shape.slot_bytes);
    json.member("pool_buffer_count", shape.pool_buffer_count);
    json.member("pool_buffer_bytes", shape.pool_buffer_bytes);
  }
  json.member("credit_count", shape.credit_count);
  json.member("mode", octal(file.mode()));
  json.member("layout_version", header.version);
  json.member("page_bytes", header.page_bytes);
  json.member("total_bytes", header.total_bytes);
  json.begin_array("parts");
  for (const Part& part : parts_of_segment(header, shape)) {
    json.begin_object();
    json.member("name", part.name);
    json.member("writer", part.writer);
    json.member("offset_bytes", part.offset_bytes);
    json.member("size_bytes", part.size_bytes);
    json.end_object();
  }
  json.end_array();
  print(json.end_document());
}

std::string describe_shape(const LinkShape& shape) {
  std::string text;
  if (is_lane_set(shape)) {
    text = std::to_string(shape.lane_count) + " lanes of " + binary_size(shape.capacity_bytes);
  } else if (is_counted_in_bytes(shape)) {
    text = std::string(name_of(shape.kind)) + ", " + binary_size(shape.capacity_bytes);
  } else {
    text = std::to_string(shape.slot_count) + " " + slipring::name_of(shape.kind) + " of " +
           binary_size(shape.slot_bytes);
  }
  if (shape.pool_buffer_count != 0) {
    text += ", pool of " + std::to_string(shape.pool_buffer_count) + " x " +
            binary_size(shape.pool_buffer_bytes);
  }
  if (shape.credit_count != 0) text += ", credit " + std::to_string(shape.credit_count);
  return text;
}

void print_text(const SegmentDirectory& directory, const SegmentFile& file,
                const SegmentHeader& header, const LinkShape& shape) {
  const bool in_colour = wants_colour(STDOUT_FILENO);
  print(toned(file.name(), Tone::kStrong, in_colour) + "  " + describe_shape(shape) +
        "\nlayout version " + std::to_string(header.version) + ", pages of " +
        std::to_string(header.page_bytes) + " bytes, mode " + octal(file.mode()) + ", in " +
        directory.path() + "\n\n");
  Table table({{"PART"}, {"WRITTEN BY"}, {"OFFSET", Align::kRight}, {"BYTES", Align::kRight}});
  for (const Part& part : parts_of_segment(header, shape)) {
    table.add_row({part.name, part.writer, std::to_string(part.offset_bytes),
                   std::to_string(part.size_bytes)});
  }
  table.add_row({"total", "", "", std::to_string(header.total_bytes)});
  print(table.text(in_colour));
}

// What a header says, a broadcast link's in the words of slots.
Result<LinkShape> shape_in(const SegmentHeader& header) {
  if (header.kind != SegmentKind::kBroadcastLink) return shape_of(header);
  Result<BroadcastShape> broadcast = broadcast_shape_of(header);
  if (!broadcast) return broadcast.error();
  LinkShape shape;
  shape.kind = header.kind;
  shape.slot_count = broadcast->slot_count;
  shape.slot_bytes = broadcast->message_bytes;
  return shape;
}

ExitStatus complain_creation(const SegmentDirectory& directory, const std::string& what,
                             const Error& error) {
  if (error.code == ErrorCode::kInvalidArgument) {
    complain(kCommand, what + ": " + error.doing + ": " + std::to_string(error.found));
    return ExitStatus::kUsage;
  }
  struct statvfs system {};
  if (error.code == ErrorCode::kNoSpace && fstatvfs(directory.fd(), &system) == 0) {
    complain(kCommand, what + ": it takes " + binary_size(error.wanted) + ", and " +
                           directory.path() + " has " +
                           binary_size(std::uint64_t{system.f_bavail} * system.f_frsize) +
                           " free; remove segments, or mount it larger");
    return ExitStatus::kFailure;
  }
  return complain(kCommand, what, error);
}

}  // namespace

ExitStatus create(const CreateRequest& request) {
  LinkShape shape;
  BroadcastShape broadcast;
  const bool is_broadcast = request.kind == "broadcast";
  SegmentOptions options;
  if (!is_segment_name(request.name)) {
    refuse("'" + request.name +
           "' is no segment name: use 1 to 80 of A-Z a-z 0-9 . _ -, a letter or digit first");
    return ExitStatus::kUsage;
  }
  const bool is_read = is_broadcast
                           ? are_options_of_many(request) && read_broadcast(request, broadcast)
                           : read_shape(request, shape);
  if (!is_read || !read_owner(kCommand, request.mode, request.group, options))
    return ExitStatus::kUsage;
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  const std::string what = "cannot create " + request.name;
  if (request.guarded && is_broadcast) {
    shape.kind = SegmentKind::kBroadcastLink;
    shape.slot_count = broadcast.slot_count;
    shape.slot_bytes = broadcast.message_bytes;
  }
  if (request.guarded) return serve_guarded(*directory, request, shape, options);
  const Status created = is_broadcast
                             ? create_broadcast(*directory, request.name, broadcast, options)
                             : create_link(*directory, request.name, shape, options);
  if (!created) {
    if (created.error().code == ErrorCode::kExists) {
      complain(kCommand, what + ": the name is taken; `slipring rm " + request.name +
                             "` removes what is there, `slipring ls` shows whether it is used");
      return ExitStatus::kFailure;
    }
    return complain_creation(*directory, what, created.error());
  }
  // What is printed is what everybody will read, not what was asked for.
  Result<SegmentFile> file = SegmentFile::open(*directory, request.name);
  if (!file) return complain(kCommand, "cannot look at " + request.name, file.error());
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return complain(kCommand, "cannot look at " + request.name, header.error());
  Result<LinkShape> made = shape_in(*header);
  if (!made) return complain(kCommand, "cannot look at " + request.name, made.error());
  if (request.json) {
    print_json(*directory, *file, *header, *made);
  } else {
    print_text(*directory, *file, *header, *made);
  }
  return ExitStatus::kOk;
}

}  // namespace slipring::tools
