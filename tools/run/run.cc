#include "tools/run/run.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/pipeline_plan.h"
#include "pipelines/stage/plan_text.h"
#include "pipelines/stage/runner.h"
#include "tools/cli/json.h"
#include "tools/cli/terminal.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "run";

ExitStatus status_of(int run_answer) noexcept {
  switch (run_answer) {
    case kRunFinished:
      return ExitStatus::kOk;
    case kRunRefused:
      return ExitStatus::kUsage;
    case kRunForeignAbi:
      return ExitStatus::kVersion;
    default:
      return ExitStatus::kFailure;
  }
}

void print_findings(const std::vector<Finding>& findings, std::string_view file) {
  for (const Finding& finding : findings) {
    const std::string line = to_string(finding, file) + "\n";
    static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
  }
}

void print_json(const PipelinePlan& plan, const std::vector<Finding>& findings,
                std::string_view file) {
  JsonWriter json;
  json.begin_document();
  json.member("event", findings.empty() ? "checked" : "refused");
  json.member("file", file);
  json.member("pipeline", plan.name);
  json.begin_array("findings");
  for (const Finding& finding : findings) {
    json.begin_object();
    json.member("line", finding.line);
    json.member("wrong", finding.wrong);
    json.member("found", finding.found);
    json.member("remedy", finding.remedy);
    json.end_object();
  }
  json.end_array();
  print(json.end_document());
}

ExitStatus refuse(const RunRequest& request, const PipelinePlan& plan,
                  const std::vector<Finding>& findings, std::string_view where) {
  print_findings(findings, where);
  if (request.json) print_json(plan, findings, request.file);
  return ExitStatus::kUsage;
}

}  // namespace

ExitStatus run_pipeline(const RunRequest& request) {
  if (access(request.file.c_str(), R_OK) != 0) {
    const int os_errno = errno;
    complain(kCommand, "cannot read " + request.file + ": " + std::strerror(os_errno));
    return os_errno == EACCES                          ? ExitStatus::kPermission
           : os_errno == ENOENT || os_errno == ENOTDIR ? ExitStatus::kNotFound
                                                       : ExitStatus::kFailure;
  }
  PipelineFile file = load_pipeline(request.file);
  if (!file.findings.empty()) return refuse(request, file.plan, file.findings, request.file);
  for (const std::string& assignment : request.overrides) {
    const std::optional<Finding> finding = apply_override(file.plan, assignment);
    if (finding) return refuse(request, file.plan, {*finding}, "--set " + assignment);
  }
  RunOptions options;
  options.json = request.json;
  options.quiet = request.quiet;
  if (request.check) {
    const std::vector<Finding> findings = check_before_start(file.plan, options);
    if (!findings.empty()) return refuse(request, file.plan, findings, request.file);
    if (request.json) {
      print_json(file.plan, {}, request.file);
    } else if (!request.quiet) {
      print(describe(file.plan));
    }
    return ExitStatus::kOk;
  }
  // A reader of the JSON who goes away must not take the runner from its stages.
  std::signal(SIGPIPE, SIG_IGN);
  return status_of(run(std::move(file.plan), options));
}

}  // namespace slipring::tools
