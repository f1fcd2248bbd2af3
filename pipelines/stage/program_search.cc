#include "pipelines/stage/program_search.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <utility>

namespace slipring {
namespace {

enum class ProgramState { kMissing, kNotFile, kNotExecutable, kGood };

ProgramState look_at_program(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return ProgramState::kMissing;
  if (!S_ISREG(status.st_mode)) return ProgramState::kNotFile;
  return access(path.c_str(), X_OK) == 0 ? ProgramState::kGood : ProgramState::kNotExecutable;
}

std::optional<Finding> resolve_path(const PipelinePlan& plan, StagePlan& stage) {
  const std::filesystem::path folder = std::filesystem::path(plan.file).parent_path();
  const std::string path = (folder / stage.program).lexically_normal().string();
  switch (look_at_program(path)) {
    case ProgramState::kGood:
      stage.program_path = path;
      return std::nullopt;
    case ProgramState::kMissing:
      return Finding{stage.program_line, "program not found", path,
                     "a program with '/' is taken from the pipeline file's folder; build it or "
                     "correct the path"};
    case ProgramState::kNotFile:
      return Finding{stage.program_line, "program is not a file", path, "name the program itself"};
    case ProgramState::kNotExecutable:
      break;
  }
  return Finding{stage.program_line, "program cannot be run", path, "chmod +x " + path};
}

std::optional<Finding> search_program(StagePlan& stage, std::span<const std::string> places) {
  std::string not_executable;
  for (const std::string& place : places) {
    const std::filesystem::path folder = place;
    // The build tree gives every program a folder of its own, with the program's name.
    for (const auto& path : {folder / stage.program, folder / stage.program / stage.program}) {
      const ProgramState state = look_at_program(path.string());
      if (state == ProgramState::kGood) {
        stage.program_path = path.string();
        return std::nullopt;
      }
      if (state == ProgramState::kNotExecutable && not_executable.empty()) {
        not_executable = path.string();
      }
    }
  }
  if (!not_executable.empty()) {
    return Finding{stage.program_line, "program cannot be run", not_executable,
                   "chmod +x " + not_executable};
  }
  return Finding{stage.program_line, "program not found",
                 "\"" + stage.program + "\" is in none of " + comma_list(places),
                 "build it, or name its folder in $SLIPRING_STAGE_PATH"};
}

}  // namespace

std::vector<std::string> program_places(std::string_view pipeline_name, std::string_view own_folder,
                                        std::string_view stage_path) {
  std::vector<std::string> places;
  while (!stage_path.empty()) {
    const std::size_t colon = stage_path.find(':');
    const std::string_view folder = stage_path.substr(0, colon);
    if (!folder.empty()) places.emplace_back(folder);
    stage_path = colon == std::string_view::npos ? "" : stage_path.substr(colon + 1);
  }
  const std::filesystem::path own = own_folder;
  const std::filesystem::path pipelines = "pipelines";
  const std::filesystem::path appliance = pipelines / pipeline_name;
  for (const auto& place : {own, own / "../libexec/slipring", own / ".." / appliance,
                            own / "../.." / appliance, own / ".." / pipelines / "stage"}) {
    places.push_back(place.lexically_normal().string());
  }
  return places;
}

std::vector<Finding> resolve_programs(PipelinePlan& plan, std::span<const std::string> places) {
  std::vector<Finding> findings;
  for (StagePlan& stage : plan.stages) {
    if (stage.program.empty()) continue;  // missing in the file, and reported there
    auto finding = stage.program.find('/') != std::string::npos ? resolve_path(plan, stage)
                                                                : search_program(stage, places);
    if (finding) findings.push_back(std::move(*finding));
  }
  return findings;
}

}  // namespace slipring
