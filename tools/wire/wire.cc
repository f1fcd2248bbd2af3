#include "tools/wire/wire.h"

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "pipelines/wire/wire_loop.h"
#include "tools/cli/json.h"
#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "wire";

using wire::LinkSide;
using wire::WireAddress;
using wire::WireEvent;
using wire::WireLoop;

const char* name_of(WireEvent::Kind kind) {
  switch (kind) {
    case WireEvent::Kind::kCarrying:
      return "carrying";
    case WireEvent::Kind::kBroken:
      return "broken";
    case WireEvent::Kind::kOver:
      return "over";
    case WireEvent::Kind::kRefused:
      return "refused";
    case WireEvent::Kind::kFailed:
      return "failed";
  }
  return "unknown";
}

void say(bool json, const char* event, const std::string& link, const std::string& words) {
  if (json) {
    JsonWriter writer;
    writer.begin_document();
    writer.member("event", event);
    if (link.empty()) {
      writer.null_member("link");
    } else {
      writer.member("link", link);
    }
    writer.member("words", words);
    print(writer.end_document());
    return;
  }
  remark(kCommand,
         (link.empty() ? "a client" : link) + ": " + event + (words.empty() ? "" : ": " + words));
}

struct Carried {
  std::string link;
  std::string wire_name;
  LinkSide side;
};

// LINK, or LINK=NAME.  A name behind the address goes for a link that has none of its own.
std::optional<std::vector<Carried>> read_links(const WireRequest& request,
                                               const WireAddress& address) {
  std::vector<Carried> all;
  const auto read = [&](const std::vector<std::string>& texts, LinkSide side) {
    for (const std::string& text : texts) {
      const std::size_t equals = text.find('=');
      const std::string link = text.substr(0, equals);
      const std::string name = equals == std::string::npos ? link : text.substr(equals + 1);
      all.push_back({link, name, side});
    }
  };
  read(request.sends, LinkSide::kSender);
  read(request.receives, LinkSide::kReceiver);
  if (all.empty()) {
    complain(kCommand, "nothing to carry: give --send LINK or --receive LINK");
    return std::nullopt;
  }
  if (address.link.empty()) return all;
  if (all.size() != 1) {
    complain(kCommand, "an address with a link's name is for one link; write LINK=NAME instead");
    return std::nullopt;
  }
  all.front().wire_name = address.link;
  return all;
}

std::optional<WireAddress> read_address(const WireRequest& request) {
  if (request.listen.empty() == request.connect.empty()) {
    complain(kCommand, "give --listen ADDRESS or --connect ADDRESS");
    return std::nullopt;
  }
  const std::string& text = request.listen.empty() ? request.connect : request.listen;
  std::string fault;
  std::optional<WireAddress> address = wire::parse_wire_address(text, fault);
  if (!address) complain(kCommand, "'" + text + "': " + fault);
  return address;
}

ExitStatus complain_address(const WireLoop& loop, const char* what, const std::string& text,
                            const Error& error) {
  if (loop.tls_fault().empty()) return complain(kCommand, what + text, error);
  complain(kCommand, loop.tls_fault());
  return exit_status_of(error.code);
}

ExitStatus begin(WireLoop& loop, const WireRequest& request, const WireAddress& address,
                 const std::vector<Carried>& links) {
  if (request.listen.empty()) {
    for (const Carried& one : links) {
      const Status dialled = loop.dial(address, one.link, one.wire_name, one.side);
      if (!dialled) {
        return complain_address(loop, "cannot carry ", one.link, dialled.error());
      }
    }
    return ExitStatus::kOk;
  }
  const Status listening = loop.listen(address);
  if (!listening) {
    return complain_address(loop, "cannot listen at ", request.listen, listening.error());
  }
  for (const Carried& one : links) loop.offer(one.link, one.wire_name, one.side);
  const bool has_port = address.kind != WireAddress::Kind::kUnix;
  say(request.json, "listening", {},
      has_port ? "port " + std::to_string(loop.port()) : address.path);
  return ExitStatus::kOk;
}

}  // namespace

ExitStatus wire(const WireRequest& request) {
  const std::optional<WireAddress> address = read_address(request);
  if (!address) return ExitStatus::kUsage;
  const std::optional<std::vector<Carried>> links = read_links(request, *address);
  if (!links) return ExitStatus::kUsage;
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;

  const std::atomic<bool>& stop = heed_stop_signals();
  wire::WireLoopOptions options;
  options.ends_with_offers = request.once;
  Result<std::unique_ptr<WireLoop>> made = WireLoop::create(*directory, options);
  if (!made) return complain(kCommand, "cannot begin", made.error());
  WireLoop& loop = **made;
  loop.tell([&](const WireEvent& event) {
    say(request.json, name_of(event.kind), event.link, event.words);
  });
  status = begin(loop, request, *address, *links);
  if (status != ExitStatus::kOk) return status;
  const bool is_carried = loop.run(stop);
  // relaxed: nothing else is published with it.
  if (stop.load(std::memory_order_relaxed)) die_of_stop_signal();
  return is_carried ? ExitStatus::kOk : ExitStatus::kFailure;
}

}  // namespace slipring::tools
