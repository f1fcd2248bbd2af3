#include "tools/commands/carrying.h"

#include <memory>
#include <string>
#include <string_view>

#include "tools/pipe/pipe.h"
#include "tools/serve/serve.h"
#include "tools/wire/wire.h"

namespace slipring::tools {
namespace {

// What put, get and pipe have in common.
std::vector<OptionSpec> with_stream_options(std::vector<OptionSpec> options, PipeRequest& request,
                                            const char* stay) {
  options.insert(
      options.end(),
      {{"--capacity", "SIZE", "Of a link that is made, a power of two (default 1MiB)",
        &request.capacity},
       {"--lines", "", "Messages: a line each, into and out of records", &request.lines},
       {"--frames", "", "Messages: 4 bytes of length, little-endian, before each", &request.frames},
       {"--max-message", "SIZE", "Longer messages are an error (default 1MiB)",
        &request.max_message},
       {"--mode", "MODE", "Of a link that is made: 0600 (default) to 0660", &request.mode},
       {"--group", "GROUP", "Of a link that is made: whom the mode means", &request.group},
       {"--stay", "", stay, &request.stay}});
  return options;
}

// As an endpoint: a kind of link with its name is one already.
std::string endpoint_of(const std::string& name) {
  const bool has_kind = name.starts_with("topic:") || name.starts_with("mailbox:");
  return has_kind ? name : "ring:" + name;
}

}  // namespace

Command put_command() {
  // `to` is the stream's name until the command is known to be sound.
  const auto request = std::make_shared<PipeRequest>();
  std::vector<OptionSpec> options = with_stream_options(
      {{"NAME", "", "The stream; made if there is none", &request->to, Need::kRequired}}, *request,
      "Leave the stream open for the next writer");
  options.insert(
      options.end(),
      {{"-W,--wait", "SECONDS",
        "A mailbox: so long without its reader, a lane, or room; then exit status 4",
        &request->wait_seconds},
       {"--no-wait", "", "A mailbox: without its reader, and with a lane at once or not at all",
        &request->no_wait}});
  return {{"put", "Put standard input into a link that `get` reads, as a pipe with a name",
           "NAME|topic:NAME|mailbox:NAME [--lines|--frames]\n"
           "               [-W SECONDS] [--no-wait] [--capacity SIZE] [--mode MODE]\n"
           "               [--group GROUP] [--stay] [--json]",
           "  tar c . | slipring put backup\n"
           "  echo hello | slipring put mailbox:inbox --lines --no-wait\n"
           "  vmstat 1 | slipring put topic:load --lines\n"},
          std::move(options),
          &request->json,
          [request](auto) {
            request->from = "-";
            request->to = endpoint_of(request->to);
            return pipe(*request, "put");
          }};
}

Command get_command() {
  // `from` is the stream's name until the command is known to be sound.
  const auto request = std::make_shared<PipeRequest>();
  std::vector<OptionSpec> options = with_stream_options(
      {{"NAME", "", "The stream; made if there is none", &request->from, Need::kRequired}},
      *request, "Wait for the next writer when one has ended");
  options.insert(
      options.end(),
      {{"-C,--count", "N", "Messages: so many, and no more", &request->count},
       {"-W,--wait", "SECONDS", "Messages: so long without one, and no longer; then exit status 4",
        &request->wait_seconds},
       {"--no-wait", "", "A mailbox: what is there, without waiting for a sender",
        &request->no_wait},
       {"--oldest", "", "A topic: from the oldest message held, not from the next one",
        &request->oldest}});
  return {{"get", "Write what comes out of a link to standard output",
           "NAME|topic:NAME|mailbox:NAME [--lines|--frames] [-C N]\n"
           "               [-W SECONDS] [--no-wait] [--oldest] [--capacity SIZE]\n"
           "               [--mode MODE] [--group GROUP] [--stay] [--json]",
           "  slipring get backup | tar x\n"
           "  slipring get inbox --stay --json | jq '{text, sender}'\n"
           "  slipring get events --lines --stay | grep error\n"},
          std::move(options),
          &request->json,
          [request](auto) {
            request->from = endpoint_of(request->from);
            request->to = "-";
            return pipe(*request, "get");
          }};
}

Command pipe_command() {
  const auto request = std::make_shared<PipeRequest>();
  return {
      {"pipe", "Carry bytes or messages between files, pipes, sockets and links",
       "FROM TO [--lines|--frames] [--capacity SIZE] [--stay] [--json]",
       "  slipring pipe in.ts ring:ts\n"
       "  slipring pipe 'udp://239.1.1.1:5000?iface=eth0' ring:datagrams\n"
       "  slipring pipe 'unix:///run/in.sock?listen&clients=100' ring:jobs --lines\n"},
      with_stream_options(
          {{"FROM", "",
            "Where it comes from: -, PATH, ring:NAME, tcp://HOST:PORT, udp://HOST:PORT, "
            "unix://PATH, unix+seqpacket://PATH, tcp+tls://HOST:PORT; with ?listen who "
            "connects, with ?listen&clients=N up to N at a time",
            &request->from, Need::kRequired},
           {"TO", "", "Where it goes: the same, but for clients", &request->to, Need::kRequired}},
          *request, "Streams outlive their ends: wait for successors"),
      &request->json,
      [request](auto) { return pipe(*request, "pipe"); }};
}

Command wire_command() {
  const auto request = std::make_shared<WireRequest>();
  return {
      {"wire", "Carry links between machines; a cut or a kill loses nothing",
       "--listen|--connect ADDRESS [--send LINK[=NAME]]...\n"
       "                [--receive LINK[=NAME]]... [--once] [--json]",
       "  slipring wire --listen tcp://0.0.0.0:9000 --receive ts\n"
       "  slipring wire --connect tcp://box:9000 --send ts\n"
       "  slipring wire --connect 'tcp+tls://box:9000?ca=ca&cert=me&key=key' --send ts\n"},
      {{"--listen", "ADDRESS",
        "Serve clients: tcp://HOST:PORT, unix://PATH, or "
        "tcp+tls://HOST:PORT?ca=FILE&cert=FILE&key=FILE, and &name=CLIENT if need be",
        &request->listen},
       {"--connect", "ADDRESS", "Be a client: the same", &request->connect},
       {"--send", "LINK[=NAME]",
        "Read this link here, publish into NAME there; may be given repeatedly", &request->sends},
       {"--receive", "LINK[=NAME]", "Publish into this link here what NAME sends there",
        &request->receives},
       {"--once", "", "End when every link's stream has ended", &request->once}},
      &request->json,
      [request](auto) { return wire(*request); }};
}

Command serve_command() {
  const auto request = std::make_shared<ServeRequest>();
  return {
      {"serve", "Offer links over HTTP, with metrics for Prometheus and a live page",
       "[--listen HOST:PORT] [--token-file FILE] [OPTIONS]",
       "  slipring serve & curl -T message http://localhost:8080/v1/links/log\n"
       "  slipring serve --listen 9000 --token-file token\n"
       "  slipring serve --listen 0 --json | jq -r .url\n"},
      {{"--listen", "HOST:PORT", "Where to listen (default 127.0.0.1:8080); a port 0 is any",
        &request->listen},
       {"--token-file", "FILE", "Ask for the token in this file; a must beyond this machine",
        &request->token_file},
       {"--tls-certificate", "FILE", "TLS: our certificate (PEM)", &request->certificate_file},
       {"--tls-key", "FILE", "TLS: its key", &request->key_file},
       {"--tls-authority", "FILE", "TLS: who vouches for clients' certificates",
        &request->authority_file},
       {"--plain", "", "Beyond this machine without TLS", &request->plain},
       {"--max-body", "SIZE", "The longest message (default 1MiB)", &request->body_max},
       {"--connections", "N", "How many at once (default 2048)", &request->connections},
       {"--hold", "SECONDS", "Lay unused ends down after so long (default 60)", &request->hold}},
      &request->json,
      [request](auto) { return serve(*request); }};
}

}  // namespace slipring::tools
