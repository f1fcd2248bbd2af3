// Texts that people, files and foreign programs give us.
#include <algorithm>

#include "pipelines/settop/ingest/source_address.h"
#include "pipelines/stage/oob.h"
#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/program_description.h"
#include "pipelines/stage/quantity.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"
#include "tools/cli/units.h"

namespace slipring::fuzz {
namespace {

[[nodiscard]] std::string_view view_of(std::span<const std::uint8_t> input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

class PipelineFileParser {
 public:
  static Corpus corpus() {
    return {{"[pipeline]\nname=\"p\"\n[[stage]]\nname=\"a\"\nprogram=\"x\"\n[[stage]]\nname=\"b\"\n"
             "program=\"y\"\n[[link]]\nname=\"l\"\nfrom=\"a.o\"\nto=\"b.i\"\nkind=\"records\"\n"
             "capacity=\"1MiB\"\n",
             "[pipeline]\nname=\"p\"\nmemlock=\"try\"\nwait=\"sleep\"\n[[stage]]\nname=\"s\"\n"
             "program=\"./z\"\nrestart=\"always\"\nrestart_limit=3\nrestart_window=\"10 s\"\n"
             "cpu=[0]\n[stage.options]\nk=\"v\"\nn=3\n[[oob]]\nname=\"c\"\nto=\"s.oob\"\n",
             "[[link]]\nname=\"f\"\nfrom=\"a.o\"\nto=\"b.i\"\nkind=\"slots\"\nslots=16\n"
             "slot_bytes=168\npool={buffers=8,buffer_bytes=\"4MiB\"}\ncredit=4\n"},
            {"[[stage]]\n",
             "[[link]]\n",
             "[[oob]]\n",
             "[pipeline]\n",
             "[stage.options]\n",
             "name=",
             "kind=\"slots\"\n",
             "capacity=",
             "\"64KiB\"",
             "slots=",
             "-1",
             "18446744073709551615",
             "1e999",
             "\"\\u0000\"",
             "[[",
             "]]",
             "{",
             "}",
             "\"\"\"",
             "a.o",
             "= 9223372036854775807\n",
             "inf",
             "1979-05-27T07:32:00Z"},
            400};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const PipelineFile file = parse_pipeline(view_of(input), "f");
    tally.count(file.findings.empty() ? Answer::kDone : Answer::kRefused);
    tally.expect(file.plan.stages.size() <= kMaxStageCount, "more stages than are allowed");
    tally.expect(file.plan.links.size() <= 2 * kMaxLinkCount, "more links than are allowed");
  }
};

class DescriptionParser {
 public:
  static Corpus corpus() {
    return {{"program demux\npurpose takes apart\nin ts required the stream\nout video optional v\n"
             "oob control optional commands\noption program '0' which one\n",
             "program x\npurpose\n", "later kind of line\nprogram y\nin a required b\n"},
            {"in ", "out ", "oob ", "option ", "program ", " required ", " optional ", "'", "\n",
             "\r\n", "\0"},
            300};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const std::optional<ProgramDescription> answer = parse_description(view_of(input));
    tally.count(answer ? Answer::kDone : Answer::kRefused);
    if (!answer) return;
    for (const DescribedPort& port : answer->ports) {
      tally.expect(!port.name.empty() && port.name.size() <= input.size(), "a port without a name");
    }
    for (const std::string& option : answer->options) {
      tally.expect(!option.empty() && option.size() <= input.size(), "an option without a name");
    }
  }
};

class SourceParser {
 public:
  static Corpus corpus() {
    return {{"udp://127.0.0.1:5000", "udp://@239.1.1.1:1234?iface=10.0.0.1&buffer_bytes=65536",
             "file:/a/b.ts", "/a/b.ts", "udp://[::1]:9"},
            {"udp://", "file:", "@", "?iface=", "&buffer_bytes=", ":65535", ":65536",
             "99999999999999999999", "255.255.255.255", "224.0.0.0"},
            120};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    std::string fault;
    const auto address = settop::parse_source(view_of(input), fault);
    tally.count(address ? Answer::kDone : Answer::kRefused);
    tally.expect(address.has_value() == fault.empty(),
                 "refused without a word, or against its own");
    if (!address) return;
    using Kind = settop::SourceAddress::Kind;
    tally.expect(address->kind == Kind::kFile ? !address->path.empty() && address->path != "-"
                                              : !address->host.empty(),
                 "an address of nothing");
  }
};

// The small ones of the command line and of the pipeline file, all with the same text.
class UnitParser {
 public:
  static Corpus corpus() {
    return {{"4096", "64KiB", "4 MiB", "1GiB", "500ms", "10 s", "2min", "32x4MiB", "0.5",
             "31536000", "8 × 1MiB"},
            {"KiB", "MiB", "GiB", "x", "×", "ns", "us", "h", "18446744073709551616", "1e308", "-",
             "+", ".", "inf", "nan", "0x10"},
            48};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const std::string_view text = view_of(input);
    const auto seconds = tools::parse_seconds_ns(text);
    const auto pool = tools::parse_pool(text);
    const auto size = parse_size_bytes(text);
    const auto duration = parse_duration_ns(text);
    tally.count(seconds || pool || size || duration ? Answer::kDone : Answer::kRefused);
    constexpr std::uint64_t kYearNs = 366ULL * 86'400 * 1'000'000'000;
    tally.expect(!seconds || (*seconds != 0 && *seconds <= kYearNs), "not a year at most");
  }
};

class CommandParser {
 public:
  static Corpus corpus() {
    return {{std::string(8, '\0') + "channel 11", std::string(8, 'x') + "stop", "short", ""},
            {"\x7f", " ", "~", std::string(1, '\0')},
            64};
  }
  static void run(std::span<const std::uint8_t> input, Tally& tally) {
    const auto command = decode_command(std::as_bytes(input));
    tally.count(command ? Answer::kDone : Answer::kRefused);
    if (!command) return;
    tally.expect(std::all_of(command->text.begin(), command->text.end(),
                             [](char letter) { return letter >= ' ' && letter <= '~'; }),
                 "a command that cannot be printed");
    tally.expect(encode_command(*command) == view_of(input), "a command of other bytes");
  }
};

constexpr std::array<TargetInfo, 5> kTargets{{
    {"pipeline_file", TargetKind::kParser,
     "one text of at most 400 bytes parsed as a pipeline file",
     make_target<ParserTarget<PipelineFileParser>>},
    {"description", TargetKind::kParser,
     "one text of at most 300 bytes parsed as an answer to --describe",
     make_target<ParserTarget<DescriptionParser>>},
    {"source_address", TargetKind::kParser,
     "one text of at most 120 bytes parsed as a source of television",
     make_target<ParserTarget<SourceParser>>},
    {"units", TargetKind::kParser,
     "one text of at most 48 bytes parsed as seconds, a pool, a size and a duration",
     make_target<ParserTarget<UnitParser>>},
    {"command_record", TargetKind::kParser, "one record of at most 64 bytes decoded as a command",
     make_target<ParserTarget<CommandParser>>},
}};

}  // namespace

std::span<const TargetInfo> text_targets() {
  return kTargets;
}

}  // namespace slipring::fuzz
