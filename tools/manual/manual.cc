#include "tools/manual/manual.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string_view>
#include <vector>

#include "platform/process/descriptor.h"
#include "tools/cli/json.h"
#include "tools/cli/segment_facts.h"
#include "tools/cli/selection.h"
#include "tools/cli/terminal.h"
#include "tools/manual/completion.h"
#include "tools/manual/man_page.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kManCommand = "man";
constexpr std::string_view kCompletionCommand = "completion";
constexpr mode_t kPageMode = 0644;

// Replaces the file in one step.  0, or an errno.
int write_file(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  const Descriptor file(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, kPageMode));
  if (!file.is_open()) return errno;
  while (!text.empty()) {
    const ssize_t written = write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return rename(fresh.c_str(), path.c_str()) == 0 ? 0 : errno;
}

ErrorCode code_of(int os_errno) {
  if (os_errno == ENOENT || os_errno == ENOTDIR) return ErrorCode::kNotFound;
  if (os_errno == EACCES || os_errno == EPERM || os_errno == EROFS) return ErrorCode::kPermission;
  return os_errno == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kSystem;
}

struct Page {
  std::string file;
  std::string text;
};

// Data as text, or as one member of a document.
void print_text(bool as_json, const char* key, const std::string& text) {
  if (!as_json) {
    print(text);
    return;
  }
  JsonWriter json;
  json.begin_document();
  json.member(key, text);
  print(json.end_document());
}

ExitStatus write_pages(const ManRequest& request, std::span<const CommandManual> manuals) {
  std::vector<Page> pages = {{"slipring.1", program_man_page(manuals)}};
  for (const CommandManual& manual : manuals) {
    pages.push_back({std::string("slipring-") + manual.text.name + ".1", man_page(manual)});
  }
  JsonWriter json;
  json.begin_document();
  json.begin_array("files");
  for (const Page& page : pages) {
    const std::string path = request.out + "/" + page.file;
    if (const int os_errno = write_file(path, page.text); os_errno != 0) {
      return complain(kManCommand, "cannot write " + path,
                      Error{code_of(os_errno), os_errno, "write a manual page"});
    }
    json.element(path);
    if (!request.json) print(path + "\n");
  }
  json.end_array();
  if (request.json) print(json.end_document());
  return ExitStatus::kOk;
}

}  // namespace

ExitStatus man(const ManRequest& request, std::span<const CommandManual> manuals) {
  if (!request.out.empty()) {
    if (request.command.empty()) return write_pages(request, manuals);
    complain(kManCommand, "COMMAND and --out exclude each other: --out writes every page");
    return ExitStatus::kUsage;
  }
  if (request.command.empty()) {
    print_text(request.json, "page", program_man_page(manuals));
    return ExitStatus::kOk;
  }
  for (const CommandManual& manual : manuals) {
    if (request.command != manual.text.name) continue;
    print_text(request.json, "page", man_page(manual));
    return ExitStatus::kOk;
  }
  complain(kManCommand, "there is no command '" + request.command +
                              "'; `slipring --help` lists those there are");
  return ExitStatus::kNotFound;
}

ExitStatus completion(const CompletionRequest& request, std::span<const CommandManual> manuals) {
  if (const std::optional<Shell> shell = shell_of(request.shell)) {
    print_text(request.json, "script", completion_script(*shell, manuals));
    return ExitStatus::kOk;
  }
  if (request.shell != "names") {
    complain(kCompletionCommand,
             "'" + request.shell + "' is no shell that there are completions for: bash, zsh, fish");
    return ExitStatus::kUsage;
  }
  ExitStatus status = ExitStatus::kOk;
  const std::optional<SegmentDirectory> directory = open_directory(kCompletionCommand, status);
  if (!directory) return status;
  Result<std::vector<std::string>> names = list_segments(*directory);
  if (!names) {
    return complain(kCompletionCommand, "cannot list " + directory->path(), names.error());
  }
  JsonWriter json;
  json.begin_document();
  json.begin_array("names");
  for (const std::string& name : *names) {
    json.element(name);
    if (!request.json) print(name + "\n");
  }
  json.end_array();
  if (request.json) print(json.end_document());
  return ExitStatus::kOk;
}

}  // namespace slipring::tools
