#include "tools/tail/tail.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "pipelines/link/broadcast_tap.h"
#include "pipelines/link/link_tap.h"
#include "pipelines/link/topic_lanes.h"
#include "platform/wait/clock.h"
#include "platform/wait/waiter.h"
#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "tail";
// A guarded link's writer may have been replaced meanwhile.
constexpr std::uint64_t kLookNs = 50'000'000;

std::string in_hex(const std::vector<std::byte>& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<std::size_t>(byte >> 4)];
    text += kDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return text;
}

// One line, whatever is in it: what cannot be printed is escaped as in C.
std::string in_text(const std::vector<std::byte>& bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    const char letter = static_cast<char>(byte);
    if (letter == '\\') {
      text += "\\\\";
    } else if (letter == '\n') {
      text += "\\n";
    } else if (letter == '\t') {
      text += "\\t";
    } else if (letter >= ' ' && letter <= '~') {
      text += letter;
    } else {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", std::to_integer<unsigned>(byte));
      text += escaped.data();
    }
  }
  return text;
}

void show(const TailRequest& request, const TappedMessage& message, std::uint64_t lost) {
  if (request.raw) {
    print({reinterpret_cast<const char*>(message.bytes.data()), message.bytes.size()});
  } else if (request.json) {
    JsonWriter json;
    json.begin_document();
    json.member("position", message.position);
    json.member("size_bytes", std::uint64_t{message.bytes.size()});
    json.member("hex", in_hex(message.bytes));
    json.member("lost", lost);
    print(json.end_document());
  } else {
    print((request.hex ? in_hex(message.bytes) : in_text(message.bytes)) + "\n");
  }
}

ExitStatus complain_attach(const SegmentDirectory& directory, const TailRequest& request,
                           const Error& error) {
  if (error.code == ErrorCode::kNotFound) {
    Result<std::vector<std::string>> names = list_segments(directory);
    complain(kCommand,
             explain_missing(directory, names ? *names : std::vector<std::string>{}, request.name));
    return ExitStatus::kNotFound;
  }
  if (error.code == ErrorCode::kUnsupported) {
    complain(kCommand, "cannot listen to " + request.name +
                           ": a board has numbers and no messages; `slipring stat` shows them");
    return ExitStatus::kFailure;
  }
  return complain(kCommand, "cannot listen to " + request.name, error);
}

std::optional<std::uint64_t> read_count(const TailRequest& request) {
  if (request.count.empty()) return UINT64_MAX;
  std::uint64_t count = 0;
  const char* end = request.count.data() + request.count.size();
  const auto [stop, fault] = std::from_chars(request.count.data(), end, count);
  if (fault == std::errc{} && stop == end && count != 0) return count;
  complain(kCommand, "--count '" + request.count + "' is no positive whole number");
  return std::nullopt;
}

// Below, a Tap is a LinkTap or a BroadcastTap.

template <typename Tap>
bool has_news(const std::vector<Tap>& taps) {
  return std::any_of(taps.begin(), taps.end(), [](const Tap& tap) { return tap.has_news(); });
}

// Whoever has written has closed, and somebody has.
template <typename Tap>
bool is_over(const std::vector<Tap>& taps) {
  return std::any_of(taps.begin(), taps.end(), [](const Tap& tap) { return tap.is_over(); }) &&
         std::all_of(taps.begin(), taps.end(),
                     [](const Tap& tap) { return tap.is_over() || !tap.has_begun(); });
}

template <typename Tap>
std::uint64_t lost_of(const std::vector<Tap>& taps) {
  std::uint64_t lost = 0;
  for (const Tap& tap : taps) lost += tap.lost();
  return lost;
}

// One round through the lanes: whether there was anything.
template <typename Tap>
bool show_round(const TailRequest& request, std::vector<Tap>& taps, std::uint64_t& left) {
  bool has_moved = false;
  for (Tap& tap : taps) {
    if (left == 0) return true;
    TappedMessage message;
    const TapAnswer answer = tap.next(message);
    if (answer != TapAnswer::kNothing) has_moved = true;
    if (answer != TapAnswer::kMessage) continue;
    show(request, message, tap.lost());
    --left;
  }
  return has_moved;
}

// `look_for_more` adds what has come meanwhile to listen to.
template <typename Tap, typename LookForMore>
ExitStatus listen(const TailRequest& request, std::vector<Tap>& taps, std::uint64_t left,
                  LookForMore look_for_more) {
  const std::atomic<bool>& stop = heed_stop_signals();
  Waiter waiter({.strategy = WaitStrategy::kSleep});
  std::uint64_t lost = 0;
  while (left != 0 && !output_is_lost()) {
    if (show_round(request, taps, left)) continue;
    if (const std::uint64_t now = lost_of(taps); now != lost) {
      remark(kCommand, std::to_string(now - lost) + " positions went by unseen");
      lost = now;
    }
    if (look_for_more()) continue;
    // relaxed: nothing else is published with it.
    if (stop.load(std::memory_order_relaxed) || is_over(taps)) break;
    static_cast<void>(waiter.wait(
        {}, [&] { return has_news(taps) || is_over(taps) || stop.load(std::memory_order_relaxed); },
        deadline_after(kLookNs)));
  }
  die_of_stop_signal();
  return ExitStatus::kOk;
}

// A topic, with the lanes of all who publish in it.
class TopicTaps {
 public:
  TopicTaps(const SegmentDirectory& directory, std::string name)
      : directory_(directory), name_(std::move(name)) {}

  Status attach(TapStart start) {
    Result<BroadcastTap> first = BroadcastTap::attach(directory_, name_, start);
    if (!first) return first.error();
    taps_.push_back(std::move(first).value());
    is_joined_[0] = true;
    static_cast<void>(look_for_more(start));
    return {};
  }
  // A lane that cannot be listened to is nobody's reason to hear nothing of the others.
  bool look_for_more(TapStart start) {
    bool has_more = false;
    for (std::uint32_t lane = 1; lane < kMaxTopicLanes; ++lane) {
      if (is_joined_[lane]) continue;
      Result<BroadcastTap> tap =
          BroadcastTap::attach(directory_, topic_lane_name(name_, lane), start);
      if (!tap) continue;
      taps_.push_back(std::move(tap).value());
      is_joined_[lane] = has_more = true;
    }
    return has_more;
  }
  [[nodiscard]] std::vector<BroadcastTap>& taps() { return taps_; }

 private:
  const SegmentDirectory& directory_;
  std::string name_;
  std::vector<BroadcastTap> taps_;
  std::array<bool, kMaxTopicLanes> is_joined_{};
};

}  // namespace

ExitStatus tail(const TailRequest& request) {
  std::optional<std::uint64_t> left = read_count(request);
  if (!left) return ExitStatus::kUsage;
  if (request.raw + request.hex + request.json > 1) {
    complain(kCommand, "--raw, --hex and --json exclude each other");
    return ExitStatus::kUsage;
  }
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;
  const TapStart start = request.unread ? TapStart::kUnread : TapStart::kNew;
  Result<std::vector<LinkTap>> taps = LinkTap::attach(*directory, request.name, start);
  if (taps) return listen(request, *taps, *left, [] { return false; });
  if (taps.error().code != ErrorCode::kUnsupported ||
      taps.error().found != static_cast<std::uint64_t>(SegmentKind::kBroadcastLink)) {
    return complain_attach(*directory, request, taps.error());
  }
  TopicTaps topic(*directory, request.name);
  if (Status attached = topic.attach(start); !attached) {
    return complain_attach(*directory, request, attached.error());
  }
  // What comes in a lane that is new is new from its beginning.
  return listen(request, topic.taps(), *left,
                [&] { return topic.look_for_more(TapStart::kUnread); });
}

}  // namespace slipring::tools
