#include "tools/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/segment/segment_layout.h"
#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_plan.h"
#include "tools/abort/abort.h"
#include "tools/bench/bench.h"
#include "tools/cli/exit_status.h"
#include "tools/cli/json.h"
#include "tools/cli/terminal.h"
#include "tools/cli/version.h"
#include "tools/create/create.h"
#include "tools/doctor/doctor.h"
#include "tools/help.h"
#include "tools/ls/ls.h"
#include "tools/manual/manual.h"
#include "tools/oob/oob.h"
#include "tools/pipe/pipe.h"
#include "tools/reap/reap.h"
#include "tools/rm/rm.h"
#include "tools/run/run.h"
#include "tools/serve/serve.h"
#include "tools/stat/stat.h"
#include "tools/tail/tail.h"
#include "tools/top/top.h"
#include "tools/verify/verify.h"
#include "tools/wire/wire.h"

namespace slipring::tools {
namespace {

CommandManual manual_of(const CLI::App& app, const CommandText& text) {
  // Arguments first, what every command has last.
  const auto rank = [](const CLI::Option* option) {
    if (option->get_positional()) return 0;
    return option->check_lname("help") || option->check_lname("json") ? 2 : 1;
  };
  std::vector<const CLI::Option*> options = app.get_options();
  std::stable_sort(
      options.begin(), options.end(),
      [&](const CLI::Option* one, const CLI::Option* other) { return rank(one) < rank(other); });
  CommandManual manual{text, {}};
  for (const CLI::Option* option : options) {
    if (option->get_group().empty()) continue;  // for the program's own use
    const bool is_argument = option->get_positional();
    std::string names = option->get_name(is_argument, !is_argument);
    // A flag that may have a value carries its default in braces.
    names = names.substr(0, names.find('{'));
    if (const std::size_t comma = names.find(','); comma != std::string::npos) {
      names.insert(comma + 1, " ");
    }
    manual.options.push_back(
        {names, option->get_option_text(), option->get_description(), is_argument});
  }
  return manual;
}

// The commands with what they were asked for.
struct CommandLine {
  CLI::App app;
  bool show_version = false;
  bool version_json = false;
  RunRequest run;
  CreateRequest create;
  RemoveRequest remove;
  ListRequest list;
  StatRequest stat;
  DoctorRequest doctor;
  PipeRequest put;  // `to` is the stream's name until the command is known to be sound
  PipeRequest get;  // likewise `from`
  PipeRequest pipe;
  AbortRequest abort;
  std::string abort_wait;
  OobRequest oob;
  std::string oob_wait;
  BenchRequest bench;
  TopRequest top;
  TailRequest tail;
  ServeRequest serve;
  VerifyRequest verify;
  WireRequest wire;
  ReapRequest reap;
  ManRequest man;
  CompletionRequest completion;
  std::vector<std::pair<const CLI::App*, const CommandText*>> commands;

  CLI::App& add(const CommandText& text, bool& json) {
    CLI::App& command = *app.add_subcommand(text.name, text.purpose);
    command.set_help_flag("-h,--help", "Print this help");
    command.formatter_fn([&text](const CLI::App* self, std::string, CLI::AppFormatMode) {
      return command_help(manual_of(*self, text));
    });
    command.allow_extras();  // for a better complaint than the library's
    json = false;
    command.add_flag("--json", json, "Print JSON for programs, one object a line");
    commands.emplace_back(&command, &text);
    return command;
  }

  [[nodiscard]] std::vector<CommandManual> manuals() const {
    std::vector<CommandManual> all;
    for (const auto& [command, text] : commands) all.push_back(manual_of(*command, *text));
    return all;
  }
};

void add_run(CommandLine& line) {
  CLI::App& command = line.add(kRunText, line.run.json);
  command.add_option("FILE", line.run.file, "The pipeline file (TOML)");
  command
      .add_option("--set", line.run.overrides, "Set an option of a stage; may be given repeatedly")
      ->option_text(" STAGE.OPTION=VALUE")
      ->allow_extra_args(false);
  command.add_flag("--check", line.run.check, "Check the file and the machine; start nothing");
  command.add_flag("-q,--quiet", line.run.quiet, "Say only what went wrong");
}

void add_create(CommandLine& line) {
  CreateRequest& request = line.create;
  CLI::App& command = line.add(kCreateText, request.json);
  command.add_option("NAME", request.name, "The segment's name: A-Z a-z 0-9 . _ -");
  command
      .add_option("--kind", request.kind,
                  "Of any length, of one length, typed values, or bytes; with a lane for each of "
                  "many senders; or to many readers")
      ->option_text(" records|slots|values|stream|lanes|mailbox|broadcast")
      ->required();
  command
      .add_option("--capacity", request.capacity,
                  "records, stream: the ring, a power of two; lanes, mailbox: each lane (64KiB)")
      ->option_text(" SIZE");
  command
      .add_option("--slots", request.slots,
                  "slots, broadcast (a power of two), values (any number): how many")
      ->option_text(" N");
  command.add_option("--slot-size", request.slot_size, "slots, values, broadcast: bytes of one")
      ->option_text(" SIZE");
  command
      .add_option("--pool", request.pool,
                  "slots: buffers that messages refer to, 32x4MiB for example")
      ->option_text(" NxSIZE");
  command
      .add_option("--credit", request.credit,
                  "At most so many messages under way; a full link answers instead of blocking")
      ->option_text(" N");
  command.add_option("--lanes", request.lanes, "lanes, mailbox: senders at a time (default 16)")
      ->option_text(" N");
  command.add_option("--readers", request.readers, "broadcast: readers at a time (default 16)")
      ->option_text(" N");
  command
      .add_option(
          "--policy", request.policy,
          "broadcast: whoever does not keep up loses messages, or makes the writer wait, or "
          "is put out")
      ->option_text(" overwrite|block|evict");
  command.add_option("--lag", request.lag, "evict: messages behind (default half of the slots)")
      ->option_text(" N");
  command.add_flag("--guarded", request.guarded,
                   "lanes, mailbox, broadcast: in sealed memory, each sender known by the kernel's "
                   "word; lasts as long as the command runs");
  command.add_option("--mode", request.mode, "0600 (default), 0640, 0620, or 0660")
      ->option_text(" MODE");
  command.add_option("--group", request.group, "The group that the mode means")
      ->option_text(" GROUP");
}

void add_rm(CommandLine& line) {
  CLI::App& command = line.add(kRmText, line.remove.json);
  command.add_option("NAME", line.remove.names, "Names, or patterns with * ? [] in quotes");
  command.add_flag("--stale", line.remove.stale,
                   "All that processes used which have ended since, but a mailbox with mail");
  command.add_flag("--force", line.remove.force, "Also what a living process holds");
}

void add_ls(CommandLine& line) {
  line.add(kLsText, line.list.json);
}

void add_stat(CommandLine& line) {
  StatRequest& request = line.stat;
  CLI::App& command = line.add(kStatText, request.json);
  command.add_option("NAME", request.names, "Segments, patterns, or pipelines (default: all)");
  command
      .add_option("-i,--interval", request.interval,
                  "Again every so many seconds, with rates in between (default: once, over 1 s)")
      ->option_text(" SECONDS");
  command.add_option("-n,--count", request.count, "Stop after so many")->option_text(" COUNT");
  command.add_flag("--once", request.once, "One look, without rates");
}

// What put, get and pipe have in common.
void add_stream_options(CLI::App& command, PipeRequest& request, const char* stay) {
  command
      .add_option("--capacity", request.capacity,
                  "Of a link that is made, a power of two (default 1MiB)")
      ->option_text(" SIZE");
  command.add_flag("--lines", request.lines, "Messages: a line each, into and out of records");
  command.add_flag("--frames", request.frames,
                   "Messages: 4 bytes of length, little-endian, before each");
  command
      .add_option("--max-message", request.max_message,
                  "Longer messages are an error (default 1MiB)")
      ->option_text(" SIZE");
  command.add_option("--mode", request.mode, "Of a link that is made: 0600 (default) to 0660")
      ->option_text(" MODE");
  command.add_option("--group", request.group, "Of a link that is made: whom the mode means")
      ->option_text(" GROUP");
  command.add_flag("--stay", request.stay, stay);
}

void add_put(CommandLine& line) {
  CLI::App& command = line.add(kPutText, line.put.json);
  command.add_option("NAME", line.put.to, "The stream; made if there is none");
  add_stream_options(command, line.put, "Leave the stream open for the next writer");
  command
      .add_option("-W,--wait", line.put.wait_seconds,
                  "A mailbox: so long without its reader, a lane, or room; then exit status 4")
      ->option_text(" SECONDS");
  command.add_flag("--no-wait", line.put.no_wait,
                   "A mailbox: without its reader, and with a lane at once or not at all");
}

void add_get(CommandLine& line) {
  CLI::App& command = line.add(kGetText, line.get.json);
  command.add_option("NAME", line.get.from, "The stream; made if there is none");
  add_stream_options(command, line.get, "Wait for the next writer when one has ended");
  command.add_option("-C,--count", line.get.count, "Messages: so many, and no more")
      ->option_text(" N");
  command
      .add_option("-W,--wait", line.get.wait_seconds,
                  "Messages: so long without one, and no longer; then exit status 4")
      ->option_text(" SECONDS");
  command.add_flag("--no-wait", line.get.no_wait,
                   "A mailbox: what is there, without waiting for a sender");
  command.add_flag("--oldest", line.get.oldest,
                   "A topic: from the oldest message held, not from the next one");
}

void add_pipe(CommandLine& line) {
  CLI::App& command = line.add(kPipeText, line.pipe.json);
  command.add_option("FROM", line.pipe.from,
                     "Where it comes from: -, PATH, ring:NAME, tcp://HOST:PORT, udp://HOST:PORT, "
                     "unix://PATH, unix+seqpacket://PATH, tcp+tls://HOST:PORT; with ?listen who "
                     "connects, with ?listen&clients=N up to N at a time");
  command.add_option("TO", line.pipe.to, "Where it goes: the same, but for clients");
  add_stream_options(command, line.pipe, "Streams outlive their ends: wait for successors");
}

// Of a command that tells somebody something, and may wait until it is heeded.
void add_wait_options(CLI::App& command, std::string& wait, const char* until,
                      std::string& timeout_seconds, const char* unsaid) {
  // A flag, because its value must not be taken from the words that follow.
  command.add_flag("--wait{yes}", wait, until)->option_text("[=SECONDS]");
  command.add_option("--timeout", timeout_seconds, unsaid)->option_text(" SECONDS");
}

void add_abort(CommandLine& line) {
  AbortRequest& request = line.abort;
  CLI::App& command = line.add(kAbortText, request.json);
  command.add_option("NAME", request.name, "The link");
  add_wait_options(command, line.abort_wait,
                   "Wait until the reader has dropped it (at most 10 s), and say what and when",
                   request.timeout_seconds,
                   "Wait so long while another command is being given (default 2)");
}

void add_wire(CommandLine& line) {
  WireRequest& request = line.wire;
  CLI::App& command = line.add(kWireText, request.json);
  const auto add_links = [&](const char* option, std::vector<std::string>& links,
                             const char* purpose) {
    command.add_option(option, links, purpose)
        ->option_text(" LINK[=NAME]")
        ->allow_extra_args(false);
  };
  command
      .add_option("--listen", request.listen,
                  "Serve clients: tcp://HOST:PORT, unix://PATH, or "
                  "tcp+tls://HOST:PORT?ca=FILE&cert=FILE&key=FILE, and &name=CLIENT if need be")
      ->option_text(" ADDRESS");
  command.add_option("--connect", request.connect, "Be a client: the same")
      ->option_text(" ADDRESS");
  add_links("--send", request.sends,
            "Read this link here, publish into NAME there; may be given repeatedly");
  add_links("--receive", request.receives, "Publish into this link here what NAME sends there");
  command.add_flag("--once", request.once, "End when every link's stream has ended");
}

void add_oob(CommandLine& line) {
  OobRequest& request = line.oob;
  CLI::App& command = line.add(kOobText, request.json);
  command.add_option("PIPELINE.LANE", request.lane, "The lane, settop.channel for example");
  command.add_option("WORD", request.words, "The command; put -- before words that begin with -");
  add_wait_options(command, line.oob_wait,
                   "Wait until the stage has the command (at most 10 s) and say how long that took",
                   request.timeout_seconds,
                   "Wait so long for another command to leave the lane (default 2)");
}

void add_bench(CommandLine& line) {
  BenchRequest& request = line.bench;
  CLI::App& command = line.add(kBenchText, request.json);
  command.add_option("--seconds", request.seconds, "Measure about so long (default 8)")
      ->option_text(" SECONDS");
  // What the command asks of its own children.
  command.add_option("--cell", request.cell)->group("");
  command.add_option("--duration-ns", request.duration_ns)->group("");
  command.add_option("--cpus", request.cpus)->group("");
}

void add_top(CommandLine& line) {
  TopRequest& request = line.top;
  CLI::App& command = line.add(kTopText, request.json);
  command.add_option("NAME", request.names, "Segments, patterns, or pipelines (default: all)");
  command.add_option("-i,--interval", request.interval, "Again every so many (default 1)")
      ->option_text(" SECONDS");
}

void add_tail(CommandLine& line) {
  TailRequest& request = line.tail;
  CLI::App& command = line.add(kTailText, request.json);
  command.add_option("NAME", request.name, "A link, but no board");
  command.add_option("-n,--count", request.count, "Stop after so many")->option_text(" COUNT");
  command.add_flag("--unread", request.unread,
                   "First those that its reader has not finished; of a topic, those it holds");
  command.add_flag("--raw", request.raw, "The bytes alone, with nothing between messages");
  command.add_flag("--hex", request.hex, "In hexadecimal (default: text, a line a message)");
}

void add_serve(CommandLine& line) {
  ServeRequest& request = line.serve;
  CLI::App& command = line.add(kServeText, request.json);
  const auto option = [&command](const char* name, std::string& place, const char* purpose,
                                 const char* value) {
    command.add_option(name, place, purpose)->option_text(value);
  };
  option("--listen", request.listen, "Where to listen (default 127.0.0.1:8080); a port 0 is any",
         " HOST:PORT");
  option("--token-file", request.token_file,
         "Ask for the token in this file; a must beyond this machine", " FILE");
  option("--tls-certificate", request.certificate_file, "TLS: our certificate (PEM)", " FILE");
  option("--tls-key", request.key_file, "TLS: its key", " FILE");
  option("--tls-authority", request.authority_file, "TLS: who vouches for clients' certificates",
         " FILE");
  command.add_flag("--plain", request.plain, "Beyond this machine without TLS");
  option("--max-body", request.body_max, "The longest message (default 1MiB)", " SIZE");
  option("--connections", request.connections, "How many at once (default 2048)", " N");
  option("--hold", request.hold, "Lay unused ends down after so long (default 60)", " SECONDS");
}

void add_verify(CommandLine& line) {
  CLI::App& command = line.add(kVerifyText, line.verify.json);
  command.add_option("NAME", line.verify.names, "Segments, patterns, or pipelines (default: all)");
}

void add_reap(CommandLine& line) {
  CLI::App& command = line.add(kReapText, line.reap.json);
  command.add_flag("--yes", line.reap.yes, "Remove it; without this nothing is changed");
  command.add_flag("--unread", line.reap.unread, "Also segments with messages that nobody read");
  command.add_flag("--dry-run", line.reap.dry_run, "Only list it (the default)");
}

void add_man(CommandLine& line) {
  CLI::App& command = line.add(kManText, line.man.json);
  command.add_option("COMMAND", line.man.command, "The command (default: the program)");
  command.add_option("--out", line.man.out, "Write every page into this directory")
      ->option_text(" DIRECTORY");
}

void add_completion(CommandLine& line) {
  CLI::App& command = line.add(kCompletionText, line.completion.json);
  command.add_option("SHELL", line.completion.shell,
                     "bash, zsh or fish; or names, for the segments there are");
}

void build(CommandLine& line) {
  line.app.set_help_flag("-h,--help", "Print this help");
  line.app.formatter_fn(
      [](const CLI::App*, std::string, CLI::AppFormatMode) { return program_help(); });
  line.app.add_flag("-V,--version", line.show_version, "Print the program's version");
  line.app.require_subcommand(0, 1);
  add_run(line);
  add_create(line);
  add_rm(line);
  add_ls(line);
  add_stat(line);
  add_put(line);
  add_get(line);
  add_pipe(line);
  add_abort(line);
  add_wire(line);
  add_oob(line);
  add_top(line);
  add_tail(line);
  add_serve(line);
  add_verify(line);
  add_reap(line);
  line.add(kDoctorText, line.doctor.json);
  add_bench(line);
  add_man(line);
  add_completion(line);
  line.add(kVersionText, line.version_json);
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

// The first word is no command: says so, and what was probably meant.
bool is_unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || *argv[1] == '-' || *argv[1] == '\0') return false;
  const std::vector<std::string> names = command_names(app);
  const std::string word = argv[1];
  if (std::find(names.begin(), names.end(), word) != names.end()) return false;
  const std::optional<std::string> meant = nearest_name(word, names);
  complain("", "there is no command '" + word + "'" +
                   (meant ? "; did you mean '" + *meant + "'?"
                          : "; `slipring --help` lists those there are"));
  return true;
}

// Words that nothing took: says so for the first.
bool has_extra_words(const CLI::App& command) {
  const std::vector<std::string> extra = command.remaining();
  if (extra.empty()) return false;
  const std::string& word = extra.front();
  if (word.empty() || word.front() != '-') {
    complain(command.get_name(),
             "what is '" + word + "'? see `slipring " + command.get_name() + " --help`");
    return true;
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::optional<std::string> meant = nearest_name(word.substr(0, word.find('=')), names);
  complain(command.get_name(), "there is no option " + word +
                                   (meant ? "; did you mean " + *meant + "?"
                                          : "; see `slipring " + command.get_name() + " --help`"));
  return true;
}

ExitStatus print_version(bool json) {
  if (json) {
    JsonWriter writer;
    writer.begin_document();
    writer.member("program", "slipring");
    writer.member("version", kProgramVersion);
    writer.member("layout_version", kSegmentVersion);
    print(writer.end_document());
  } else {
    print("slipring " + std::string(kProgramVersion) + "\nsegment layout version " +
          std::to_string(kSegmentVersion) + "\n");
  }
  return ExitStatus::kOk;
}

// The library gives what follows "--" to the program instead of to the command, so that we hand it
// out ourselves.  Answers whether every word found its place.
bool place_last_words(CommandLine& line, const std::string& command,
                      std::vector<std::string> words) {
  const auto fill = [&words](std::string& place) {
    if (!place.empty() || words.empty()) return;
    place = words.front();
    words.erase(words.begin());
  };
  const auto append = [&words](std::vector<std::string>& place) {
    place.insert(place.end(), words.begin(), words.end());
    words.clear();
  };
  if (command == kRunText.name) fill(line.run.file);
  if (command == kCreateText.name) fill(line.create.name);
  if (command == kPutText.name) fill(line.put.to);
  if (command == kGetText.name) fill(line.get.from);
  if (command == kPipeText.name) {
    fill(line.pipe.from);
    fill(line.pipe.to);
  }
  if (command == kManText.name) fill(line.man.command);
  if (command == kCompletionText.name) fill(line.completion.shell);
  if (command == kVerifyText.name) append(line.verify.names);
  if (command == kTopText.name) append(line.top.names);
  if (command == kTailText.name) fill(line.tail.name);
  if (command == kRmText.name) append(line.remove.names);
  if (command == kStatText.name) append(line.stat.names);
  if (command == kAbortText.name) fill(line.abort.name);
  if (command == kOobText.name) {
    fill(line.oob.lane);
    append(line.oob.words);
  }
  if (words.empty()) return true;
  complain(command, "what is '" + words.front() + "'? see `slipring " + command + " --help`");
  return false;
}

bool has_every_word(const CommandLine& line, const std::string& command) {
  const char* missing = nullptr;
  if (command == kRunText.name && line.run.file.empty()) missing = "FILE";
  if (command == kCreateText.name && line.create.name.empty()) missing = "NAME";
  if (command == kPutText.name && line.put.to.empty()) missing = "NAME";
  if (command == kGetText.name && line.get.from.empty()) missing = "NAME";
  if (command == kPipeText.name && line.pipe.to.empty()) missing = "TO";
  if (command == kPipeText.name && line.pipe.from.empty()) missing = "FROM";
  if (command == kAbortText.name && line.abort.name.empty()) missing = "NAME";
  if (command == kOobText.name && line.oob.words.empty()) missing = "WORD";
  if (command == kOobText.name && line.oob.lane.empty()) missing = "PIPELINE.LANE";
  if (command == kTailText.name && line.tail.name.empty()) missing = "NAME";
  if (command == kCompletionText.name && line.completion.shell.empty()) missing = "SHELL";
  if (missing == nullptr) return true;
  complain(command, std::string(missing) + " is required; see `slipring " + command + " --help`");
  return false;
}

// Not a kind of link with its name.
bool is_link_name(std::string_view word) {
  return !word.starts_with("topic:") && !word.starts_with("mailbox:");
}

ExitStatus dispatch(CommandLine& line, const std::string& command) {
  if (command == kRunText.name) return run_pipeline(line.run);
  if (command == kCreateText.name) return create(line.create);
  if (command == kRmText.name) return remove(line.remove);
  if (command == kLsText.name) return list(line.list);
  if (command == kStatText.name) return stat(line.stat);
  if (command == kPutText.name) {
    line.put.from = "-";
    if (is_link_name(line.put.to)) line.put.to = "ring:" + line.put.to;
    return pipe(line.put, command);
  }
  if (command == kGetText.name) {
    if (is_link_name(line.get.from)) line.get.from = "ring:" + line.get.from;
    line.get.to = "-";
    return pipe(line.get, command);
  }
  if (command == kPipeText.name) return pipe(line.pipe, command);
  if (command == kDoctorText.name) return doctor(line.doctor);
  if (command == kBenchText.name) return bench(line.bench);
  if (command == kTopText.name) return top(line.top);
  if (command == kTailText.name) return tail(line.tail);
  if (command == kServeText.name) return serve(line.serve);
  if (command == kVerifyText.name) return verify(line.verify);
  if (command == kWireText.name) return wire(line.wire);
  if (command == kReapText.name) return reap(line.reap);
  if (command == kManText.name) return man(line.man, line.manuals());
  if (command == kCompletionText.name) return completion(line.completion, line.manuals());
  if (command == kAbortText.name) {
    line.abort.wait = !line.abort_wait.empty();
    if (line.abort_wait != "yes") line.abort.wait_seconds = line.abort_wait;
    return abort_queued(line.abort);
  }
  if (command == kOobText.name) {
    line.oob.wait = !line.oob_wait.empty();
    if (line.oob_wait != "yes") line.oob.wait_seconds = line.oob_wait;
    return oob(line.oob);
  }
  return print_version(line.version_json);
}

ExitStatus refuse(CLI::App& app, std::string_view first_word, const char* why) {
  const std::vector<CLI::App*> asked = app.get_subcommands();
  // A misspelt option is often the reason for a missing one.
  if (!asked.empty() && has_extra_words(*asked.front())) return ExitStatus::kUsage;
  if (asked.empty() && first_word.starts_with('-')) {
    complain("", "there is no option " + std::string(first_word) + "; see `slipring --help`");
    return ExitStatus::kUsage;
  }
  const std::string name = asked.empty() ? "" : asked.front()->get_name();
  complain(name,
           std::string(why) + "; see `slipring " + (name.empty() ? "" : name + " ") + "--help`");
  return ExitStatus::kUsage;
}

ExitStatus parse_and_run(CommandLine& line, int argc, char** argv) {
  if (is_unknown_command(line.app, argc, argv)) return ExitStatus::kUsage;
  char** const end = argv + argc;
  char** const divider = std::find_if(argv + std::min(argc, 1), end, [](const char* word) {
    return std::string_view(word) == "--";
  });
  const std::vector<std::string> last_words(divider == end ? end : divider + 1, end);
  try {
    line.app.parse(static_cast<int>(divider - argv), argv);
  } catch (const CLI::CallForHelp&) {
    const std::vector<CLI::App*> asked = line.app.get_subcommands();
    print(asked.empty() ? line.app.help() : asked.front()->help());
    return ExitStatus::kOk;
  } catch (const CLI::ParseError& fault) {
    return refuse(line.app, argc > 1 ? argv[1] : "", fault.what());
  }
  const std::vector<CLI::App*> asked = line.app.get_subcommands();
  if (!asked.empty()) {
    const std::string command = asked.front()->get_name();
    const bool sound = !has_extra_words(*asked.front()) &&
                       place_last_words(line, command, last_words) && has_every_word(line, command);
    return sound ? dispatch(line, command) : ExitStatus::kUsage;
  }
  print(line.show_version ? "slipring " + std::string(kProgramVersion) + "\n" : program_help());
  return ExitStatus::kOk;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  const auto line = std::make_unique<CommandLine>();
  build(*line);
  return static_cast<int>(finish_output(parse_and_run(*line, argc, argv)));
}

}  // namespace slipring::tools
