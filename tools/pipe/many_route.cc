#include "tools/pipe/many_route.h"

#include <errno.h>

#include <utility>

#include "pipelines/adapter/broadcast_messages.h"
#include "pipelines/adapter/lane_meeting.h"
#include "pipelines/adapter/lane_messages.h"
#include "pipelines/link/broadcast_layout.h"
#include "pipelines/link/guarded_end.h"
#include "pipelines/link/link_segment.h"
#include "pipelines/link/topic_lanes.h"
#include "platform/wait/clock.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

// Of a topic that is made: small news, a MiB of them.
constexpr BroadcastShape kTopicShape{1024, 1016, 16, BroadcastPolicy::kOverwrite, 0};

bool is_utf8(std::span<const std::byte> bytes) noexcept {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto first = std::to_integer<unsigned>(bytes[at]);
    const std::size_t more = first < 0x80   ? 0
                             : first < 0xc2 ? 9
                             : first < 0xe0 ? 1
                             : first < 0xf0 ? 2
                             : first < 0xf5 ? 3
                                            : 9;
    if (more == 9 || bytes.size() - at <= more) return false;
    std::uint32_t letter = more == 0 ? first : first & (0x3fU >> more);
    for (std::size_t i = 1; i <= more; ++i) {
      const auto next = std::to_integer<unsigned>(bytes[at + i]);
      if ((next & 0xc0U) != 0x80) return false;
      letter = letter << 6 | (next & 0x3fU);
    }
    const bool is_surrogate = letter >= 0xd800 && letter < 0xe000;
    const bool is_overlong = (more == 2 && letter < 0x800) || (more == 3 && letter < 0x10000);
    if (is_surrogate || is_overlong || letter > 0x10ffff) return false;
    at += more + 1;
  }
  return true;
}

std::string hex_of(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

void write_payload(JsonWriter& json, std::span<const std::byte> bytes) {
  json.member("bytes", std::uint64_t{bytes.size()});
  if (is_utf8(bytes)) {
    json.member("text",
                std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  } else {
    json.member("hex", hex_of(bytes));
  }
}

void describe_sender(const LinkPeer& sender, JsonWriter& json) {
  json.begin_object("sender");
  json.member("pid", static_cast<std::int64_t>(sender.process_id));
  json.member("uid", static_cast<std::uint32_t>(sender.user));
  json.member("gid", static_cast<std::uint32_t>(sender.group));
  json.member("incarnation", sender.incarnation);
  json.member("by_kernel", sender.is_known);
  json.member("protection_level", slipring::name_of(sender.protection));
  json.end_object();
}

void describe_news(const TopicMessage& news, JsonWriter& json) {
  write_payload(json, news.message.bytes);
  json.member("position", news.message.position);
  json.member("lost", news.message.lost);
  json.member("redelivered", news.message.redelivered);
  json.member("lane", news.lane);
  if (news.sender.incarnation != 0) describe_sender(news.sender, json);
}

void describe_letter(const LaneMessage& letter, JsonWriter& json) {
  write_payload(json, letter.message.bytes);
  json.member("lane", letter.lane);
  json.member("redelivered", letter.message.redelivered);
  describe_sender(letter.sender, json);
  if (!letter.origin) return;
  json.begin_object("on_behalf_of");
  json.member("name", letter.origin->name());
  const LaneProcess& process = letter.origin->process;
  json.member("pid", process.process_id);
  json.member("uid", process.user);
  json.member("gid", process.group);
  json.member("incarnation", process.incarnation);
  json.member("by_kernel", process.is_by_kernel);
  json.end_object();
}

// Who or what is in the way, of an error that may pass.
std::string obstacle(const std::string& name, const Error& error) {
  if (error.code == ErrorCode::kNoSpace) {
    return std::to_string(error.found) +
           " lanes hold messages of senders that are gone, and the others have senders: somebody "
           "must read first (`slipring get " +
           name + "`)";
  }
  if (error.os_errno == ENXIO) {
    return "nobody reads it (`slipring get " + name +
           "`); --no-wait leaves messages for whoever comes";
  }
  if (error.found == 0 && error.wanted != 0) {
    return "all " + std::to_string(error.wanted) + " are taken by living processes";
  }
  return "process " + std::to_string(error.found) + " is";
}

// What the endpoint's kind says that there is; nothing for a link of any kind.
Status make_many(const Route& route, const Endpoint& endpoint) {
  if (endpoint.kind == Endpoint::Kind::kMailbox) {
    return make_lane_set(route.directory, endpoint.path, route.meeting.capacity_bytes,
                         route.meeting.segment);
  }
  if (endpoint.kind != Endpoint::Kind::kTopic) return {};
  Result<std::unique_ptr<GuardedView>> guarded =
      GuardedView::attach(route.directory, endpoint.path);
  // Not even for us to look at: it is there.
  if (guarded || !is_no_rendezvous(guarded.error())) return {};
  const Status made =
      create_broadcast(route.directory, endpoint.path, kTopicShape, route.meeting.segment);
  if (!made && made.error().code == ErrorCode::kExists) return {};
  return made;
}

ExitStatus complain_joining(const Route& route, const std::string& name, const char* as,
                            const Error& error) {
  const std::string what = "cannot be a " + std::string(as) + " of " + name;
  if (error.code != ErrorCode::kBusy && error.code != ErrorCode::kNoSpace) {
    return complain(route.command, what, error);
  }
  complain(route.command, what + ": " + obstacle(name, error));
  return ExitStatus::kWouldBlock;
}

// How to wait for the other side, and to say so.
LaneMeetingOptions meeting_of(const Route& route, const Endpoint& endpoint) {
  const std::string& name = endpoint.path;
  const bool is_made = endpoint.kind == Endpoint::Kind::kMailbox;
  LaneMeetingOptions options = route.lanes;
  if (is_made) options.making = LaneMaking{route.meeting.capacity_bytes, route.meeting.segment};
  options.on_wait = [&route, name](const Error& why) {
    remark(route.command, "waiting for " + name + ": " + obstacle(name, why));
  };
  return options;
}

}  // namespace

std::optional<SegmentKind> find_many(const Route& route, const Endpoint& endpoint,
                                     ExitStatus& status) {
  status = ExitStatus::kOk;
  const bool is_topic = endpoint.kind == Endpoint::Kind::kTopic;
  const bool is_mailbox = endpoint.kind == Endpoint::Kind::kMailbox;
  if (endpoint.kind != Endpoint::Kind::kRing && !is_topic && !is_mailbox) return std::nullopt;
  if (Status made = make_many(route, endpoint); !made) {
    status = complain(route.command, "cannot make " + endpoint.path, made.error());
    return std::nullopt;
  }
  Result<std::unique_ptr<GuardedView>> view = GuardedView::attach(route.directory, endpoint.path);
  if (view && is_lane_set((*view)->shape()) && !is_topic) return SegmentKind::kLaneSet;
  if (view && (*view)->is_broadcast() && !is_mailbox) return SegmentKind::kBroadcastLink;
  // Of one that is not ours to look at, an end may be ours to have.
  if (!view && !is_no_rendezvous(view.error())) {
    if (is_mailbox) return SegmentKind::kLaneSet;
    if (is_topic) return SegmentKind::kBroadcastLink;
  }
  const auto refuse = [&](SegmentKind kind) -> std::optional<SegmentKind> {
    complain(route.command, endpoint.path + " is no " + (is_topic ? "topic" : "mailbox") +
                                " but carries " + slipring::name_of(kind) +
                                "; choose another name");
    status = ExitStatus::kVersion;
    return std::nullopt;
  };
  const bool is_asked_for = is_topic || is_mailbox;
  if (view && is_asked_for) return refuse(segment_kind((*view)->shape()));
  Result<SegmentFile> file = SegmentFile::open(route.directory, endpoint.path);
  if (!file) return std::nullopt;  // one of a single writer is made, or the same is said there
  Result<SegmentHeader> header = read_header(*file);
  if (!header) return std::nullopt;
  const SegmentKind kind = header->kind;
  if (kind == SegmentKind::kLaneSet && !is_topic) return kind;
  if (kind == SegmentKind::kBroadcastLink && !is_mailbox) return kind;
  return is_asked_for ? refuse(kind) : std::nullopt;
}

ExitStatus open_many_source(const Route& route, SegmentKind kind, DescribedSource& opened) {
  const std::string& name = route.from.path;
  if (kind == SegmentKind::kLaneSet) {
    Result<LaneReader> set =
        meet_as_reader_of_lanes(route.directory, name, meeting_of(route, route.from));
    if (!set) return complain_joining(route, name, "reader", set.error());
    auto source = std::make_unique<LaneSource>(std::move(set).value(), route.pump);
    opened.describe = [from = source.get()](JsonWriter& json) {
      describe_letter(from->last(), json);
    };
    opened.source = std::move(source);
    return ExitStatus::kOk;
  }
  Result<TopicReader> topic = TopicReader::attach(
      route.directory, name,
      route.limits.from_oldest ? BroadcastJoin::kOldest : BroadcastJoin::kNewest);
  if (!topic) return complain_joining(route, name, "reader", topic.error());
  auto source = std::make_unique<BroadcastSource>(std::move(topic).value(), route.pump);
  opened.describe = [from = source.get()](JsonWriter& json) { describe_news(from->last(), json); };
  opened.source = std::move(source);
  return ExitStatus::kOk;
}

ExitStatus open_many_sink(const Route& route, SegmentKind kind,
                          std::unique_ptr<MessageSink>& sink) {
  const std::string& name = route.to.path;
  if (kind == SegmentKind::kLaneSet) {
    Result<LinkWriter> lane = meet_as_sender(route.directory, name, meeting_of(route, route.to));
    if (!lane) return complain_joining(route, name, "sender", lane.error());
    sink = std::make_unique<LaneSink>(std::move(lane).value(), route.pump);
    return ExitStatus::kOk;
  }
  Result<BroadcastSender> link = attach_publisher(route.directory, name);
  if (!link && link.error().code == ErrorCode::kBusy && link.error().found != 0) {
    complain(route.command, "cannot publish to " + name + ": process " +
                                std::to_string(link.error().found) +
                                " does; a guarded topic, and one that blocks or evicts, has one "
                                "publisher at a time: send to a mailbox, or make the topic named "
                                "and overwriting");
    return ExitStatus::kWouldBlock;
  }
  if (!link) return complain_joining(route, name, "writer", link.error());
  sink = std::make_unique<BroadcastSink>(std::move(link).value(), route.pump);
  return ExitStatus::kOk;
}

Result<Passage> JsonSource::try_take(std::span<const std::byte>& message) noexcept {
  Result<Passage> took = inner_.source->try_take(message);
  if (!took) return took;
  if (*took == Passage::kEnded) return end(inner_.source->ended_by());
  if (*took == Passage::kBlocked) return took;
  JsonWriter json;
  json.begin_document();
  inner_.describe(json);
  lines_.push_back(json.end_document());
  lines_.back().pop_back();  // the line's end is the sink's
  message = std::as_bytes(std::span<const char>(lines_.back()));
  return took;
}

void JsonSource::finish_taken() noexcept {
  inner_.source->finish_taken();
  lines_.clear();
}

Result<Passage> JsonSource::wait(int alarm_fd) noexcept {
  Result<Passage> waited = inner_.source->wait(alarm_fd);
  if (waited && *waited == Passage::kEnded) return end(inner_.source->ended_by());
  return waited;
}

LimitedSource::LimitedSource(std::unique_ptr<MessageSource> inner, const ReadLimits& limits)
    : inner_(std::move(inner)),
      limits_(limits),
      deadline_ns_(limits.wait_ns != 0 ? deadline_after(limits.wait_ns) : kNoDeadline) {}

Result<Passage> LimitedSource::try_take(std::span<const std::byte>& message) noexcept {
  if (limits_.count != 0 && taken_count_ == limits_.count) return end(PumpEnd::kEndOfInput);
  Result<Passage> took = inner_->try_take(message);
  if (took && *took == Passage::kEnded) return end(inner_->ended_by());
  if (took && *took == Passage::kDone) {
    ++taken_count_;
    if (limits_.wait_ns != 0) deadline_ns_ = deadline_after(limits_.wait_ns);
  }
  return took;
}

Result<Passage> LimitedSource::wait(int alarm_fd) noexcept {
  Result<Passage> waited = inner_->wait(alarm_fd);
  if (waited && *waited == Passage::kEnded) return end(inner_->ended_by());
  if (!waited || deadline_ns_ == kNoDeadline || monotonic_ns() < deadline_ns_) return waited;
  has_timed_out_ = true;
  return end(PumpEnd::kEndOfInput);
}

void LimitedSource::close() noexcept {
  // Having had enough is no end of the link: a successor goes on.
  const bool has_enough = limits_.count != 0 && taken_count_ == limits_.count;
  if (!has_enough && !has_timed_out_) inner_->close();
}

}  // namespace slipring::tools
