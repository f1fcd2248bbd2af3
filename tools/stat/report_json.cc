#include "tools/cli/json.h"
#include "tools/stat/report.h"

namespace slipring::tools {
namespace {

void write_rate(JsonWriter& json, const char* key, const EndRates* rates,
                double EndRates::*member) {
  if (rates != nullptr) json.member(key, rates->*member);
}

void write_end(JsonWriter& json, const char* key, const EndReport& end, const EndRates* rates) {
  json.begin_object(key);
  json.member("state", name_of(presence_of(end)));
  json.member("pid", end.process_id);
  json.member("incarnation", end.incarnation);
  json.member("locked", end.is_locked);
  json.member("protection_level", slipring::name_of(end.protection));
  json.member("asleep", end.is_asleep);
  json.member("messages", end.message_count);
  json.member("payload_bytes", end.payload_bytes);
  write_rate(json, "messages_per_s", rates, &EndRates::messages_per_s);
  write_rate(json, "payload_bytes_per_s", rates, &EndRates::bytes_per_s);
  json.member("blocked", end.blocked_count);
  json.member("sleeps", end.sleep_count);
  json.member("aborts", end.abort_count);
  json.member("redelivered", end.redelivered_count);
  json.member("recovered", end.recovered_count);
  json.member("corrupt", end.corrupt_count);
  if (end.corrupt_count != 0) {
    json.member("offender_pid", end.offender_process_id);
    json.member("offender_user", end.offender_user);
  }
  json.end_object();
}

void write_link(JsonWriter& json, const Comparison& comparison, const LinkSample& link) {
  const LinkReport& report = link.report;
  const bool is_records = is_counted_in_bytes(report.shape);
  const std::optional<LinkRates> rates = comparison.rates(link);
  json.begin_object();
  json.member("name", link.name);
  json.member("kind", slipring::name_of(segment_kind(report.shape)));
  json.member("guarded", report.is_guarded);
  json.member("total_bytes", report.total_bytes);
  json.member("fill", report.fill);
  json.member("peak_fill", link.peak_fill);
  json.member("capacity", report.capacity);
  json.member("fill_unit", is_records ? "bytes" : slipring::name_of(report.shape.kind));
  if (!is_records) json.member("slot_bytes", report.shape.slot_bytes);
  if (report.shape.credit_count != 0) json.member("credit_count", report.shape.credit_count);
  if (report.shape.pool_buffer_count != 0) {
    json.begin_object("pool");
    json.member("lent", report.pool_lent_count);
    json.member("buffers", report.shape.pool_buffer_count);
    json.member("buffer_bytes", report.shape.pool_buffer_bytes);
    json.end_object();
  }
  write_end(json, "writer", report.writer, rates ? &rates->writer : nullptr);
  write_end(json, "reader", report.reader, rates ? &rates->reader : nullptr);
  if (is_lane_set(report.shape)) {
    json.begin_array("lanes");
    for (const LinkReport::Lane& lane : report.lanes) {
      json.begin_object();
      json.member("fill", lane.fill);
      write_end(json, "writer", lane.writer, nullptr);
      json.end_object();
    }
    json.end_array();
  }
  if (!report.places.empty()) {
    json.begin_array("places");
    for (const LinkReport::Place& place : report.places) {
      json.begin_object();
      json.member("is_member", place.is_member);
      json.member("lag", place.lag);
      json.member("lost", place.lost);
      write_end(json, "reader", place.reader, nullptr);
      json.end_object();
    }
    json.end_array();
  }
  json.end_object();
}

void write_board(JsonWriter& json, const Comparison& comparison, const BoardSample& board) {
  json.begin_object();
  json.member("name", board.name);
  json.member("state", name_of(board.stage.presence));
  json.member("pid", board.stage.process_id);
  json.member("incarnation", board.stage.incarnation);
  json.begin_array("values");
  for (const BoardObserver::Entry& entry : board.entries) {
    json.begin_object();
    json.member("name", entry.name);
    json.member("kind", entry.kind == BoardKind::kCounter ? "counter" : "gauge");
    json.member("value", entry.value);
    if (const std::optional<double> rate = comparison.rate(board, entry)) {
      json.member("per_s", *rate);
    }
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

void write_process(JsonWriter& json, const Comparison& comparison, const ProcessSample& process) {
  json.begin_object();
  json.member("name", process.name);
  json.member("pid", process.process_id);
  json.member("state", std::string(1, process.usage.state));
  json.member("cpu_time_ns", process.usage.cpu_time_ns);
  if (const std::optional<double> percent = comparison.cpu_percent(process)) {
    json.member("cpu_percent", *percent);
  }
  json.member("resident_bytes", process.usage.resident_bytes);
  json.member("locked_bytes", process.usage.locked_bytes);
  json.member("threads", process.usage.thread_count);
  json.end_object();
}

}  // namespace

std::string report_json(const Comparison& comparison) {
  const Sample& sample = comparison.now();
  JsonWriter json;
  json.begin_document();
  json.member("time_ns", sample.realtime_ns);
  json.member("interval_ns", comparison.interval_ns());
  json.begin_array("links");
  for (const LinkSample& link : sample.links) write_link(json, comparison, link);
  json.end_array();
  json.begin_array("boards");
  for (const BoardSample& board : sample.boards) write_board(json, comparison, board);
  json.end_array();
  json.begin_array("processes");
  for (const ProcessSample& process : sample.processes) {
    write_process(json, comparison, process);
  }
  json.end_array();
  return json.end_document();
}

}  // namespace slipring::tools
