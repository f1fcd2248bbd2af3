// A record link's ends as source and sink of messages: a message is a record.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "pipelines/adapter/message_ends.h"
#include "pipelines/adapter/message_pump.h"
#include "pipelines/adapter/other_end.h"
#include "pipelines/adapter/pump_options.h"
#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/link/role_watch.h"
#include "platform/wait/waiter.h"

namespace slipring {

class LinkSource final : public MessageSource {
 public:
  // Requires: `writer` watches the link's writing role; the link has no pool.
  LinkSource(LinkReader link, RoleWatch writer, const PumpOptions& options) noexcept;

  // Leaves out what its writer has aborted.
  Result<Passage> try_take(std::span<const std::byte>& message) noexcept override;
  void obey_commands() noexcept override { link_.obey_commands(); }
  [[nodiscard]] ControlWatch control_watch() const noexcept override {
    return link_.control_watch();
  }
  void finish_taken() noexcept override;
  Result<Passage> wait(int alarm_fd) noexcept override;
  void close() noexcept override { link_.close(); }
  void add_to(PumpReport& report) const noexcept override;

 private:
  [[nodiscard]] bool is_over() const noexcept { return !options_.stays && link_.is_peer_closed(); }

  LinkReader link_;
  RoleWatch watch_;
  OtherEnd<LinkReader> writer_;
  PumpOptions options_;
  Waiter waiter_;
  std::array<Message, kPumpBatch> taken_;  // and not finished: each is counted as it is released
  std::uint32_t taken_count_ = 0;
  std::uint64_t repeated_count_ = 0;
  std::uint64_t repeated_bytes_ = 0;
  std::uint64_t aborted_count_ = 0;
};

class LinkSink final : public MessageSink {
 public:
  // Requires: `reader` watches the link's reading role; the link has no pool.
  LinkSink(LinkWriter link, RoleWatch reader, const PumpOptions& options) noexcept;

  [[nodiscard]] std::uint64_t max_message_bytes() const noexcept override {
    return link_.max_message_bytes();
  }
  Result<Passage> put(std::span<const std::byte> message) noexcept override;
  Result<Passage> flush() noexcept override { return Passage::kDone; }
  Result<Passage> wait() noexcept override;
  Result<Passage> look() noexcept override;
  [[nodiscard]] int alarm_fd() const noexcept override { return reader_.poll_fd(); }
  void close() noexcept override { link_.close(); }

 private:
  LinkWriter link_;
  RoleWatch watch_;
  OtherEnd<LinkWriter> reader_;
  PumpOptions options_;
  Waiter waiter_;
  std::uint64_t wanted_bytes_ = 0;  // that there was no room for
};

}  // namespace slipring
