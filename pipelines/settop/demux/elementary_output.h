// One elementary stream on its way into a link: PES payload becomes records of bounded size,
// written straight into the ring.
//
// A record stays reserved, and so invisible, until it is full or its PES packet ends; what a killed
// stage had not committed never existed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pipelines/link/link_writer.h"
#include "pipelines/settop/media_record.h"
#include "pipelines/settop/transport/demux_sink.h"

namespace slipring::settop {

// Finds room for a record in the link, or says that the data are no longer wanted.
class RoomFinder {
 public:
  RoomFinder() = default;
  RoomFinder(const RoomFinder&) = delete;
  RoomFinder& operator=(const RoomFinder&) = delete;
  virtual ~RoomFinder() = default;
  // False: drop what you have.
  [[nodiscard]] virtual bool find_room(LinkWriter& output, std::uint64_t size_bytes,
                                       std::span<std::byte>& place) = 0;
};

class ElementaryOutput {
 public:
  // `output` may be nullptr: then the stream is dropped.  Both outlive the object.
  ElementaryOutput(LinkWriter* output, RoomFinder& room) noexcept;

  // Everything published so far is unwanted; an open record is dropped.
  void abort() noexcept;

  // Tells the decoder that a new stream begins.
  void start_stream(Codec codec, std::uint16_t program_number, std::uint64_t change_ns);

  void begin(const PesStart& start, std::uint64_t change_ns);
  void append(std::span<const std::byte> bytes);
  void end(PesEnd how);

  [[nodiscard]] std::uint64_t dropped_bytes() const noexcept { return dropped_bytes_; }

 private:
  [[nodiscard]] bool open_record();
  void commit_record();

  LinkWriter* output_;
  RoomFinder& room_;
  std::uint64_t piece_bytes_ = 0;  // payload of a full record
  ElementaryRecord header_{};
  std::span<std::byte> place_;  // of the reserved record; empty when none is
  std::size_t filled_bytes_ = 0;
  std::int64_t newest_pts_ = kNoTimestamp;  // of what was begun since the stream started
  bool dropping_ = false;  // until the PES packet ends: a piece of it found no room
  std::uint64_t dropped_bytes_ = 0;
};

}  // namespace slipring::settop
