// core/LAYOUT.md is a specification only as long as it is true: its tables are compared with the
// compiler's offsets, and its worked examples with bytes that the code writes.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/pool/buffer_pool.h"
#include "core/pool/pool_word.h"
#include "core/ring/broadcast_page.h"
#include "core/ring/cursor_page.h"
#include "core/ring/mpmc_record.h"
#include "core/ring/mpsc_bell.h"
#include "core/ring/record_ring.h"
#include "core/ring/slot_ring.h"
#include "core/segment/segment_layout.h"
#include "pipelines/link/lane_words.h"
#include "tests/core/ring/broadcast_memory.h"
#include "tests/core/ring/ring_memory.h"

namespace slipring {
namespace {

// Lines of an example, "offset: sixteen bytes"; lines that are all zero are left out, as in the
// document.
std::string dump(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    const auto line = bytes.subspan(at, std::min<std::size_t>(16, bytes.size() - at));
    if (std::all_of(line.begin(), line.end(), [](std::byte b) { return b == std::byte{0}; })) {
      continue;
    }
    char word[24];
    std::snprintf(word, sizeof word, "%04zx:", at);
    text += word;
    for (const std::byte byte : line) {
      std::snprintf(word, sizeof word, " %02x", static_cast<unsigned>(byte));
      text += word;
    }
    text += '\n';
  }
  return text;
}

template <typename T>
std::string dump_of(const T& object) {
  return dump({reinterpret_cast<const std::byte*>(&object), sizeof object});
}

struct Document {
  std::map<std::string, std::vector<std::string>> rows;  // by the heading they stand under
  std::map<std::string, std::string> examples;           // by name, comments removed
};

// An example is a fenced block opened by "```hex NAME"; what follows "  |" on a line is comment.
Document read_document(std::istream& stream) {
  Document document;
  std::string heading;
  std::string example;
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind("```hex ", 0) == 0) {
      example = line.substr(7);
      document.examples[example];
    } else if (line.rfind("```", 0) == 0) {
      example.clear();
    } else if (!example.empty()) {
      const std::string bytes = line.substr(0, line.find("  |"));
      if (!bytes.empty()) document.examples[example] += bytes + '\n';
    } else if (line.rfind("### ", 0) == 0) {
      heading = line.substr(4);
    } else if (line.rfind("## ", 0) == 0) {
      heading.clear();
    } else if (line.rfind("| ", 0) == 0 && line.find('`') != std::string::npos) {
      document.rows[heading].push_back(line);
    }
  }
  return document;
}

Document layout() {
  std::ifstream file("core/LAYOUT.md");
  REQUIRE(file.is_open());
  return read_document(file);
}

struct Field {
  const char* name;
  std::size_t offset_bytes;
  std::size_t size_bytes;
};

// Whether the rows under a heading are exactly these fields, in this order.
bool describes(const std::vector<std::string>& rows, const std::vector<Field>& fields) {
  if (rows.size() != fields.size()) return false;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::ostringstream wanted;
    wanted << "| " << fields[i].offset_bytes << " | " << fields[i].size_bytes << " | `"
           << fields[i].name << "` |";
    if (rows[i].rfind(wanted.str(), 0) != 0) {
      MESSAGE("the document says ", rows[i], ", the code ", wanted.str());
      return false;
    }
  }
  return true;
}

TEST_CASE("LAYOUT.md: the tables give the offsets and sizes that the compiler uses") {
  Document document = layout();
  CHECK(describes(document.rows["SegmentHeader"],
                  {{"magic", offsetof(SegmentHeader, magic), 8},
                   {"version", offsetof(SegmentHeader, version), 4},
                   {"header_bytes", offsetof(SegmentHeader, header_bytes), 4},
                   {"check", offsetof(SegmentHeader, check), 8},
                   {"total_bytes", offsetof(SegmentHeader, total_bytes), 8},
                   {"lock_inode", offsetof(SegmentHeader, lock_inode), 8},
                   {"created_ns", offsetof(SegmentHeader, created_ns), 8},
                   {"kind", offsetof(SegmentHeader, kind), 4},
                   {"page_bytes", offsetof(SegmentHeader, page_bytes), 4},
                   {"region_count", offsetof(SegmentHeader, region_count), 4},
                   {"parameter_count", offsetof(SegmentHeader, parameter_count), 4},
                   {"parameters[16]", offsetof(SegmentHeader, parameters), 8 * 16},
                   {"regions[8]", offsetof(SegmentHeader, regions), 24 * 8},
                   {"name", offsetof(SegmentHeader, name), kSegmentNameBytes}}));
  CHECK(describes(document.rows["Region"], {{"offset_bytes", offsetof(Region, offset_bytes), 8},
                                            {"size_bytes", offsetof(Region, size_bytes), 8},
                                            {"role", offsetof(Region, role), 4},
                                            {"reserved", offsetof(Region, reserved), 4}}));
  CHECK(describes(document.rows["ProducerPage"],
                  {{"tail", offsetof(ProducerPage, tail), 8},
                   {"abort_before", offsetof(ProducerPage, abort_before), 8}}));
  CHECK(describes(document.rows["ConsumerPage"], {{"credit", offsetof(ConsumerPage, credit), 8},
                                                  {"done", offsetof(ConsumerPage, done), 8},
                                                  {"taken", offsetof(ConsumerPage, taken), 8}}));
  CHECK(describes(document.rows["BellPage"], {{"rings[64]", offsetof(BellPage, rings), 8 * 64}}));
  CHECK(describes(document.rows["BufferHandle"],
                  {{"slot", offsetof(BufferHandle, slot), 4},
                   {"generation", offsetof(BufferHandle, generation), 4}}));
  CHECK(describes(document.rows["PoolRecord"], {{"sending", offsetof(PoolRecord, sending), 8},
                                                {"ticket", offsetof(PoolRecord, ticket), 8}}));
  CHECK(describes(document.rows["BroadcastWriterPage"],
                  {{"tail", offsetof(BroadcastWriterPage, tail), 8},
                   {"scan_at", offsetof(BroadcastWriterPage, scan_at), 8},
                   {"abort_before", offsetof(BroadcastWriterPage, abort_before), 8},
                   {"missing_before", offsetof(BroadcastWriterPage, missing_before), 8},
                   {"put_out[64]", offsetof(BroadcastWriterPage, put_out), 8 * 64}}));
  CHECK(describes(document.rows["BroadcastReaderPage"],
                  {{"credit", offsetof(BroadcastReaderPage, credit), 8},
                   {"joined", offsetof(BroadcastReaderPage, joined), 8},
                   {"done", offsetof(BroadcastReaderPage, done), 8},
                   {"taken", offsetof(BroadcastReaderPage, taken), 8},
                   {"lost", offsetof(BroadcastReaderPage, lost), 8},
                   {"gap_end", offsetof(BroadcastReaderPage, gap_end), 8},
                   {"gap_lost", offsetof(BroadcastReaderPage, gap_lost), 8}}));
  CHECK(describes(document.rows["Record header"], {{"size_bytes", 0, 4}, {"kind", 4, 4}}));
}

TEST_CASE("LAYOUT.md: the record of a many-to-many ring is as described") {
  Document document = layout();
  CHECK(describes(document.rows["MpmcRecord"],
                  {{"intent", offsetof(MpmcRecord, intent), 8},
                   {"finished", offsetof(MpmcRecord, finished), 8},
                   {"banks[2][8]", offsetof(MpmcRecord, banks), 64},
                   {"evidence[64]", offsetof(MpmcRecord, evidence), 512}}));
  CHECK(sizeof(MpmcRecord) == 640);
}

TEST_CASE("LAYOUT.md: what a lane's writers leave is as described") {
  Document document = layout();
  CHECK(describes(document.rows["LaneWords"],
                  {{"attachments[6]", offsetof(LaneWords, attachments), 96},
                   {"origin_sequence", offsetof(LaneWords, origin_sequence), 4},
                   {"origin_bytes", offsetof(LaneWords, origin_bytes), 4},
                   {"told_process", offsetof(LaneWords, told_process), 8},
                   {"origin[15]", offsetof(LaneWords, origin), 120}}));
  CHECK(kLaneWordsOffset == 768);
}

TEST_CASE("LAYOUT.md: the worked segment header is the one that the code writes") {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kSegmentVersion;
  header.header_bytes = sizeof(SegmentHeader);
  header.total_bytes = 4096;
  header.lock_inode = 4660;
  header.created_ns = 1'700'000'000'000'000'000;
  header.kind = SegmentKind::kRecordLink;
  header.page_bytes = 4096;
  header.parameter_count = 1;
  header.parameters[0] = 64;
  add_region(header, Role::kWriter, 8192);
  add_region(header, Role::kReader, 4096);
  add_region(header, Role::kCommander, 4096);
  const std::string_view name = "settop.ts";
  std::copy(name.begin(), name.end(), header.name);
  header.check = segment_check(header);
  REQUIRE(validate_segment(header, 20480).ok());
  CHECK(layout().examples["segment-header"] == dump_of(header));
}

TEST_CASE("LAYOUT.md: the worked record ring is the one that the code writes") {
  RecordMemory memory({64, 0});
  RecordProducer producer = memory.producer();
  RecordConsumer consumer = memory.consumer();
  const auto push = [&](std::string_view text) {
    REQUIRE(producer.try_push({reinterpret_cast<const std::byte*>(text.data()), text.size()}) ==
            Transfer::kDone);
  };
  RecordView view;
  push("first");
  push("a second, longer one");
  REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  consumer.release(view);
  REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  consumer.release(view);
  push("third");
  producer.abort_published();
  push("wrapped");
  REQUIRE(consumer.try_peek(view) == Transfer::kDone);
  Document document = layout();
  CHECK(document.examples["record-bytes"] == dump({memory.bytes.data(), 64}));
  CHECK(document.examples["record-producer-page"] == dump_of(*memory.producer_page));
  CHECK(document.examples["record-consumer-page"] == dump_of(*memory.consumer_page));
}

TEST_CASE("LAYOUT.md: the worked slots are those that the code writes") {
  SlotRingMemory memory({4, 8, 0});
  SlotProducer producer = memory.producer();
  SlotConsumer consumer = memory.consumer();
  for (std::uint64_t i = 0; i < 5; ++i) {
    const std::uint64_t message = 0x1111'1111'1111'1111 * (i + 1);
    if (i == 4) {
      SlotView view;
      REQUIRE(consumer.try_peek(view) == Transfer::kDone);
      consumer.release(view);
    }
    REQUIRE(producer.try_push({reinterpret_cast<const std::byte*>(&message), 8}) ==
            Transfer::kDone);
  }
  CHECK(layout().examples["slots"] == dump({memory.slots.data(), 64}));
}

TEST_CASE("LAYOUT.md: the worked broadcast ring is the one that the code writes") {
  BroadcastMemory memory({4, 8, 0, 1, BroadcastPolicy::kBlock, 0});
  BroadcastWriter writer = memory.writer();
  for (std::uint64_t i = 0; i < 6; ++i) {
    const std::uint64_t message = 0x1111'1111'1111'1111 * (i + 1);
    REQUIRE(writer.try_push({reinterpret_cast<const std::byte*>(&message), 8}) == Transfer::kDone);
  }
  std::span<std::byte> slot;
  REQUIRE(writer.try_reserve(slot) == Transfer::kDone);
  slot[0] = std::byte{0x77};
  Document document = layout();
  CHECK(document.examples["broadcast-slots"] == dump({memory.slots.data(), 64}));
  CHECK(document.examples["broadcast-writer-page"] == dump_of(*memory.writer_page));
}

TEST_CASE("LAYOUT.md: the reader of the document sees a changed byte and a changed table") {
  std::istringstream text(
      "### Region\n| 0 | 8 | `offset_bytes` | x |\n| 9 | 8 | `size_bytes` | x |\n"
      "```hex one\n0000: 01 02  | comment\n```\n");
  Document document = read_document(text);
  CHECK(document.examples["one"] == "0000: 01 02\n");
  const std::byte bytes[] = {std::byte{1}, std::byte{3}};
  CHECK(document.examples["one"] != dump(bytes));
  CHECK(describes(document.rows["Region"], {{"offset_bytes", 0, 8}, {"size_bytes", 9, 8}}));
  CHECK_FALSE(describes(document.rows["Region"], {{"offset_bytes", 0, 8}, {"size_bytes", 8, 8}}));
  CHECK_FALSE(describes(document.rows["Region"], {{"offset_bytes", 0, 8}}));
}

}  // namespace
}  // namespace slipring
