#include "tools/bench/machine_facts.h"

#include <sys/utsname.h>

#include <ctime>
#include <fstream>
#include <vector>

#include "platform/machine/processor.h"
#include "platform/process/affinity.h"

namespace slipring::bench {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0 && line.rfind("Model", 0) != 0) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string kernel_name() {
  utsname names{};
  if (uname(&names) != 0) return "unknown";
  return std::string(names.sysname) + ' ' + names.release + ' ' + names.machine;
}

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

}  // namespace

MachineFacts machine_facts() {
  MachineFacts facts;
  facts.processor = processor_name();
  facts.kernel = kernel_name();
  facts.time = time_text();
#if defined(__clang__)
  facts.compiler = "clang " __clang_version__;
#else
  facts.compiler = "g++ " __VERSION__;
#endif
#if defined(__OPTIMIZE__)
  facts.is_optimised = true;
#endif
  facts.governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  facts.processor_count = allowed_cpu_count();
  facts.is_virtual = runs_under_hypervisor();
  facts.has_energy_counter = energy_joules().has_value();
  return facts;
}

CellSettings default_settings() {
  CellSettings settings;
  const Result<std::vector<std::uint32_t>> cpus = allowed_cpus();
  if (!cpus || cpus.value().empty()) return settings;
  settings.cpu_here = cpus.value().front();
  settings.cpu_there = cpus.value().size() > 1 ? cpus.value()[1] : settings.cpu_here;
  return settings;
}

std::optional<double> energy_joules(const std::string& powercap_path) {
  std::ifstream file(powercap_path + "/intel-rapl:0/energy_uj");
  double microjoules = 0;
  if (!(file >> microjoules)) return std::nullopt;
  return microjoules / 1e6;
}

}  // namespace slipring::bench
