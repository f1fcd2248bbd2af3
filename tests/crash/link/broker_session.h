// A guarded link's whole life in commands, with a broker that is led from call to call.
//
// The user is a process that holds the link's ends, and does one command at a time; a guest is a
// process that looks, or takes the reading role and is killed in it.  The broker's process turns
// only when it is told to, so that the test knows when a call of it is due.
#pragma once

#include <string_view>

#include "pipelines/link/link_segment.h"
#include "platform/memory/segment_directory.h"
#include "tests/crash/link/traced_child.h"
#include "tests/platform/other_process.h"

namespace slipring::crash {

inline constexpr const char* kBrokeredLink = "b.link";

// What a user can be told to do.
enum class Command : char {
  kWrite = 'w',     // attach the writer
  kRead = 'r',      // attach the reader
  kExchange = 'x',  // push and pop, with laps, where both are held
  kStopWriting = 'v',
  kStopReading = 's',
  kGuest = 'g',  // a guest attaches the reader; the user's part is nothing
  kLook = 'o',   // a guest looks at the link
};

// A whole session: set-up, an observer, a writer's successor, a killed reader and its successor,
// tear-down.
inline constexpr std::string_view kSession = "wroxvwxsgrxsv";

enum class Word : char {
  kDone = '+',
  kBrokerGone = 'c',  // no broker, or none any more
  kWrong = '!',
};

[[nodiscard]] LinkShape brokered_shape();

// The body of a user: does what it hears, until the line ends.
int serve_user(const SegmentDirectory& directory, const Line& line);
// The body of a guest: attaches the reader or an observer, says so, and stays.
int serve_guest(const SegmentDirectory& directory, Command command, const Line& line);
// The body of a broker.  Answers each turn; what it does in it stands between two marks.
int serve_broker(const SegmentDirectory& directory, const Line& line);

}  // namespace slipring::crash
