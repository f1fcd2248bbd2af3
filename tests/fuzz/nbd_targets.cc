// What NBD clients say: options to haggle about, and requests.
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "pipelines/array/nbd/nbd_request.h"
#include "pipelines/array/nbd/option_haggling.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"

namespace slipring::fuzz {
namespace {

using array::BlockExport;
using array::HagglingOutcome;
using array::NbdError;

constexpr BlockExport kBlock{1U << 20, 512, 4096,
                             array::kExportCanTrim | array::kExportCanWriteZeroes, 0};

std::string number(std::uint64_t value, int bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>(value >> (8 * bytes));
  return text;
}

// Input: the option's number, what has been agreed, its data.
class OptionParser {
 public:
  static Corpus corpus() {
    const std::string go = number(4, 4) + "disk" + number(2, 2) + number(0, 2) + number(3, 2);
    const std::string context =
        number(0, 4) + number(2, 4) + number(15, 4) + "base:allocation" + number(5, 4) + "base:";
    Corpus corpus{{"\3", "\1" + std::string(1, '\0') + "second"}, {}, 200};
    for (const char option : {'\6', '\7'}) corpus.seeds.push_back(option + ("\1" + go));
    for (const char option : {'\11', '\12'}) corpus.seeds.push_back(option + ("\1" + context));
    corpus.words = {"disk",       "second",       "base:",         "base:allocation",
                    number(0, 4), number(~0U, 4), number(4096, 4), number(15, 4)};
    return corpus;
  }
  OptionParser() {
    exports_.push_back({"disk", 0, kBlock});
    exports_.push_back({"second", 1, kBlock});
  }

  void run(std::span<const std::uint8_t> input, Tally& tally) {
    if (input.size() < 2) return tally.count(Answer::kRefused);
    array::HagglingState state;
    state.has_no_zeroes = (input[1] & 2) != 0;
    state.has_structured_replies = (input[1] & 1) != 0;
    state.tls = static_cast<array::TlsPolicy>(input[1] >> 2 & 3);
    state.is_encrypted = (input[1] & 16) != 0;
    const auto data = std::as_bytes(input.subspan(2));
    const array::OptionAnswer answer = array::answer_option(input[0], data, exports_, state);
    tally.look_at(answer.reply);
    tally.expect(answer.reply.size() <= array::kOptionReplyBytesMax, "a reply beyond its bound");
    tally.expect(answer.export_number < exports_.size(), "an export that there is not");
    tally.expect(!state.allocation_export || *state.allocation_export < exports_.size(),
                 "a context of an export that there is not");
    tally.expect(!state.allocation_export || state.has_structured_replies,
                 "a context without structured replies");
    const bool is_bare = answer.outcome == HagglingOutcome::kHangUp || input[0] == 1;
    tally.expect(is_bare || is_chain(answer.reply, input[0]), "replies that are no chain");
    const bool is_refusal =
        is_bare ? answer.outcome == HagglingOutcome::kHangUp : ends_in_error(answer.reply);
    tally.count(is_refusal ? Answer::kRefused : Answer::kDone);
  }

 private:
  // Replies to this option one behind the other, of which the last alone ends it.
  static bool is_chain(std::span<const std::byte> bytes, std::uint32_t option) {
    bool has_ended = false;
    while (!bytes.empty()) {
      if (has_ended || bytes.size() < array::kOptionReplyBytes) return false;
      const auto kind = array::get_big_endian<std::uint32_t>(bytes, 12);
      const auto size = array::get_big_endian<std::uint32_t>(bytes, 16);
      if (array::get_big_endian<std::uint64_t>(bytes, 0) != array::kOptionReplyMagic ||
          array::get_big_endian<std::uint32_t>(bytes, 8) != option ||
          size > bytes.size() - array::kOptionReplyBytes) {
        return false;
      }
      has_ended = kind == 1 || (kind >> 31) != 0;
      bytes = bytes.subspan(array::kOptionReplyBytes + size);
    }
    return has_ended;
  }
  static bool ends_in_error(std::span<const std::byte> bytes) {
    return !bytes.empty() && (array::get_big_endian<std::uint32_t>(bytes, 12) >> 31) != 0;
  }

  std::vector<array::NbdExport> exports_;
};

// Input: what has been agreed, and 28 bytes.
class RequestParser {
 public:
  static Corpus corpus() {
    Corpus corpus{{}, {}, 1 + array::kRequestBytes};
    for (std::uint64_t command = 0; command < 9; ++command) {
      corpus.seeds.push_back("\3" + number(array::kRequestMagic, 4) + number(1, 2) +
                             number(command, 2) + number(77, 8) + number(4096, 8) + number(512, 4));
    }
    corpus.words = {number(0, 8), number(~0ULL, 8), number(1U << 20, 4), number(33U << 20, 4),
                    number((1U << 20) - 512, 8)};
    return corpus;
  }

  void run(std::span<const std::uint8_t> input, Tally& tally) {
    if (input.size() < 1 + array::kRequestBytes) return tally.count(Answer::kRefused);
    const auto request = array::parse_request(std::as_bytes(input.subspan(1)));
    if (!request) return tally.count(Answer::kRefused);
    BlockExport block = kBlock;
    if ((input[0] & 4) != 0) block.flags |= array::kExportIsReadOnly;
    const NbdError error =
        array::judge_request(*request, block, (input[0] & 1) != 0, (input[0] & 2) != 0);
    if (error != NbdError::kNone) return tally.count(Answer::kRefused);
    tally.count(Answer::kDone);
    // What passes may be done as it stands.
    const bool is_within = request->offset <= block.size_bytes &&
                           request->length <= block.size_bytes - request->offset;
    tally.expect(is_within, "a request beyond the export passes");
    tally.expect(request->offset % 512 == 0 && request->length % 512 == 0,
                 "a request that is not aligned passes");
    tally.expect(!array::has_data(request->command) || request->length <= array::kPayloadBytesMax,
                 "more data than allowed pass");
    const bool changes = request->command == 1 || request->command == 4 || request->command == 6;
    tally.expect(!changes || (input[0] & 4) == 0, "a read-only export is changed");
    tally.expect(request->command <= 7 && request->command != 2, "an unknown command passes");
  }
};

template <typename Parser>
class NbdTarget final : public FuzzTarget {
 public:
  void run(std::span<const std::uint8_t> input, Tally& tally) override {
    parser_.run(input, tally);
  }
  std::size_t make_input(Random& random, std::span<std::uint8_t> place) override {
    return mutator_.make(random, place);
  }

 private:
  Parser parser_;
  Mutator mutator_{Parser::corpus()};
};

}  // namespace

std::span<const TargetInfo> nbd_targets() {
  static constexpr std::array<TargetInfo, 2> kTargets{{
      {"nbd option", TargetKind::kParser, "an option with its data, answered",
       make_target<NbdTarget<OptionParser>>},
      {"nbd request", TargetKind::kParser, "a request, parsed and judged",
       make_target<NbdTarget<RequestParser>>},
  }};
  return kTargets;
}

}  // namespace slipring::fuzz
