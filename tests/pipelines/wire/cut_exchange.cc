#include "tests/pipelines/wire/cut_exchange.h"

#include <utility>

#include "pipelines/link/link_observer.h"

namespace slipring::wire {
namespace {

// Of a round's messages, before and after the abort or the pause.  One is empty.
constexpr std::size_t kBefore[] = {5, 0, 37, 8, 1};
constexpr std::size_t kAfter[] = {3, 64, 2};

std::string text_of(std::uint64_t number, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    text[i] = static_cast<char>('a' + (number * 7 + i * (number % 5 + 1)) % 26);
  }
  // Two messages of one length are never equal if they are long enough to tell.
  for (std::size_t i = 0; i < 8 && i < bytes; ++i) text[i] = static_cast<char>(number >> 8 * i);
  return text;
}

}  // namespace

CutExchange::CutExchange(const LinkShape& here, const LinkShape& there, LinkSide client,
                         bool there_is_guarded)
    : here_(here), there_(there, there_is_guarded), client_(client) {
  here_.start(LinkSide::kSender);
  there_.start(LinkSide::kReceiver);
  kind_ = here_.port->source().kind();
  if (kind_ == WireKind::kStream) {
    stream_writer_.emplace(must(StreamWriter::attach(here_.segments, kLink)));
    stream_reader_.emplace(must(StreamReader::attach(there_.segments, kLink)));
  } else {
    programs_ = MessagePrograms::start(here_.segments, there_.segments, kLink, here);
  }
}

void CutExchange::write(std::size_t bytes) {
  if (programs_) bytes = programs_->length(message_count_, bytes);
  const std::string text = text_of(message_count_, bytes);
  ++message_count_;
  if (kind_ != WireKind::kStream) {
    REQUIRE(programs_->push(text));
    expected_.push_back(text);
    return;
  }
  std::size_t count = 0;
  if (!text.empty()) {
    REQUIRE(stream_writer_->try_write(std::as_bytes(std::span(text.data(), text.size())), count) ==
            Transfer::kDone);
  }
  REQUIRE(count == text.size());
  stream_expected_ += text;
}

void CutExchange::read(bool aborted_is_gone) {
  if (kind_ == WireKind::kStream) {
    // The bytes bear no marks: the reader drops them before it looks.
    stream_reader_->skip_aborted();
    const std::string got = pop_all(*stream_reader_);
    if (aborted_is_gone) {
      missing_ += stream_aborted_;
      stream_expected_.erase(0, std::exchange(stream_aborted_, 0));
    }
    if (stream_expected_.compare(0, got.size(), got) != 0) {
      fault_ = "bytes that are not those that come next";
      return;
    }
    stream_expected_.erase(0, got.size());
    return;
  }
  for (const std::string& got : programs_->pop_all()) {
    if (aborted_is_gone) drop_aborted();
    // What was aborted may be missing.
    while (!expected_.empty() && read_count_ < aborted_below_ && expected_.front() != got) {
      expected_.pop_front();
      ++read_count_;
      ++missing_;
    }
    if (expected_.empty() || expected_.front() != got) {
      fault_ = "message " + std::to_string(read_count_) + " is lost, or another comes twice";
      return;
    }
    expected_.pop_front();
    ++read_count_;
  }
}

// Of what was aborted nothing may come any more.
void CutExchange::drop_aborted() {
  while (!expected_.empty() && read_count_ < aborted_below_) {
    expected_.pop_front();
    ++read_count_;
    ++missing_;
  }
}

std::uint64_t CutExchange::dropped_here() const {
  if (!programs_) return stream_writer_->drops().dropped.bytes;
  return programs_->drops().messages + here_.port->source_session().dropped_on_way();
}

std::uint64_t CutExchange::dropped_there() const {
  const Dropped told = here_.port->source_session().dropped_there();
  return programs_ ? told.messages : told.bytes;
}

// The sender has been told what the receiver's reader has dropped, and the two make up for all that
// was not read, by sequence: of a stream, what had arrived and was not acknowledged yet is counted
// by both.
std::string CutExchange::judge_drops() const {
  const DropCounts there = there_.port->sink().drops().dropped;
  const Dropped told = here_.port->source_session().dropped_there();
  if (told.messages != there.messages || told.bytes != there.bytes) {
    return "the sender was not told of the drops";
  }
  const std::uint64_t counted = dropped_here() + dropped_there();
  if (missing_ > counted) return "what is missing was not counted";
  if (programs_ && missing_ < counted) return "something was counted that is not missing";
  return {};
}

// Everything is read or aborted, and acknowledged: every buffer has come back.
std::string CutExchange::judge_buffers() const {
  if (!programs_) return {};
  if (programs_->lent_here() != 0) return "a buffer here did not come back";
  const LinkObserver there = must(LinkObserver::attach(there_.segments, kLink));
  return there.report().pool_lent_count == 0 ? "" : "a buffer there did not come back";
}

void CutExchange::restart(Killed killed) {
  const bool kills_receiver = killed == Killed::kReceiver || killed == Killed::kBoth;
  if (killed == Killed::kSender || killed == Killed::kBoth) {
    here_.kill();
    here_.start(LinkSide::kSender);
  }
  if (!kills_receiver) return;
  if (programs_ && programs_->is_read_between()) read(false);
  there_.kill();
  if (while_dead) while_dead(there_.segments);
  there_.start(LinkSide::kReceiver);
}

void CutExchange::connect(const Cut& cut, const Round& round, bool is_second) {
  Machine& client = client_ == LinkSide::kSender ? here_ : there_;
  Machine& server = client_ == LinkSide::kSender ? there_ : here_;
  connection_ = std::make_unique<Connection>(client, server, SessionOptions{}, cut);
  connection_->set_piece_bytes(round.piece_bytes);
  if (is_second && tamper_to_client) connection_->tamper_to_client(tamper_to_client);
  connection_->run();
}

std::string CutExchange::run(const Round& round) {
  fault_.clear();
  for (const std::size_t bytes : kBefore) write(bytes);
  connect(round.cut, round, false);
  if (round.reads_early) read(false);
  if (round.aborts) {
    if (programs_) {
      programs_->abort();
    } else {
      stream_writer_->abort_published();
    }
    aborted_below_ = message_count_;
    stream_aborted_ = stream_expected_.size();
  }
  for (const std::size_t bytes : kAfter) write(bytes);
  connection_->run();
  connection_.reset();
  restart(round.killed);
  connect({}, round, true);
  read(round.aborts);
  if (!fault_.empty()) return fault_;
  const SessionEnd ends[] = {connection_->client().outcome(), connection_->server().outcome()};
  for (const SessionEnd end : ends) {
    if (end != SessionEnd::kNone) return "the second connection ended";
  }
  // The abort has reached what lay in the other ring, and nothing behind it.
  const bool is_all_there =
      kind_ == WireKind::kStream ? stream_expected_.empty() : expected_.empty();
  if (!is_all_there) return "something is missing at the end";
  if (here_.port->source().done() != here_.port->source().cursor()) return "not acknowledged";
  connection_->run();
  if (std::string fault = judge_drops(); !fault.empty()) return fault;
  if (std::string fault = judge_buffers(); !fault.empty()) return fault;
  connection_.reset();
  return {};
}

CutExchange::Lengths CutExchange::measure() {
  const Round round;
  for (const std::size_t bytes : kBefore) write(bytes);
  connect({}, round, false);
  for (const std::size_t bytes : kAfter) write(bytes);
  connection_->run();
  const Lengths lengths{connection_->moved_to_server(), connection_->moved_to_client()};
  connection_.reset();
  read(false);
  REQUIRE(fault_.empty());
  return lengths;
}

void cut_everywhere(const CutScene& scene, LinkSide client, bool aborts,
                    std::function<void(const SegmentDirectory& there)> while_dead) {
  CutExchange exchange(scene.here, scene.there, client, scene.there_is_guarded);
  exchange.while_dead = std::move(while_dead);
  const CutExchange::Lengths lengths = exchange.measure();
  std::size_t cuts = 0;
  std::size_t faults = 0;
  const auto run = [&](const Cut& cut) {
    CutExchange::Round round;
    round.cut = cut;
    round.killed = static_cast<Killed>(cuts % kKilledCount);
    round.aborts = aborts;
    round.reads_early = cuts % 3 == 0;
    const std::string fault = exchange.run(round);
    ++cuts;
    if (fault.empty()) return true;
    ++faults;
    FAIL_CHECK(scene.name << ": cut after " << cut.to_server << " bytes to the server, "
                          << cut.to_client << " to the client, killed "
                          << static_cast<int>(round.killed) << ": " << fault);
    return false;
  };
  for (std::size_t at = 0; at <= lengths.to_server; ++at) {
    if (!run({at, SIZE_MAX})) return;
  }
  for (std::size_t at = 0; at <= lengths.to_client; ++at) {
    if (!run({SIZE_MAX, at})) return;
  }
  MESSAGE(std::string(scene.name),
          std::string(client == LinkSide::kSender ? ", the sender dials" : ", the receiver dials"),
          std::string(aborts ? ", with an abort" : ""), ": ", cuts, " cuts, ",
          exchange.message_count(), " messages, ", exchange.dropped_here(), " and ",
          exchange.dropped_there(), " dropped here and there, ", faults, " faults");
}

}  // namespace slipring::wire
