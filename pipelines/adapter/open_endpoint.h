// Endpoints as descriptors.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/error/result.h"
#include "pipelines/adapter/endpoint.h"
#include "platform/process/descriptor.h"

namespace slipring {

enum class Direction : std::uint8_t { kSource, kSink };

// Opens what is no ring and not for many clients; of TLS, the connection below it.
// Waits for the other side of a FIFO, or for the connection, until a signal handler sets `stop`.
// Standard input and output are duplicated.
// Errors: kNotFound (no such file or host, nobody who listens), kPermission, kNoSpace,
// kInvalidArgument (a directory, too long a path), kExists (somebody listens at that path, or it is
// no socket), kInterrupted (stopped), kSystem.
Result<Descriptor> open_endpoint(const Endpoint& endpoint, Direction direction,
                                 const std::atomic<bool>* stop = nullptr) noexcept;

// A socket that listens at an endpoint of kTcp, kTls, kUnix or kUnixPackets.  `backlog`:
// connections that the kernel keeps until they are accepted.  What a killed owner left at the path
// is replaced.  Errors: as open_endpoint().
Result<Descriptor> listen_at(const Endpoint& endpoint, int backlog) noexcept;

// A socket that receives at an endpoint of kUdp, as a member of its group if it is one; or that
// sends there.  Errors: as open_endpoint(); kNotFound (no such interface).
Result<Descriptor> open_udp(const Endpoint& endpoint, Direction direction) noexcept;

}  // namespace slipring
