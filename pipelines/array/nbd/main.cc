// The front end of the storage array: an NBD server whose blocks are kept by the stages behind it.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "pipelines/array/block_request.h"
#include "pipelines/array/nbd/front.h"
#include "pipelines/array/nbd/option_haggling.h"
#include "pipelines/array/pooled_links.h"
#include "pipelines/stage/stage.h"
#include "pipelines/stage/stage_program.h"

namespace slipring::array {
namespace {

StageDescription describe() {
  StageDescription description;
  description.program = "nbd";
  description.purpose = "Serves block devices to NBD clients on a unix socket or over TCP.";
  description.ports = {
      {"requests", PortKind::kOutput, true,
       "BlockRequests, slots, with a pool for the data of writes"},
      {"replies", PortKind::kInput, true, "BlockReplies, slots, with a pool for the data of reads"},
      {"aborts", PortKind::kOutput, false, "BlockAborts, slots, ahead of the requests"},
      {"control", PortKind::kCommands, false,
       "clients (says who they are); disconnect CLIENT|all; abort CLIENT|all (what is queued)"},
  };
  description.options = {
      {"unix", "array.sock", "path of the unix socket, made with mode 0600; empty: none"},
      {"tcp", "", "HOST:PORT in numbers, e.g. 127.0.0.1:10809; port 0: a free one; empty: none"},
      {"tls", "off", "off; offered: clients may; required: nothing is told to plain clients"},
      {"tls_certificate", "", "PEM file of the server's certificate, and those that vouch for it"},
      {"tls_key", "", "PEM file of its key, without a pass phrase"},
      {"tls_authority", "", "PEM file of who vouches for clients; empty: they need no certificate"},
      {"stalled_ms", "5000",
       "when all places are taken, a newcomer has that of a client who has been choosing an "
       "export, "
       "or has sent half a request and nothing more, for so long, 0 to 3600000"},
      {"clients_an_address", "32",
       "connections of one TCP address (of IPv6: of a network) that may have an export open at "
       "once, "
       "1 to 64"},
      {"exports", "disk", "names, parted by commas; the first is the default"},
  };
  description.keeps_descriptors = true;
  description.waits_in_epoll = true;
  description.bell_order = BellOrder::kFence;
  return description;
}

// Nothing when the words are no list of export names.
std::vector<std::string> export_names(const std::string& words) {
  std::vector<std::string> names;
  std::size_t begin = 0;
  while (begin <= words.size()) {
    const std::size_t end = std::min(words.find(',', begin), words.size());
    const std::string name = words.substr(begin, end - begin);
    const bool is_printable = std::all_of(name.begin(), name.end(), [](char letter) {
      return static_cast<unsigned char>(letter) >= ' ' && letter != '\x7f';
    });
    const bool is_new = std::find(names.begin(), names.end(), name) == names.end();
    if (name.empty() || name.size() > 64 || !is_printable || !is_new) return {};
    names.push_back(name);
    begin = end + 1;
  }
  return names.size() <= kExportCountMax ? names : std::vector<std::string>();
}

// False when the options contradict each other, or name no certificate.
bool take_tls(Stage& stage, FrontOptions& options) {
  const std::string word = stage.option("tls");
  if (word == "off") return true;
  if (word != "offered" && word != "required") {
    stage.log(Severity::kError, "option tls: '%s' is none of off, offered, required", word.c_str());
    return false;
  }
  options.tls = word == "required" ? TlsPolicy::kRequired : TlsPolicy::kOffered;
  std::string fault;
  options.tls_context = TlsContext::open(
      TlsSide::kServer,
      {stage.option("tls_authority"), stage.option("tls_certificate"), stage.option("tls_key")},
      fault);
  if (!options.tls_context) {
    stage.log(Severity::kError, "option tls wants tls_certificate and tls_key: %s", fault.c_str());
  }
  return options.tls_context.has_value();
}

int serve(Stage& stage) {
  FrontOptions options{stage.option("unix"), stage.option("tcp"),
                       export_names(stage.option("exports")), TlsPolicy::kOff, std::nullopt};
  options.stalled_ns =
      static_cast<std::uint64_t>(stage.option_number("stalled_ms", 0, 3'600'000)) * 1'000'000;
  options.clients_an_address =
      static_cast<std::uint32_t>(stage.option_number("clients_an_address", 1, kEnteredCountMax));
  if (!take_tls(stage, options)) return 2;
  if (options.exports.empty()) {
    stage.log(
        Severity::kError,
        "option exports: \"%s\" is no list of 1 to %u names of 1 to 64 letters, no two alike, "
        "parted by commas",
        stage.option("exports").c_str(), kExportCountMax);
    return 2;
  }
  if (options.unix_path.empty() && options.tcp_address.empty()) {
    stage.log(Severity::kError, "no client can come: set the option unix or tcp");
    return 2;
  }
  const LinkWriter* aborts = stage.output("aborts");
  if (aborts != nullptr && !has_slots(stage, "aborts", aborts->shape(), sizeof(BlockAbort))) {
    return 2;
  }
  if (!have_pools(stage, stage.output("requests")->shape(), stage.input("replies")->shape(),
                  {sizeof(BlockRequest), sizeof(BlockReply), kBlockBufferBytes})) {
    return 2;
  }
  // Large, and not for the stack.
  return std::make_unique<Front>(stage, std::move(options))->run();
}

}  // namespace
}  // namespace slipring::array

int main(int argc, char** argv) {
  return slipring::run_stage(argc, argv, slipring::array::describe(), slipring::array::serve);
}
