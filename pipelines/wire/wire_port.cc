#include "pipelines/wire/wire_port.h"

#include "pipelines/link/link_observer.h"

namespace slipring::wire {
namespace {

// Tells this ring from another of its name.
Result<std::uint64_t> created_ns_of(const SegmentDirectory& directory,
                                    std::string_view link) noexcept {
  Result<LinkObserver> observer = LinkObserver::attach(directory, link);
  if (!observer) return observer.error();
  return std::uint64_t{observer->report().created_ns};
}

}  // namespace

Status WirePort::open(const SegmentDirectory& directory, std::string_view link,
                      std::string_view wire_name, LinkSide side,
                      const WirePortOptions& options) noexcept {
  link_ = link;
  wire_name_ = wire_name;
  side_ = side;
  if (wire_name.empty() || wire_name.size() > kLinkNameBytesMax) {
    return Error{ErrorCode::kInvalidArgument, 0, "name a link by 1 to 80 bytes", wire_name.size(),
                 kLinkNameBytesMax};
  }
  Result<std::uint64_t> before = created_ns_of(directory, link);
  if (!before) return before.error();
  const Status opened = side == LinkSide::kSender ? open_source(directory, *before, options)
                                                  : open_sink(directory, *before, options);
  if (!opened) return opened;
  Result<std::uint64_t> after = created_ns_of(directory, link);
  if (!after) return after.error();
  if (*before != *after) return Error{ErrorCode::kBusy, 0, "take a link that is being replaced"};
  return {};
}

Status WirePort::open_source(const SegmentDirectory& directory, std::uint64_t created_ns,
                             const WirePortOptions& options) noexcept {
  Result<LinkSource> source = LinkSource::attach(directory, link_, options.memory_lock);
  if (!source) return source.error();
  source_.emplace(std::move(source).value());
  if (options.peer_event_fd >= 0) source_->attach_event(options.peer_event_fd);
  Result<SourceSession> session = SourceSession::open(directory, link_, created_ns);
  if (!session) return session.error();
  source_session_.emplace(std::move(session).value());
  return {};
}

Status WirePort::open_sink(const SegmentDirectory& directory, std::uint64_t created_ns,
                           const WirePortOptions& options) noexcept {
  Result<LinkSink> sink = LinkSink::attach(directory, link_, options.memory_lock);
  if (!sink) return sink.error();
  sink_.emplace(std::move(sink).value());
  if (options.peer_event_fd >= 0) sink_->attach_event(options.peer_event_fd);
  Result<ArrivalLedger> ledger = ArrivalLedger::open(directory, link_);
  if (!ledger) return ledger.error();
  ledger_.emplace(std::move(ledger).value());
  return ledger_->bind(created_ns, sink_->position());
}

}  // namespace slipring::wire
