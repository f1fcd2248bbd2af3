#include "tools/commands/program.h"

#include <memory>
#include <string>

#include "core/segment/segment_layout.h"
#include "tools/bench/bench.h"
#include "tools/cli/json.h"
#include "tools/cli/terminal.h"
#include "tools/cli/version.h"
#include "tools/doctor/doctor.h"
#include "tools/manual/manual.h"

namespace slipring::tools {
namespace {

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

}  // namespace

Command doctor_command() {
  const auto request = std::make_shared<DoctorRequest>();
  return {
      {"doctor", "Say what this machine allows, and the remedy for what it does not", "[--json]",
       "  slipring doctor\n"
       "  slipring doctor | grep -v ^OK\n"
       "  slipring doctor --json | jq -r '.capabilities[].remedy'\n"},
      {},
      &request->json,
      [request](auto) { return doctor(*request); }};
}

Command bench_command() {
  const auto request = std::make_shared<BenchRequest>();
  return {{"bench", "Measure the rings on this machine, against pipe, socket, and hardware",
           "[--seconds SECONDS] [--json]",
           "  slipring bench\n"
           "  slipring bench --seconds 30\n"
           "  slipring bench --json | jq '.results[] | {workload, contender, median}'\n"},
          {{"--seconds", "SECONDS", "Measure about so long (default 8)", &request->seconds},
           {"--cell", "NAME", "", &request->cell, Need::kInternal},
           {"--duration-ns", "N", "", &request->duration_ns, Need::kInternal},
           {"--cpus", "LIST", "", &request->cpus, Need::kInternal}},
          &request->json,
          [request](auto) { return bench(*request); }};
}

Command man_command() {
  const auto request = std::make_shared<ManRequest>();
  return {
      {"man", "Print a manual page, or write all of them", "[COMMAND] [--out DIRECTORY] [--json]",
       "  slipring man put | man -l -\n"
       "  slipring man | mandoc\n"
       "  slipring man --out /usr/local/share/man/man1\n"},
      {{"COMMAND", "", "The command (default: the program)", &request->command},
       {"--out", "DIRECTORY", "Write every page into this directory", &request->out}},
      &request->json,
      [request](std::span<const CommandManual> all) { return man(*request, all); }};
}

Command completion_command() {
  const auto request = std::make_shared<CompletionRequest>();
  return {{"completion", "Print a completion script for a shell", "bash|zsh|fish|names [--json]",
           "  . <(slipring completion bash)\n"
           "  slipring completion zsh > ~/.zfunc/_slipring\n"
           "  slipring completion fish > ~/.config/fish/completions/slipring.fish\n"},
          {{"SHELL", "", "bash, zsh or fish; or names, for the segments there are", &request->shell,
            Need::kRequired}},
          &request->json,
          [request](std::span<const CommandManual> all) { return completion(*request, all); }};
}

Command version_command() {
  const auto json = std::make_shared<bool>(false);
  return {{"version", "Print the versions of program and segment layout", "[--json]",
           "  slipring version\n"
           "  slipring --version\n"
           "  slipring version --json | jq .layout_version\n"},
          {},
          json.get(),
          [json](auto) { return print_version(*json); }};
}

}  // namespace slipring::tools
