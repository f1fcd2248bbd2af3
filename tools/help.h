// What --help says: the commands, their purpose, usage and examples.
#pragma once

#include <string>
#include <vector>

namespace slipring::tools {

// A command as its help shows it.
struct CommandText {
  const char* name;
  const char* purpose;
  const char* usage;     // after the name
  const char* examples;  // three lines
};

struct OptionText {
  std::string names;  // "-i, --interval"; an operand's name
  std::string value;  // as it follows them: " SECONDS", " a|b", "[=SECONDS]"; empty for none
  std::string purpose;
  bool is_operand = false;
};

// All that is known of a command: what its help, its manual page and its completion are made of.
struct CommandManual {
  CommandText text;
  std::vector<OptionText> options;
};

inline constexpr CommandText kRunText = {
    "run", "Run the pipeline that a file describes",
    "FILE [--set STAGE.OPTION=VALUE]... [--check] [--json] [-q]",
    "  slipring run settop.toml\n"
    "  slipring run settop.toml --set ingest.url=udp://239.1.1.1:5000\n"
    "  slipring run settop.toml --check && echo sound\n"};
inline constexpr CommandText kCreateText = {
    "create", "Make a link that nobody is attached to yet",
    "NAME --kind records|stream --capacity SIZE [OPTIONS]\n"
    "  slipring create NAME --kind slots --slots N --slot-size SIZE [OPTIONS]\n"
    "  slipring create NAME --kind mailbox|lanes [--lanes N] [--guarded] [OPTIONS]\n"
    "  slipring create NAME --kind broadcast --slots N --slot-size SIZE [OPTIONS]",
    "  slipring create ts --kind records --capacity 4MiB\n"
    "  slipring create frames --kind slots --slots 64 --slot-size 192 --pool 32x4MiB\n"
    "  slipring create inbox --kind mailbox --credit 100 --mode 0660\n"};
inline constexpr CommandText kRmText = {"rm", "Remove segments that no living process uses",
                                        "[NAME|PATTERN]... [--stale] [--force] [--json]",
                                        "  slipring rm ts\n"
                                        "  slipring rm 'settop.*'\n"
                                        "  slipring rm --stale\n"};
inline constexpr CommandText kLsText = {
    "ls", "List segments and who holds them", "[--json]",
    "  slipring ls\n"
    "  SLIPRING_DIR=/dev/shm/test slipring ls\n"
    "  slipring ls --json | jq '.segments[] | select(.stale).name'\n"};
inline constexpr CommandText kStatText = {
    "stat", "Show fill, rates, trouble, and processor use of links and stages",
    "[NAME|PATTERN|PIPELINE]... [-i SECONDS [-n COUNT]] [--once]\n"
    "                [--json]",
    "  slipring stat settop\n"
    "  slipring stat settop.ts -i 1\n"
    "  slipring stat --once --json | jq '.links[] | {name, fill, capacity}'\n"};
inline constexpr CommandText kDoctorText = {
    "doctor", "Say what this machine allows, and the remedy for what it does not", "[--json]",
    "  slipring doctor\n"
    "  slipring doctor | grep -v ^OK\n"
    "  slipring doctor --json | jq -r '.capabilities[].remedy'\n"};
inline constexpr CommandText kPutText = {
    "put", "Put standard input into a link that `get` reads, as a pipe with a name",
    "NAME|topic:NAME|mailbox:NAME [--lines|--frames]\n"
    "               [-W SECONDS] [--no-wait] [--capacity SIZE] [--mode MODE]\n"
    "               [--group GROUP] [--stay] [--json]",
    "  tar c . | slipring put backup\n"
    "  echo hello | slipring put mailbox:inbox --lines --no-wait\n"
    "  tail -f log | slipring put events --lines --stay\n"};
inline constexpr CommandText kGetText = {
    "get", "Write what comes out of a link to standard output",
    "NAME|topic:NAME|mailbox:NAME [--lines|--frames] [-C N]\n"
    "               [-W SECONDS] [--no-wait] [--oldest] [--capacity SIZE]\n"
    "               [--mode MODE] [--group GROUP] [--stay] [--json]",
    "  slipring get backup | tar x\n"
    "  slipring get inbox --stay --json | jq '{text, sender}'\n"
    "  slipring get events --lines --stay | grep error\n"};
inline constexpr CommandText kPipeText = {
    "pipe", "Carry bytes or messages between files, pipes, sockets and links",
    "FROM TO [--lines|--frames] [--capacity SIZE] [--stay] [--json]",
    "  slipring pipe in.ts ring:ts\n"
    "  slipring pipe 'udp://239.1.1.1:5000?iface=eth0' ring:datagrams\n"
    "  slipring pipe 'unix:///run/in.sock?listen&clients=100' ring:jobs --lines\n"};
inline constexpr CommandText kWireText = {
    "wire", "Carry links between machines; a cut or a kill loses nothing",
    "--listen|--connect ADDRESS [--send LINK[=NAME]]...\n"
    "                [--receive LINK[=NAME]]... [--once] [--json]",
    "  slipring wire --listen tcp://0.0.0.0:9000 --receive ts\n"
    "  slipring wire --connect tcp://box:9000 --send ts\n"
    "  slipring wire --connect 'tcp+tls://box:9000?ca=ca&cert=me&key=key' --send ts\n"};
inline constexpr CommandText kOobText = {
    "oob", "Give a running stage a command, out of band",
    "PIPELINE.LANE WORD... [--wait[=SECONDS]] [--timeout SECONDS]\n"
    "               [--json]",
    "  slipring oob settop.channel program 2\n"
    "  slipring oob settop.channel program 2 --wait\n"
    "  slipring oob settop.channel --wait=0.5 --json -- seek -10\n"};
inline constexpr CommandText kAbortText = {
    "abort", "Drop what is queued on a link, and nothing that follows",
    "NAME [--wait[=SECONDS]] [--timeout SECONDS] [--json]",
    "  slipring abort jobs\n"
    "  slipring abort jobs --wait\n"
    "  slipring abort jobs --wait=1 --json | jq .dropped_messages\n"};
inline constexpr CommandText kBenchText = {
    "bench", "Measure the rings on this machine, against pipe, socket, and hardware",
    "[--seconds SECONDS] [--json]",
    "  slipring bench\n"
    "  slipring bench --seconds 30\n"
    "  slipring bench --json | jq '.results[] | {workload, contender, median}'\n"};
inline constexpr CommandText kTopText = {
    "top", "Watch links and their processes on the whole terminal",
    "[NAME|PATTERN|PIPELINE]... [-i SECONDS] [--json]",
    "  slipring top\n"
    "  slipring top settop -i 0.5\n"
    "  slipring top --json | jq -c '.links[] | {name, fill}'\n"};
inline constexpr CommandText kTailText = {
    "tail", "Show the messages of a link as they go by, and take none",
    "NAME [-n COUNT] [--unread] [--raw|--hex|--json]",
    "  slipring tail log\n"
    "  slipring tail log --unread -n 1 --hex\n"
    "  slipring tail news --json | jq .size_bytes\n"};
inline constexpr CommandText kServeText = {
    "serve", "Offer links over HTTP, with metrics for Prometheus and a live page",
    "[--listen HOST:PORT] [--token-file FILE] [OPTIONS]",
    "  slipring serve & curl -T message http://localhost:8080/v1/links/log\n"
    "  slipring serve --listen 9000 --token-file token\n"
    "  slipring serve --listen 0 --json | jq -r .url\n"};
inline constexpr CommandText kVerifyText = {
    "verify", "Check the layout and the invariants of segments; change nothing",
    "[NAME|PATTERN]... [--json]",
    "  slipring verify\n"
    "  slipring verify 'settop.*' && echo sound\n"
    "  slipring verify --json | jq '.segments[] | select(.findings != []).name'\n"};
inline constexpr CommandText kReapText = {
    "reap", "List what dead processes have left behind, and remove it when told to",
    "[--yes] [--unread] [--json]",
    "  slipring reap\n"
    "  slipring reap --yes\n"
    "  slipring reap --json | jq -r '.leftovers[].name'\n"};
inline constexpr CommandText kCompletionText = {
    "completion", "Print a completion script for a shell", "bash|zsh|fish|names [--json]",
    "  . <(slipring completion bash)\n"
    "  slipring completion zsh > ~/.zfunc/_slipring\n"
    "  slipring completion fish > ~/.config/fish/completions/slipring.fish\n"};
inline constexpr CommandText kManText = {"man", "Print a manual page, or write all of them",
                                         "[COMMAND] [--out DIRECTORY] [--json]",
                                         "  slipring man put | man -l -\n"
                                         "  slipring man | mandoc\n"
                                         "  slipring man --out /usr/local/share/man/man1\n"};
inline constexpr CommandText kVersionText = {
    "version", "Print the versions of program and segment layout", "[--json]",
    "  slipring version\n"
    "  slipring --version\n"
    "  slipring version --json | jq .layout_version\n"};

// Both are written for 80 columns.
[[nodiscard]] std::string command_help(const CommandManual& manual);
[[nodiscard]] std::string program_help();

}  // namespace slipring::tools
