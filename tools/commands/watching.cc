#include "tools/commands/watching.h"

#include <memory>

#include "tools/stat/stat.h"
#include "tools/tail/tail.h"
#include "tools/top/top.h"

namespace slipring::tools {

Command stat_command() {
  const auto request = std::make_shared<StatRequest>();
  return {{"stat", "Show fill, rates, trouble, and processor use of links and stages",
           "[NAME|PATTERN|PIPELINE]... [-i SECONDS [-n COUNT]] [--once]\n"
           "                [--json]",
           "  slipring stat settop\n"
           "  slipring stat settop.ts -i 1\n"
           "  slipring stat --once --json | jq '.links[] | {name, fill, capacity}'\n"},
          {{"NAME", "", "Segments, patterns, or pipelines (default: all)", &request->names},
           {"-i,--interval", "SECONDS",
            "Again every so many seconds, with rates in between (default: once, over 1 s)",
            &request->interval},
           {"-n,--count", "COUNT", "Stop after so many", &request->count},
           {"--once", "", "One look, without rates", &request->once}},
          &request->json,
          [request](auto) { return stat(*request); }};
}

Command top_command() {
  const auto request = std::make_shared<TopRequest>();
  return {{"top", "Watch links and their processes on the whole terminal",
           "[NAME|PATTERN|PIPELINE]... [-i SECONDS] [--json]",
           "  slipring top\n"
           "  slipring top settop -i 0.5\n"
           "  slipring top --json | jq -c '.links[] | {name, fill}'\n"},
          {{"NAME", "", "Segments, patterns, or pipelines (default: all)", &request->names},
           {"-i,--interval", "SECONDS", "Again every so many (default 1)", &request->interval}},
          &request->json,
          [request](auto) { return top(*request); }};
}

Command tail_command() {
  const auto request = std::make_shared<TailRequest>();
  return {
      {"tail", "Show the messages of a link as they go by, and take none",
       "NAME [-n COUNT] [--unread] [--raw|--hex|--json]",
       "  slipring tail log\n"
       "  slipring tail log --unread -n 1 --hex\n"
       "  slipring tail news --json | jq .size_bytes\n"},
      {{"NAME", "", "A link, but no board", &request->name, Need::kRequired},
       {"-n,--count", "COUNT", "Stop after so many", &request->count},
       {"--unread", "", "First those that its reader has not finished; of a topic, those it holds",
        &request->unread},
       {"--raw", "", "The bytes alone, with nothing between messages", &request->raw},
       {"--hex", "", "In hexadecimal (default: text, a line a message)", &request->hex}},
      &request->json,
      [request](auto) { return tail(*request); }};
}

}  // namespace slipring::tools
