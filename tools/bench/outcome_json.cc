#include "tools/bench/outcome_json.h"

#include "tools/cli/json.h"

namespace slipring::bench {
namespace {

const char* unit_name(Unit unit) {
  switch (unit) {
    case Unit::kMessagesPerSecond:
      return "messages_per_second";
    case Unit::kBytesPerSecond:
      return "bytes_per_second";
    case Unit::kNanoseconds:
      return "ns";
    case Unit::kRatio:
      return "ratio";
    case Unit::kPercent:
      return "percent";
    case Unit::kInstructions:
      return "instructions";
  }
  return "";
}

const char* family_name(Family family) {
  switch (family) {
    case Family::kOurs:
      return "slipring";
    case Family::kPeer:
      return "peer";
    case Family::kKernel:
      return "kernel";
    case Family::kRaw:
      return "raw";
  }
  return "";
}

void write_machine(tools::JsonWriter& json, const MachineFacts& machine) {
  json.begin_object("machine");
  json.member("processor", machine.processor);
  json.member("kernel", machine.kernel);
  json.member("compiler", machine.compiler);
  json.member("time", machine.time);
  json.member("processors", machine.processor_count);
  json.member("virtual", machine.is_virtual);
  json.member("energy_counter", machine.has_energy_counter);
  json.end_object();
}

void write_latency(tools::JsonWriter& json, const Histogram& latency_ns) {
  if (latency_ns.total() == 0) return;
  json.begin_object("latency_ns");
  json.member("count", latency_ns.total());
  json.member("p50", latency_ns.percentile(0.5));
  json.member("p90", latency_ns.percentile(0.9));
  json.member("p99", latency_ns.percentile(0.99));
  json.member("p99_9", latency_ns.percentile(0.999));
  json.member("p99_99", latency_ns.percentile(0.9999));
  json.member("max", latency_ns.max());
  json.end_object();
}

void write_repetitions(tools::JsonWriter& json, const Measured& measured) {
  json.begin_array("repetitions");
  for (const CellResult& result : measured.repetitions) {
    json.begin_object();
    json.member("value", result.value);
    json.member("messages", result.message_count);
    json.member("bounce_before_ns", result.bounce_before_ns);
    json.member("bounce_after_ns", result.bounce_after_ns);
    json.member("stalled", result.stalled);
    for (const auto& [name, number] : result.extras) json.member(name, number);
    json.end_object();
  }
  json.end_array();
}

void write_measured(tools::JsonWriter& json, const Measured& measured) {
  const Workload& workload = *measured.cell->workload;
  json.begin_object();
  json.member("workload", workload.id);
  json.member("contender", measured.cell->contender->id);
  json.member("family", family_name(measured.cell->contender->family));
  json.member("unit", unit_name(workload.unit));
  json.member("message_bytes", workload.message_bytes);
  if (!measured.was_measured()) {
    json.member("skipped", measured.skipped.empty() ? "no time was left" : measured.skipped);
    json.end_object();
    return;
  }
  json.member("median", measured.value.median);
  json.member("min", measured.value.least);
  json.member("max", measured.value.most);
  json.member("far", measured.far_count);
  json.member("stalls", measured.stall_count);
  json.member("lost", measured.faults.lost);
  json.member("reordered", measured.faults.reordered);
  json.member("torn", measured.faults.torn);
  write_latency(json, measured.latency_ns);
  write_repetitions(json, measured);
  json.end_object();
}

}  // namespace

std::string outcome_json(const RunOutcome& outcome, const MachineFacts& machine) {
  tools::JsonWriter json;
  json.begin_document();
  write_machine(json, machine);
  json.begin_object("run");
  json.member("seconds", outcome.duration_s);
  json.member("messages_checked", outcome.message_count);
  json.member("best_bounce_ns", outcome.best_bounce_ns);
  json.member("first_bounce_ns", outcome.first_bounce_ns);
  json.member("last_bounce_ns", outcome.last_bounce_ns);
  json.member("redone", outcome.redone_count);
  json.member("stayed_far", outcome.far_count);
  json.member("left_out", outcome.left_out_count);
  json.end_object();
  json.begin_array("results");
  for (const Measured& measured : outcome.measured) write_measured(json, measured);
  json.end_array();
  return json.end_document();
}

}  // namespace slipring::bench
