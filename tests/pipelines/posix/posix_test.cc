// What POSIX promises of pipe, FIFO, stream and datagram socket and message queue, asked of the
// kernel's own and of ours.  Each row says what ours does; where that differs it says why, and the
// test holds us to the difference, too.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/pipelines/posix/planted_channel.h"
#include "tests/pipelines/posix/properties.h"
#include "tests/pipelines/posix/special_properties.h"
#include "tools/cli/table.h"

namespace slipring::posix {
namespace {

using tools::Table;

// A property that every channel can be asked for.
struct Row {
  const char* property;
  Probe probe;
  std::vector<const char*> promised_by;  // the kernel's, by POSIX or by Linux
  const char* ours;
  const char* difference = "";  // empty: ours has it
};

const std::vector<Row>& byte_rows() {
  static const std::vector<const char*> kStreams{"pipe", "FIFO", "unix stream"};
  static const std::vector<const char*> kPipes{"pipe", "FIFO"};
  static const std::vector<Row> kRows{
      {"bytes come in the order of their writing", keeps_order, kStreams, "stream link"},
      {"no boundaries: writes may be read in other pieces", has_no_boundaries, kStreams,
       "stream link"},
      {"O_NONBLOCK: an empty one answers EAGAIN", empty_would_block, kStreams, "stream link"},
      {"O_NONBLOCK: a full one answers EAGAIN", full_would_block, kStreams, "stream link"},
      {"what was full takes more once it is read", goes_on_when_there_is_room, kStreams,
       "stream link"},
      {"a read takes what is there and does not wait for more", reads_short, kStreams,
       "stream link"},
      {"a write of more than fits takes a part", writes_a_part, kStreams, "stream link"},
      {"holds PIPE_BUF bytes at least", holds_pipe_buf, kPipes, "stream link"},
      {"a write of PIPE_BUF is whole or is not done", writes_pipe_buf_whole_or_not, kPipes,
       "stream link",
       "a part is taken: with one writer nothing comes in between, and try_reserve(PIPE_BUF) asks "
       "for the whole"},
      {"end of file when the writer has closed, after all bytes", ends_when_writer_closes, kStreams,
       "stream link"},
      {"what was written before the end is read", keeps_what_was_written_before_the_end, kStreams,
       "stream link"},
      {"end of file when the writer has died, after all bytes", ends_when_writer_dies, kStreams,
       "stream link"},
      {"EPIPE when the reader has closed", breaks_when_reader_closes, kStreams, "stream link"},
      {"SIGPIPE when the reader has closed", signals_when_reader_closes, kStreams, "stream link",
       "a library raises no signals: the answer is is_peer_closed(), and `slipring put` raises it"},
      {"poll: readable when there is something, and then only", polls_readable, kStreams,
       "stream link"},
      {"poll: writable when there is room, and then only", polls_writable, kStreams, "stream link"},
      {"poll: POLLHUP or POLLRDHUP when the writer has closed", polls_hung_up, kStreams,
       "stream link"},
      {"poll: POLLERR or POLLHUP when the reader has closed", polls_broken, kStreams,
       "stream link"},
  };
  return kRows;
}

const std::vector<Row>& message_rows() {
  static const std::vector<const char*> kAll{"unix seqpacket", "unix datagram", "message queue"};
  static const std::vector<const char*> kSockets{"unix seqpacket", "unix datagram"};
  static const std::vector<Row> kRows{
      {"messages come in the order of their sending", keeps_order, kAll, "record link"},
      {"boundaries are kept", keeps_boundaries, kAll, "record link"},
      {"a message of no bytes is one",
       carries_empty_messages,
       {"unix datagram", "message queue"},
       "record link"},
      {"a message is taken whole or not at all", takes_whole_messages_or_none, kAll, "record link"},
      {"EMSGSIZE: one that is too long is not taken", refuses_too_long_whole, kAll, "record link"},
      {"O_NONBLOCK: an empty one answers EAGAIN", empty_would_block, kAll, "record link"},
      {"O_NONBLOCK: a full one answers EAGAIN", full_would_block, kAll, "record link"},
      {"what was full takes more once it is read", goes_on_when_there_is_room, kAll, "record link"},
      {"end of file when the writer has closed",
       ends_when_writer_closes,
       {"unix seqpacket"},
       "record link"},
      {"end of file when the writer has died",
       ends_when_writer_dies,
       {"unix seqpacket"},
       "record link"},
      {"EPIPE or ECONNREFUSED when the reader has closed", breaks_when_reader_closes, kSockets,
       "record link"},
      {"poll: readable when there is something, and then only", polls_readable, kAll,
       "record link"},
      {"poll: writable when there is room, and then only",
       polls_writable,
       {"unix datagram", "message queue"},
       "record link"},
  };
  return kRows;
}

// A mailbox, of one sender here; what concerns several is below.
const std::vector<Row>& lane_rows() {
  static const std::vector<const char*> kAll{"unix seqpacket", "unix datagram", "message queue"};
  static const std::vector<Row> kRows{
      {"messages come in the order of their sending", keeps_order, kAll, "lane set"},
      {"boundaries are kept", keeps_boundaries, kAll, "lane set"},
      {"a message of no bytes is one",
       carries_empty_messages,
       {"unix datagram", "message queue"},
       "lane set"},
      {"a message is taken whole or not at all", takes_whole_messages_or_none, kAll, "lane set"},
      {"EMSGSIZE: one that is too long is not taken", refuses_too_long_whole, kAll, "lane set"},
      {"O_NONBLOCK: an empty one answers EAGAIN", empty_would_block, kAll, "lane set"},
      {"O_NONBLOCK: a full one answers EAGAIN", full_would_block, kAll, "lane set"},
      {"what was full takes more once it is read", goes_on_when_there_is_room, kAll, "lane set"},
      {"end of file when the writer has closed",
       ends_when_writer_closes,
       {"unix seqpacket"},
       "lane set"},
      {"end of file when the writer has died",
       ends_when_writer_dies,
       {"unix seqpacket"},
       "lane set"},
      {"EPIPE or ECONNREFUSED when the reader has closed",
       breaks_when_reader_closes,
       {"unix seqpacket", "unix datagram"},
       "lane set"},
  };
  return kRows;
}

// A property that the kernel and ours are asked for in ways of their own.
struct SpecialRow {
  const char* property;
  const char* promised_by;
  bool (*kernel)();
  const char* ours;
  bool (*our_way)();
  const char* difference = "";
};

const std::vector<SpecialRow>& special_rows() {
  static const std::vector<SpecialRow> kRows{
      {"O_NONBLOCK: opening for writing needs a reader (ENXIO)", "FIFO", fifo_needs_a_reader,
       "stream link", link_needs_a_reader,
       "neither side has to be first: what is written waits for a reader"},
      {"opening waits for the other side", "FIFO", fifo_opening_waits, "stream link",
       link_opening_waits, "as above; wait_for_role() waits for a role, and put and get wait"},
      {"opening waits for the other side", "FIFO", fifo_opening_waits, "mailbox",
       mailbox_opening_waits},
      {"O_NONBLOCK: opening for writing needs a reader (ENXIO)", "FIFO", fifo_needs_a_reader,
       "mailbox", mailbox_needs_a_reader, "--no-wait leaves mail for whoever comes to read"},
      {"what is unread goes with the last end", "FIFO", fifo_forgets, "mailbox", mailbox_forgets,
       "mail outlives its sender and its reader"},
      {"what is unread stays until the name is removed", "message queue", queue_remembers,
       "mailbox", mailbox_remembers},
      {"several readers may share it", "FIFO", a_second_reader_may_share_the_fifo, "mailbox",
       a_second_reader_may_share_the_mailbox, "it has one owner at a time (kBusy)"},
      {"what is unread goes with the last end", "FIFO", fifo_forgets, "stream link", link_forgets,
       "it waits for a successor, as long as the reader has not closed for good"},
      {"what is unread stays until the name is removed", "message queue", queue_remembers,
       "stream link", link_remembers},
      {"both ends outlive the name", "FIFO", fifo_outlives_its_name, "stream link",
       link_outlives_its_name},
      {"several readers may share it", "FIFO", a_second_reader_may_share_the_fifo, "stream link",
       a_second_reader_may_share_the_link,
       "one reader at a time (kBusy); many-to-many rings share messages out"},
      {"several writers' writes up to PIPE_BUF are not mixed", "FIFO",
       fifo_writes_of_several_are_whole, "stream link", stream_writes_of_several_are_whole,
       "one writer at a time (kBusy); a lane set takes several"},
      {"several writers' messages are whole, each one's in order", "message queue",
       queue_messages_of_several_are_whole, "lane set", lane_messages_of_several_are_whole},
      {"a message of higher priority overtakes", "message queue", queue_has_priorities,
       "stream link", link_has_priorities,
       "first in, first out; what is urgent has a lane of its own, looked at first"},
      {"the kernel says who is at the other end", "unix seqpacket", socket_knows_its_sender,
       "lane set", lane_knows_its_sender},
  };
  return kRows;
}

void add_rows(Table& table, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    INFO(std::string(row.property));
    std::string kernels;
    for (const char* name : row.promised_by) {
      INFO(std::string(name));
      CHECK(row.probe(kernel_kind(name).make));
      kernels += (kernels.empty() ? "" : ", ") + std::string(name);
    }
    const bool is_ours = row.probe(our_kind(row.ours).make);
    INFO(std::string(row.ours));
    CHECK(is_ours == (*row.difference == '\0'));
    table.add_row({row.property, kernels + ": yes",
                   std::string(row.ours) + (is_ours ? ": yes" : ": differs")});
    if (!is_ours) table.add_line(std::string("    ") + row.difference);
  }
}

TEST_CASE("posix: each promise, by the kernel's own and by ours") {
  Table table({{"PROMISE"}, {"THE KERNEL"}, {"OURS"}});
  add_rows(table, byte_rows());
  add_rows(table, message_rows());
  add_rows(table, lane_rows());
  for (const SpecialRow& row : special_rows()) {
    INFO(std::string(row.property));
    CHECK(row.kernel());
    const bool is_ours = row.our_way();
    CHECK(is_ours == (*row.difference == '\0'));
    table.add_row({row.property, std::string(row.promised_by) + ": yes",
                   std::string(row.ours) + (is_ours ? ": yes" : ": differs")});
    if (!is_ours) table.add_line(std::string("    ") + row.difference);
  }
  MESSAGE("\n", table.text(false));
}

TEST_CASE("posix: every promise that ours keeps is missed where a channel breaks it") {
  int broken_count = 0;
  for (const std::vector<Row>* rows : {&byte_rows(), &message_rows(), &lane_rows()}) {
    for (const Row& row : *rows) {
      if (*row.difference != '\0') continue;
      int seen_red = 0;
      for (int mistake = 0; mistake < kMistakeCount; ++mistake) {
        const Make make = [&] {
          return std::make_unique<PlantedChannel>(our_kind(row.ours).make(),
                                                  static_cast<Mistake>(mistake));
        };
        if (!row.probe(make)) ++seen_red;
      }
      INFO(std::string(row.property));
      CHECK(seen_red > 0);
      broken_count += seen_red;
    }
  }
  MESSAGE("planted mistakes × promises seen red: ", broken_count);
}

}  // namespace
}  // namespace slipring::posix
