#include "tools/commands/steering.h"

#include <memory>
#include <string>

#include "tools/abort/abort.h"
#include "tools/oob/oob.h"
#include "tools/run/run.h"

namespace slipring::tools {
namespace {

// What --wait was given, into a request.
template <typename Request>
void take_wait(const std::string& word, Request& request) {
  request.wait = !word.empty();
  if (word != kValueLeftOut) request.wait_seconds = word;
}

}  // namespace

Command run_command() {
  const auto request = std::make_shared<RunRequest>();
  return {{"run", "Run the pipeline that a file describes",
           "FILE [--set STAGE.OPTION=VALUE]... [--check] [--json] [-q]",
           "  slipring run settop.toml\n"
           "  slipring run settop.toml --set ingest.url=udp://239.1.1.1:5000\n"
           "  slipring run settop.toml --check && echo sound\n"},
          {{"FILE", "", "The pipeline file (TOML)", &request->file, Need::kRequired},
           {"--set", "STAGE.OPTION=VALUE", "Set an option of a stage; may be given repeatedly",
            &request->overrides},
           {"--check", "", "Check the file and the machine; start nothing", &request->check},
           {"-q,--quiet", "", "Say only what went wrong", &request->quiet}},
          &request->json,
          [request](auto) { return run_pipeline(*request); }};
}

Command abort_command() {
  const auto request = std::make_shared<AbortRequest>();
  const auto wait = std::make_shared<std::string>();
  return {
      {"abort", "Drop what is queued on a link, and nothing that follows",
       "NAME [--wait[=SECONDS]] [--timeout SECONDS] [--json]",
       "  slipring abort jobs\n"
       "  slipring abort jobs --wait\n"
       "  slipring abort jobs --wait=1 --json | jq .dropped_messages\n"},
      {{"NAME", "", "The link", &request->name, Need::kRequired},
       {"--wait", "[=SECONDS]",
        "Wait until the reader has dropped it (at most 10 s), and say what and when", wait.get()},
       {"--timeout", "SECONDS", "Wait so long while another command is being given (default 2)",
        &request->timeout_seconds}},
      &request->json,
      [request, wait](auto) {
        take_wait(*wait, *request);
        return abort_queued(*request);
      }};
}

Command oob_command() {
  const auto request = std::make_shared<OobRequest>();
  const auto wait = std::make_shared<std::string>();
  return {
      {"oob", "Give a running stage a command, out of band",
       "PIPELINE.LANE WORD... [--wait[=SECONDS]] [--timeout SECONDS]\n"
       "               [--json]",
       "  slipring oob settop.channel program 2\n"
       "  slipring oob settop.channel program 2 --wait\n"
       "  slipring oob settop.channel --wait=0.5 --json -- seek -10\n"},
      {{"PIPELINE.LANE", "", "The lane, settop.channel for example", &request->lane,
        Need::kRequired},
       {"WORD", "", "The command; put -- before words that begin with -", &request->words,
        Need::kRequired},
       {"--wait", "[=SECONDS]",
        "Wait until the stage has the command (at most 10 s) and say how long that took",
        wait.get()},
       {"--timeout", "SECONDS", "Wait so long for another command to leave the lane (default 2)",
        &request->timeout_seconds}},
      &request->json,
      [request, wait](auto) {
        take_wait(*wait, *request);
        return oob(*request);
      }};
}

}  // namespace slipring::tools
