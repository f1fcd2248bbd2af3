#include "pipelines/array/nbd/option_haggling.h"

#include <algorithm>
#include <utility>

namespace slipring::array {
namespace {

constexpr std::string_view kAllocationContext = "base:allocation";
constexpr std::string_view kBaseNamespace = "base:";
constexpr std::size_t kOldNewstyleZeroes = 124;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Replies to one option, one behind the other.
class Replies {
 public:
  explicit Replies(std::uint32_t option) : option_(option) {}

  void add(OptionReply kind, std::span<const std::byte> data = {}) {
    WireText<kOptionReplyBytes> header;
    header.put(kOptionReplyMagic);
    header.put(option_);
    header.put(static_cast<std::uint32_t>(kind));
    header.put(static_cast<std::uint32_t>(data.size()));
    append(header.bytes());
    append(data);
  }
  void add(OptionReply kind, std::string_view data) { add(kind, bytes_of(data)); }

  void append(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::uint32_t option_;
  std::vector<std::byte> bytes_;
};

// An option's data, taken from the front; every take() says whether there was as much.
class OptionData {
 public:
  explicit OptionData(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename Integer>
  [[nodiscard]] bool take(Integer& value) {
    if (rest_.size() < sizeof value) return false;
    value = get_big_endian<Integer>(rest_, 0);
    rest_ = rest_.subspan(sizeof value);
    return true;
  }
  // A length of 32 bits and so many bytes.
  [[nodiscard]] bool take(std::string_view& text) {
    std::uint32_t size = 0;
    if (!take(size) || size > rest_.size() || size > kExportNameBytesMax) return false;
    text = {reinterpret_cast<const char*>(rest_.data()), size};
    rest_ = rest_.subspan(size);
    return true;
  }
  [[nodiscard]] bool is_empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

// The empty name means the first.
const NbdExport* find_export(std::span<const NbdExport> exports, std::string_view name) {
  if (name.empty()) return exports.empty() ? nullptr : &exports.front();
  const auto found =
      std::find_if(exports.begin(), exports.end(),
                   [name](const NbdExport& candidate) { return candidate.name == name; });
  return found == exports.end() ? nullptr : &*found;
}

// An agreement about one export does not hold for another.
void settle_context(const NbdExport& chosen, HagglingState& state) {
  if (state.allocation_export && *state.allocation_export != chosen.number) {
    state.allocation_export.reset();
  }
}

OptionAnswer export_name(std::span<const std::byte> data, std::span<const NbdExport> exports,
                         HagglingState& state) {
  const std::string_view name(reinterpret_cast<const char*>(data.data()), data.size());
  const NbdExport* chosen = find_export(exports, name);
  if (name.size() > kExportNameBytesMax || chosen == nullptr || !state.refusal().empty()) {
    return {HagglingOutcome::kHangUp, 0, {}};
  }
  settle_context(*chosen, state);
  WireText<10> text;
  text.put(chosen->block->size_bytes);
  text.put(transmission_flags(*chosen->block, state));
  OptionAnswer answer{HagglingOutcome::kTransmission, chosen->number, {}};
  answer.reply.assign(text.bytes().begin(), text.bytes().end());
  if (!state.has_no_zeroes) answer.reply.resize(answer.reply.size() + kOldNewstyleZeroes);
  return answer;
}

OptionAnswer list(std::span<const std::byte> data, std::span<const NbdExport> exports) {
  Replies replies(static_cast<std::uint32_t>(NbdOption::kList));
  if (!data.empty()) {
    replies.add(OptionReply::kErrorInvalid, "LIST has no data");
  } else {
    for (const NbdExport& one : exports) {
      WireText<4> size;
      size.put(static_cast<std::uint32_t>(one.name.size()));
      std::string text(reinterpret_cast<const char*>(size.bytes().data()), size.bytes().size());
      replies.add(OptionReply::kServer, text + one.name);
    }
    replies.add(OptionReply::kAck);
  }
  return {HagglingOutcome::kGoOn, 0, replies.take()};
}

void add_info(Replies& replies, const NbdExport& chosen, const HagglingState& state,
              std::uint16_t info) {
  const BlockExport& block = *chosen.block;
  if (static_cast<NbdInfo>(info) == NbdInfo::kBlockSize) {
    WireText<14> text;
    text.put(info);
    text.put(block.block_bytes_min);
    text.put(block.block_bytes_preferred);
    text.put(kPayloadBytesMax);
    replies.add(OptionReply::kInfo, text.bytes());
  } else if (static_cast<NbdInfo>(info) == NbdInfo::kName) {
    replies.add(OptionReply::kInfo, std::string("\0\1", 2) + chosen.name);
  } else if (static_cast<NbdInfo>(info) == NbdInfo::kExport) {
    WireText<12> text;
    text.put(info);
    text.put(block.size_bytes);
    text.put(transmission_flags(block, state));
    replies.add(OptionReply::kInfo, text.bytes());
  }
}

OptionAnswer info_or_go(NbdOption option, std::span<const std::byte> data,
                        std::span<const NbdExport> exports, HagglingState& state) {
  Replies replies(static_cast<std::uint32_t>(option));
  OptionData rest(data);
  std::string_view name;
  std::uint16_t info_count = 0;
  std::array<bool, 4> wants{};
  bool is_formed = rest.take(name) && rest.take(info_count);
  for (int i = 0; is_formed && i < info_count; ++i) {
    std::uint16_t info = 0;
    is_formed = rest.take(info);
    if (is_formed && info < wants.size()) wants[info] = true;
  }
  if (!is_formed || !rest.is_empty()) {
    replies.add(OptionReply::kErrorInvalid, "the option's lengths contradict each other");
    return {HagglingOutcome::kGoOn, 0, replies.take()};
  }
  const NbdExport* chosen = find_export(exports, name);
  if (chosen == nullptr) {
    replies.add(OptionReply::kErrorUnknown, "there is no export of that name; LIST them");
    return {HagglingOutcome::kGoOn, 0, replies.take()};
  }
  const bool is_go = option == NbdOption::kGo;
  if (const std::string_view why = is_go ? state.refusal() : std::string_view(); !why.empty()) {
    replies.add(OptionReply::kErrorPolicy, why);
    return {HagglingOutcome::kGoOn, 0, replies.take()};
  }
  if (is_go) settle_context(*chosen, state);
  wants[static_cast<std::size_t>(NbdInfo::kExport)] = true;  // without it the answer says nothing
  for (std::uint16_t info = 0; info < wants.size(); ++info) {
    if (wants[info]) add_info(replies, *chosen, state, info);
  }
  replies.add(OptionReply::kAck);
  return {is_go ? HagglingOutcome::kTransmission : HagglingOutcome::kGoOn, chosen->number,
          replies.take()};
}

// Of a query "base:" and none at all, LIST means everything that there is.
bool matches(std::string_view query, bool is_list) {
  return query == kAllocationContext || (is_list && query == kBaseNamespace);
}

OptionAnswer meta_context(NbdOption option, std::span<const std::byte> data,
                          std::span<const NbdExport> exports, HagglingState& state) {
  Replies replies(static_cast<std::uint32_t>(option));
  const bool is_list = option == NbdOption::kListMetaContext;
  if (!is_list) state.allocation_export.reset();
  const auto refuse = [&](OptionReply kind, std::string_view why) -> OptionAnswer {
    replies.add(kind, why);
    return {HagglingOutcome::kGoOn, 0, replies.take()};
  };
  if (!state.has_structured_replies) {
    return refuse(OptionReply::kErrorInvalid, "metadata contexts need STRUCTURED_REPLY first");
  }
  OptionData rest(data);
  std::string_view name;
  std::uint32_t query_count = 0;
  bool is_formed = rest.take(name) && rest.take(query_count);
  bool is_chosen = is_list && query_count == 0;
  for (std::uint32_t i = 0; is_formed && i < query_count; ++i) {
    std::string_view query;
    is_formed = rest.take(query);
    is_chosen = is_chosen || (is_formed && matches(query, is_list));
  }
  if (!is_formed || !rest.is_empty()) {
    return refuse(OptionReply::kErrorInvalid, "the option's lengths contradict each other");
  }
  const NbdExport* found = find_export(exports, name);
  if (found == nullptr) {
    return refuse(OptionReply::kErrorUnknown, "there is no export of that name; LIST them");
  }
  if (is_chosen) {
    // A list gives no numbers: they are agreed on by SET alone.
    WireText<4> id;
    id.put(is_list ? 0U : kAllocationContextId);
    std::string text(reinterpret_cast<const char*>(id.bytes().data()), id.bytes().size());
    replies.add(OptionReply::kMetaContext, text.append(kAllocationContext));
    if (!is_list) state.allocation_export = found->number;
  }
  replies.add(OptionReply::kAck);
  return {HagglingOutcome::kGoOn, 0, replies.take()};
}

}  // namespace

std::vector<std::byte> greeting() {
  WireText<kGreetingBytes> text;
  text.put(kNbdMagic);
  text.put(kOptionMagic);
  text.put(static_cast<std::uint16_t>(kFixedNewstyle | kNoZeroes));
  return {text.bytes().begin(), text.bytes().end()};
}

std::uint16_t transmission_flags(const BlockExport& block, const HagglingState& state) noexcept {
  // One back end serves every connection, so that a flush on one covers what was written on others.
  unsigned flags = kHasFlags | kSendFlush | kSendFua | kCanMultiConnection | kSendCache;
  if ((block.flags & kExportIsReadOnly) != 0) flags |= kReadOnly;
  if ((block.flags & kExportIsRotational) != 0) flags |= kRotational;
  if ((block.flags & kExportCanTrim) != 0) flags |= kSendTrim;
  if ((block.flags & kExportCanWriteZeroes) != 0) flags |= kSendWriteZeroes;
  if ((block.flags & kExportCanFastZero) != 0) flags |= kSendFastZero;
  if (state.has_structured_replies) flags |= kSendDontFragment;
  return static_cast<std::uint16_t>(flags);
}

std::vector<std::byte> too_big(std::uint32_t option) {
  Replies replies(option);
  replies.add(OptionReply::kErrorTooBig, "the option's data are more than 8 KiB");
  return replies.take();
}

namespace {

OptionAnswer start_tls(std::span<const std::byte> data, HagglingState& state) {
  Replies replies(static_cast<std::uint32_t>(NbdOption::kStartTls));
  if (state.tls == TlsPolicy::kOff) {
    replies.add(OptionReply::kErrorUnsupported, "this server has no TLS");
  } else if (!data.empty() || state.is_encrypted) {
    replies.add(OptionReply::kErrorInvalid,
                state.is_encrypted ? "TLS has been started" : "STARTTLS has no data");
  } else {
    replies.add(OptionReply::kAck);
    state.has_structured_replies = false;
    state.allocation_export.reset();
    return {HagglingOutcome::kStartTls, 0, replies.take()};
  }
  return {HagglingOutcome::kGoOn, 0, replies.take()};
}

}  // namespace

OptionAnswer answer_option(std::uint32_t option, std::span<const std::byte> data,
                           std::span<const NbdExport> exports, HagglingState& state) {
  Replies replies(option);
  if (state.tls == TlsPolicy::kRequired && !state.is_encrypted &&
      option != static_cast<std::uint32_t>(NbdOption::kAbort) &&
      option != static_cast<std::uint32_t>(NbdOption::kStartTls)) {
    // EXPORT_NAME has no error.
    if (option == static_cast<std::uint32_t>(NbdOption::kExportName)) {
      return {HagglingOutcome::kHangUp, 0, {}};
    }
    replies.add(OptionReply::kErrorTlsRequired, "STARTTLS comes first here");
    return {HagglingOutcome::kGoOn, 0, replies.take()};
  }
  switch (static_cast<NbdOption>(option)) {
    case NbdOption::kExportName:
      return export_name(data, exports, state);
    case NbdOption::kAbort:
      replies.add(OptionReply::kAck);
      return {HagglingOutcome::kFinish, 0, replies.take()};
    case NbdOption::kList:
      return list(data, exports);
    case NbdOption::kInfo:
    case NbdOption::kGo:
      return info_or_go(static_cast<NbdOption>(option), data, exports, state);
    case NbdOption::kStructuredReply:
      if (data.empty()) {
        state.has_structured_replies = true;
        replies.add(OptionReply::kAck);
      } else {
        replies.add(OptionReply::kErrorInvalid, "STRUCTURED_REPLY has no data");
      }
      return {HagglingOutcome::kGoOn, 0, replies.take()};
    case NbdOption::kListMetaContext:
    case NbdOption::kSetMetaContext:
      return meta_context(static_cast<NbdOption>(option), data, exports, state);
    case NbdOption::kStartTls:
      return start_tls(data, state);
  }
  replies.add(OptionReply::kErrorUnsupported, "this server does not know the option");
  return {HagglingOutcome::kGoOn, 0, replies.take()};
}

}  // namespace slipring::array
