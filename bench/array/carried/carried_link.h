// A link's end that is carried through a pipe or a socket: what a pipeline without shared memory
// does, under the same stages.
//
// Why so.  The stages are the appliance's own object files, and so are their requests, their order
// and their waiting; only what joins two of them is another.  Each process has a ring and a pool of
// its own (a named link with both its ends in one process), and a carrier between that ring and a
// descriptor.  Messages *and their data* go through the descriptor:
//   writing  writev() of many messages at a time, from the pool buffers where the data lie
//   reading  readv(): what is left of a buffer's data straight into the receiver's pool buffer, and
//            64 KiB of what follows, so that small messages cost no system call each
// So the kernel copies every byte twice, as it does for everybody who uses pipes or sockets, and we
// copy none of the large ones.  The private ring costs a message some 0.1 us in all, in a cache
// that nobody else looks at.  Pipes are as large as an unprivileged process may make them (1 MiB),
// socket buffers 2 MiB.  A stage writes what it has published when it has nothing else to do: the
// largest batches, and so the fewest system calls that it can have.
//
// What it cannot do, and the rings can: nothing outlives a process.  For measuring only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "pipelines/link/link_reader.h"
#include "pipelines/link/link_writer.h"
#include "platform/process/descriptor.h"

namespace slipring::bench {

// Before each message on the wire: the slot follows, then its data.
struct CarriedHead {
  std::uint32_t data_bytes;
  std::uint32_t is_end;  // 1: the writer has finished; neither slot nor data follow
};
inline constexpr std::size_t kCarriedSlotMax = 64;

// How many bytes of data a message brings; asked once a message, in their order.
using DataBytesOf = std::function<std::uint32_t(const std::byte* slot)>;

// From the stage to the descriptor.
class CarrierOut {
 public:
  CarrierOut(LinkReader ring, Descriptor to, DataBytesOf data_bytes)
      : ring_(std::move(ring)), to_(std::move(to)), data_bytes_(std::move(data_bytes)) {}

  // Writes as much as the descriptor takes; whether anything was written.
  bool pump();
  [[nodiscard]] bool is_blocked() const noexcept { return is_blocked_; }
  [[nodiscard]] int fd() const noexcept { return to_.get(); }

 private:
  struct Item {
    Message message;
    BufferHandle buffer;
    const std::byte* data;
    std::uint32_t data_bytes;
    std::uint32_t head_bytes;
    std::array<std::byte, sizeof(CarriedHead) + kCarriedSlotMax> head;
  };
  void collect();
  void finish_written(std::size_t bytes);

  LinkReader ring_;
  Descriptor to_;
  DataBytesOf data_bytes_;
  std::deque<Item> items_;
  std::size_t written_bytes_ = 0;  // of the first
  bool is_blocked_ = false;
  bool is_ended_ = false;
};

// From the descriptor to the stage.
class CarrierIn {
 public:
  CarrierIn(LinkWriter ring, Descriptor from, DataBytesOf note)
      : ring_(std::move(ring)), from_(std::move(from)), note_(std::move(note)), bytes_(65536) {}

  // Reads as much as there is and the ring takes; whether anything was read.
  bool pump();
  // It waits for the stage, and not for the descriptor.
  [[nodiscard]] bool is_stalled() const noexcept { return is_stalled_; }
  [[nodiscard]] int fd() const noexcept { return from_.get(); }

 private:
  bool parse();
  bool begin_message();
  void publish();
  [[nodiscard]] bool read_more();

  LinkWriter ring_;
  Descriptor from_;
  DataBytesOf note_;
  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  // The message whose data are being received.
  std::array<std::byte, kCarriedSlotMax> slot_{};
  std::optional<std::uint32_t> buffer_;
  std::uint32_t data_bytes_ = 0;
  std::uint32_t received_bytes_ = 0;
  bool has_message_ = false;
  bool is_stalled_ = false;
};

}  // namespace slipring::bench
