// Runs a pipeline file: run_file FILE [--json].
#include <cstdio>
#include <cstring>

#include "pipelines/stage/finding.h"
#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/runner.h"

int main(int argc, char** argv) {
  if (argc < 2) return slipring::kRunRefused;
  slipring::PipelineFile file = slipring::load_pipeline(argv[1]);
  for (const slipring::Finding& finding : file.findings) {
    std::fprintf(stderr, "%s\n", to_string(finding, argv[1]).c_str());
  }
  if (!file.findings.empty()) return slipring::kRunRefused;
  slipring::RunOptions options;
  options.json = argc > 2 && std::strcmp(argv[2], "--json") == 0;
  return slipring::run(std::move(file.plan), options);
}
