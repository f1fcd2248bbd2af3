#include "pipelines/stage/wire_end.h"

#include <map>
#include <string>
#include <utility>

#include "pipelines/stage/quantity.h"
#include "pipelines/wire/wire_address.h"
#include "pipelines/wire/wire_shape.h"

namespace slipring {
namespace {

using wire::WireAddress;

std::string place_of(const WireAddress& address) {
  if (address.kind == WireAddress::Kind::kUnix) return address.path;
  return (address.host.empty() ? "127.0.0.1" : address.host) + ":" + address.port;
}

}  // namespace

bool is_wire_end(std::string_view text) noexcept {
  // An unknown scheme as well: it is no STAGE.PORT, and the address's own words say what there is.
  return wire::is_wire_address(text) || text.find("://") != std::string_view::npos;
}

std::optional<Finding> check_wire_end(const LinkPlan& link, bool is_sound) {
  const WirePlan& end = *link.wire;
  std::string fault;
  const std::optional<WireAddress> address = wire::parse_wire_address(end.address, fault);
  if (!address) return Finding{end.line, "bad address of a link's end", quoted(end.address), fault};
  const bool listens = end.call == WireCall::kListen;
  if (address->kind != WireAddress::Kind::kUnix && address->port == "0") {
    return Finding{end.line, "no port in the address of a link's end", quoted(end.address),
                   listens ? "write the port that the other machine calls"
                           : "write the port at which the other machine listens"};
  }
  if (link.name.size() + kCarrierSuffix.size() > kMaxPipelineNameBytes) {
    return Finding{link.line, "name too long for a link to another machine", quoted(link.name),
                   "use at most " + std::to_string(kMaxPipelineNameBytes - kCarrierSuffix.size()) +
                       " letters"};
  }
  if (!is_sound) return std::nullopt;
  if (const Status fits = wire::check_wire_shape(shape_of(link)); !fits) {
    return Finding{link.line, "a link that no wire carries", fits.error().doing,
                   "at most " + format_bytes(wire::kLinkBytesMax)};
  }
  return std::nullopt;
}

void join_carrier(PipelinePlan& plan, std::size_t link_index, std::uint32_t restart_limit) {
  LinkPlan& link = plan.links[link_index];
  WirePlan& end = *link.wire;
  StagePlan stage;
  stage.name = link.name + std::string(kCarrierSuffix);
  stage.program = kCarrierProgram;
  stage.wait = plan.wait;
  stage.restart_limit = restart_limit;
  stage.carries_wire = true;
  stage.line = end.line;
  stage.program_line = end.line;
  stage.cpu_line = end.line;
  stage.options = {{"address", end.address, end.line},
                   {"call", name_of(end.call), end.line},
                   {"link", link.name, end.line}};
  end.carrier_index = plan.stages.size();
  plan.stages.push_back(std::move(stage));
  (end.sends ? link.to : link.from) = {end.carrier_index, end.sends ? "in" : "out", end.line};
}

std::vector<Finding> check_wire_places(const PipelinePlan& plan) {
  std::vector<Finding> findings;
  std::map<std::pair<bool, std::string>, const LinkPlan*> taken;
  for (const LinkPlan& link : plan.links) {
    if (!link.wire) continue;
    const StagePlan& carrier = plan.stages[link.wire->carrier_index];
    for (const StagePlan& stage : plan.stages) {
      if (stage.carries_wire || stage.name != carrier.name) continue;
      findings.push_back({stage.line, "duplicate stage name",
                          quoted(stage.name) + ", which link " + quoted(link.name) + " (line " +
                              std::to_string(link.wire->line) + ") has for its carrier",
                          "give the stage another name"});
    }
    std::string fault;
    const std::optional<WireAddress> address = wire::parse_wire_address(link.wire->address, fault);
    if (!address) continue;  // reported
    const bool listens = link.wire->call == WireCall::kListen;
    std::string place = place_of(*address);
    if (!listens) {
      place += "/" + (address->link.empty() ? link.name : address->link) +
               (link.wire->sends ? " to" : " from");
    }
    const auto [first, is_new] = taken.try_emplace({listens, place}, &link);
    if (is_new) continue;
    findings.push_back(
        {link.wire->line,
         listens ? "two links that listen at one place" : "two links to one end on another machine",
         quoted(link.wire->address) + ", first of link " + quoted(first->second->name) +
             " on line " + std::to_string(first->second->wire->line),
         listens ? "give each a port or a path of its own"
                 : "name the link over there behind the address, as in "
                   "tcp://HOST:PORT/NAME"});
  }
  return findings;
}

}  // namespace slipring
