// The ends of links with many writers, or many readers, and what `get` may ask of any link's
// messages: how many, for how long, and in what words.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/segment/segment_layout.h"
#include "pipelines/adapter/message_ends.h"
#include "tools/cli/json.h"
#include "tools/pipe/route.h"

namespace slipring::tools {

// A source of messages, and what there is to say about the one that it gave last.
struct DescribedSource {
  std::unique_ptr<MessageSource> source;
  std::function<void(JsonWriter&)> describe;
};

// The kind of a link, if it is one with many writers or readers; a topic is made where there is
// none.  Nothing, and kOk, for any other; otherwise after a complaint.
std::optional<SegmentKind> find_many(const Route& route, const Endpoint& endpoint,
                                     ExitStatus& status);

// Each joins, or complains.
ExitStatus open_many_source(const Route& route, SegmentKind kind, DescribedSource& opened);
ExitStatus open_many_sink(const Route& route, SegmentKind kind, std::unique_ptr<MessageSink>& sink);

// Each message as an object of JSON, a line each.
class JsonSource final : public MessageSource {
 public:
  explicit JsonSource(DescribedSource inner) : inner_(std::move(inner)) {}

  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void finish_taken() noexcept override;
  Result<Passage> wait(int alarm_fd) noexcept override;
  void close() noexcept override { inner_.source->close(); }
  void add_to(PumpReport& report) const noexcept override { inner_.source->add_to(report); }

 private:
  DescribedSource inner_;
  std::list<std::string> lines_;  // of what is taken
};

// No more than so many messages, and no longer than so much time without one.
class LimitedSource final : public MessageSource {
 public:
  LimitedSource(std::unique_ptr<MessageSource> inner, const ReadLimits& limits);

  void limit(std::uint64_t max_message_bytes) noexcept override {
    inner_->limit(max_message_bytes);
  }
  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void finish_taken() noexcept override { inner_->finish_taken(); }
  Result<Passage> wait(int alarm_fd) noexcept override;
  void close() noexcept override;
  void add_to(PumpReport& report) const noexcept override { inner_->add_to(report); }

  // The time passed before all that was asked for had come.
  [[nodiscard]] bool has_timed_out() const noexcept { return has_timed_out_; }

 private:
  std::unique_ptr<MessageSource> inner_;
  ReadLimits limits_;
  std::uint64_t taken_count_ = 0;
  std::uint64_t deadline_ns_;
  bool has_timed_out_ = false;
};

}  // namespace slipring::tools
