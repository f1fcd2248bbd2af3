// TLS by the protocol's STARTTLS: clients that are not ours, certificates on one side or both, and
// what is refused.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/array/nbd/nbd_protocol.h"
#include "tests/pipelines/adapter/tls_identities.h"
#include "tests/pipelines/array/nbd/nbd_client.h"
#include "tests/pipelines/array/nbd/served_array.h"

namespace slipring::test {
namespace {

using array::NbdOption;
using array::OptionReply;

using Settings = std::vector<std::pair<std::string, std::string>>;

Settings with_tls(const TlsIdentities& identities, const std::string& policy,
                  const std::string& authority = {}) {
  return {{"nbd.tls", policy},
          {"nbd.tcp", "127.0.0.1:0"},
          {"nbd.tls_certificate", identities.certificate("server")},
          {"nbd.tls_key", identities.key("server")},
          {"nbd.tls_authority", authority}};
}

// A folder as libnbd and qemu want it, with the certificate of `client` unless that is empty.
std::string folder_for(const ServedArray& array, const TlsIdentities& identities,
                       const std::string& client) {
  const std::string folder = array.file("tls-" + client);
  std::string command = "mkdir -p " + folder + " && cp " + identities.certificate("authority") +
                        " " + folder + "/ca-cert.pem";
  if (!client.empty()) {
    command += " && cp " + identities.certificate(client) + " " + folder +
               "/client-cert.pem && cp " + identities.key(client) + " " + folder +
               "/client-key.pem";
  }
  REQUIRE(shell(command) == 0);
  return folder;
}

std::string port_of(const ServedArray& array) {
  const std::string log = array.log();
  const std::string words = "listening on TCP port ";
  const std::size_t at = log.find(words);
  REQUIRE(at != std::string::npos);
  return log.substr(at + words.size(), log.find('\n', at) - at - words.size());
}

std::string tls_uri(const ServedArray& array, const std::string& folder) {
  return "'nbds://localhost:" + port_of(array) + "/?tls-certificates=" + folder + "'";
}

int shell_in(const ServedArray& array, const std::string& command) {
  return shell("cd " + array.file("") + " && (" + command + ") > said 2>&1");
}

std::string said(const ServedArray& array) {
  return contents(array.file("said")) + array.log();
}

std::string text_of(NbdOption option) {
  return option_text(static_cast<std::uint32_t>(option), {});
}

std::optional<OptionReplyText> ask(NbdClient& client, NbdOption option) {
  if (!client.send(text_of(option))) return std::nullopt;
  return client.option_reply();
}

// The first reply's kind to an option without data.
std::uint32_t answer_to(const ServedArray& array, NbdOption option) {
  std::optional<NbdClient> client = NbdClient::connect(array.socket());
  REQUIRE(client.has_value());
  REQUIRE(client->greet());
  const std::optional<OptionReplyText> reply = ask(*client, option);
  return reply ? reply->kind : 0;
}

}  // namespace

TEST_CASE("tls: clients go there and back, and without a certificate of their own") {
  TlsIdentities identities;
  const ServedArray array("plain.toml", with_tls(identities, "required"));
  const std::string folder = folder_for(array, identities, "");
  const std::string uri = tls_uri(array, folder);
  CHECK_MESSAGE(shell_in(array, "nbdinfo --json " + uri + " && grep -q '\"TLS\": true' said") == 0,
                said(array));
  CHECK_MESSAGE(shell_in(array, "nbdinfo --list " + uri) == 0, said(array));
  CHECK_MESSAGE(
      shell_in(array,
               "head -c 20000000 /dev/urandom > there && truncate -s 32M there && "
               "nbdcopy --flush there " +
                   uri + " && nbdcopy " + uri + " back && cmp there back && cmp there disk") == 0,
      said(array));
  CHECK_MESSAGE(
      shell_in(array,
               "qemu-img compare --object tls-creds-x509,id=t,endpoint=client,dir=" + folder +
                   " --image-opts driver=raw,file.driver=file,file.filename=there "
                   "driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=localhost,"
                   "file.server.port=" +
                   port_of(array) + ",file.tls-creds=t") == 0,
      said(array));
  CHECK(array.number("nbd", "tls_connections") > 3);
}

TEST_CASE("tls: where it is required, plain clients are told so and nothing else") {
  TlsIdentities identities;
  const ServedArray array("plain.toml", with_tls(identities, "required"));
  for (const NbdOption option :
       {NbdOption::kList, NbdOption::kInfo, NbdOption::kGo, NbdOption::kStructuredReply,
        NbdOption::kSetMetaContext, NbdOption::kListMetaContext, static_cast<NbdOption>(77)}) {
    CHECK(answer_to(array, option) == static_cast<std::uint32_t>(OptionReply::kErrorTlsRequired));
  }
  CHECK(answer_to(array, NbdOption::kAbort) == static_cast<std::uint32_t>(OptionReply::kAck));
  CHECK(answer_to(array, NbdOption::kExportName) == 0);  // hung up on: it has no error
  CHECK(answer_to(array, NbdOption::kStartTls) == static_cast<std::uint32_t>(OptionReply::kAck));
  const std::string plain = "'nbd+unix:///?socket=" + array.socket() + "'";
  CHECK(shell_in(array, "nbdinfo " + plain) != 0);
  CHECK(shell_in(array, "nbdcopy there " + plain) != 0);
}

TEST_CASE("tls: where it is offered both come, and off there is none") {
  TlsIdentities identities;
  const ServedArray array("plain.toml", with_tls(identities, "offered"));
  CHECK(shell_in(array, "nbdinfo 'nbd+unix:///?socket=" + array.socket() + "'") == 0);
  CHECK(shell_in(array, "nbdinfo " + tls_uri(array, folder_for(array, identities, ""))) == 0);
  CHECK(answer_to(array, NbdOption::kList) == static_cast<std::uint32_t>(OptionReply::kServer));
  const ServedArray without;
  CHECK(answer_to(without, NbdOption::kStartTls) ==
        static_cast<std::uint32_t>(OptionReply::kErrorUnsupported));
}

TEST_CASE("tls: who shows no certificate where one is asked for, or a stranger's, is refused") {
  TlsIdentities identities;
  identities.add_stranger();
  const ServedArray array("plain.toml",
                          with_tls(identities, "required", identities.certificate("authority")));
  CHECK_MESSAGE(
      shell_in(array, "nbdinfo " + tls_uri(array, folder_for(array, identities, "client"))) == 0,
      said(array));
  const std::uint64_t served = array.number("nbd", "requests");
  CHECK(shell_in(array, "nbdinfo " + tls_uri(array, folder_for(array, identities, ""))) != 0);
  CHECK(shell_in(array, "nbdinfo " + tls_uri(array, folder_for(array, identities, "impostor"))) !=
        0);
  CHECK(eventually([&] { return array.number("nbd", "tls_refused") == 2; }, 60));
  CHECK(array.number("nbd", "requests") == served);
  CHECK_MESSAGE(array.log().find("certificate") != std::string::npos, array.log());
}

TEST_CASE("tls: what was said before it counts for nothing, and half handshakes harm nobody") {
  TlsIdentities identities;
  const ServedArray array("plain.toml", with_tls(identities, "offered"));
  // Options put behind STARTTLS by somebody in between are not taken for said within.
  std::optional<NbdClient> injecting = NbdClient::connect(array.socket());
  REQUIRE(injecting.has_value());
  REQUIRE(injecting->greet());
  const std::string list = text_of(NbdOption::kList);
  REQUIRE(injecting->send(text_of(NbdOption::kStartTls) + list));
  CHECK(injecting->is_hung_up_on());
  // Plain words in the handshake's place.
  std::optional<NbdClient> deaf = NbdClient::connect(array.socket());
  REQUIRE(deaf.has_value());
  REQUIRE(deaf->greet());
  REQUIRE(ask(*deaf, NbdOption::kStartTls).has_value());
  REQUIRE(deaf->send(list));
  CHECK(deaf->is_hung_up_on());
  // One that never goes on, beside which others are served.
  std::optional<NbdClient> silent = NbdClient::connect(array.socket());
  REQUIRE(silent.has_value());
  REQUIRE(silent->greet());
  REQUIRE(ask(*silent, NbdOption::kStartTls).has_value());
  CHECK(shell_in(array, "nbdinfo " + tls_uri(array, folder_for(array, identities, ""))) == 0);
}

TEST_CASE("tls: the front's death ends an encrypted connection, and a plain one goes on") {
  TlsIdentities identities;
  const ServedArray array("plain.toml", with_tls(identities, "offered"));
  const std::string uri = tls_uri(array, folder_for(array, identities, ""));
  const std::string plain = "'nbd+unix:///?socket=" + array.socket() + "'";
  // Each writes, has the front killed, and tries to write again.
  const std::string python = R"(/usr/bin/python3 -c '
import nbd, os, sys
h = nbd.NBD(); h.set_uri_allow_local_file(True); h.connect_uri(sys.argv[1]); h.pwrite(b"a" * 512, 0)
open("ready", "w").close(); open("go").read()
try:
    h.pwrite(b"b" * 512, 512); print("went on")
except nbd.Error:
    print("ended")
' )";
  for (const auto& [where, expected] : {std::pair(uri, "ended"), std::pair(plain, "went on")}) {
    REQUIRE(shell_in(array, "rm -f ready go && mkfifo go") == 0);
    REQUIRE(shell("cd " + array.file("") + " && (" + python + where +
                  " > outcome 2>&1; "
                  "touch over) &") == 0);
    REQUIRE(eventually([&] { return shell("test -e " + array.file("ready")) == 0; }, 60));
    array.kill_stage("nbd");
    REQUIRE(shell_in(array, "echo > go") == 0);
    REQUIRE(eventually([&] { return shell("test -e " + array.file("over")) == 0; }, 60));
    CHECK_MESSAGE(contents(array.file("outcome")).find(expected) == 0,
                  contents(array.file("outcome")));
    REQUIRE(shell_in(array, "rm over") == 0);
  }
  CHECK_MESSAGE(shell_in(array, "nbdinfo " + uri) == 0, said(array));
}

}  // namespace slipring::test
