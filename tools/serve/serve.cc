#include "tools/serve/serve.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "pipelines/adapter/tls_channel.h"
#include "pipelines/http/access.h"
#include "pipelines/http/server.h"
#include "pipelines/stage/pipeline_file.h"
#include "pipelines/stage/quantity.h"
#include "platform/wait/clock.h"
#include "tools/cli/json.h"
#include "tools/cli/selection.h"
#include "tools/cli/stop_flag.h"
#include "tools/cli/terminal.h"
#include "tools/cli/units.h"
#include "tools/serve/live_page.h"
#include "tools/serve/metrics.h"
#include "tools/stat/report.h"
#include "tools/stat/sample.h"

namespace slipring::tools {
namespace {

constexpr std::string_view kCommand = "serve";
// However many ask: the segments are looked at so often at most, and rates are over so long.
constexpr std::uint64_t kSamplePeriodNs = 250'000'000;
constexpr std::uint64_t kRatePeriodNs = 1'000'000'000;
// Descriptors that the server needs beside its connections.
constexpr std::uint64_t kOwnDescriptors = 64;

// The last look at the segments, and one a while before it.
class Sampler {
 public:
  explicit Sampler(const SegmentDirectory& directory) : directory_(&directory) {}

  [[nodiscard]] const Sample& now() {
    const std::uint64_t now_ns = monotonic_ns();
    if (has_now_ && now_ns < now_.taken_ns + kSamplePeriodNs) return now_;
    Result<std::vector<std::string>> names = list_segments(*directory_);
    // A directory that cannot be read shows nothing; the next look may.
    Sample fresh = take_sample(*directory_, names ? *names : std::vector<std::string>{});
    if (has_now_ && (!has_before_ || now_.taken_ns >= before_.taken_ns + kRatePeriodNs)) {
      before_ = std::move(now_);
      has_before_ = true;
    }
    now_ = std::move(fresh);
    has_now_ = true;
    return now_;
  }
  [[nodiscard]] std::string json() {
    const Sample& sample = now();
    return report_json(Comparison(sample, has_before_ ? &before_ : nullptr));
  }

 private:
  const SegmentDirectory* directory_;
  Sample now_;
  Sample before_;
  bool has_now_ = false;
  bool has_before_ = false;
};

std::optional<http::ListenAddress> read_address(const std::string& text) {
  http::ListenAddress address;
  const std::size_t colon = text.rfind(':');
  std::string host = colon == std::string::npos ? "" : text.substr(0, colon);
  address.port = colon == std::string::npos ? text : text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!host.empty()) address.host = host;
  std::uint32_t port = 0;
  const char* end = address.port.data() + address.port.size();
  const auto [stop, fault] = std::from_chars(address.port.data(), end, port);
  if (fault != std::errc{} || stop != end || port > 65535) {
    complain(kCommand, "--listen '" + text + "' is no HOST:PORT");
    return std::nullopt;
  }
  return address;
}

// Everything that the request says, or a complaint.
struct Plan {
  http::ListenAddress address;
  http::ServerOptions options;
  std::optional<TlsContext> tls;
};

bool read_limits(const ServeRequest& request, http::ServerOptions& options) {
  const std::optional<std::uint64_t> body_bytes = parse_size_bytes(request.body_max);
  if (!body_bytes || *body_bytes == 0 || *body_bytes > options.limits.bodies_bytes_max / 2) {
    complain(kCommand, "--max-body '" + request.body_max + "' is no size from 1 to 32MiB");
    return false;
  }
  options.limits.body_bytes_max = *body_bytes;
  std::uint64_t count = 0;
  const char* end = request.connections.data() + request.connections.size();
  const auto [stop, fault] = std::from_chars(request.connections.data(), end, count);
  if (fault != std::errc{} || stop != end || count == 0 || count > 65536) {
    complain(kCommand, "--connections '" + request.connections + "' is no number up to 65536");
    return false;
  }
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    const std::uint64_t most =
        files.rlim_cur > kOwnDescriptors ? files.rlim_cur - kOwnDescriptors : 1;
    if (count > most) {
      remark(kCommand, "only " + std::to_string(most) + " connections: the limit of open files");
    }
    count = std::min(count, most);
  }
  options.connection_count_max = static_cast<std::size_t>(count);
  const std::optional<std::uint64_t> hold_ns =
      request.hold == "0" ? 0 : parse_seconds_ns(request.hold);
  if (!hold_ns) {
    complain(kCommand, "--hold '" + request.hold + "' is no number of seconds");
    return false;
  }
  options.hold_ns = *hold_ns;
  return true;
}

bool read_credentials(const ServeRequest& request, Plan& plan) {
  std::string fault;
  if (!request.token_file.empty()) {
    std::optional<std::string> token = http::read_token_file(request.token_file, fault);
    if (!token) {
      complain(kCommand, "cannot use the token in " + request.token_file + ": " + fault);
      return false;
    }
    plan.options.token = std::move(*token);
  }
  const int given = !request.certificate_file.empty() + !request.key_file.empty() +
                    !request.authority_file.empty();
  if (given != 0 && given != 3) {
    complain(kCommand, "TLS needs all of --tls-certificate, --tls-key and --tls-authority");
    return false;
  }
  if (given == 0) return true;
  plan.tls =
      TlsContext::open(TlsSide::kServer,
                       {request.authority_file, request.certificate_file, request.key_file}, fault);
  if (!plan.tls) complain(kCommand, "TLS: " + fault);
  return plan.tls.has_value();
}

ExitStatus judge_exposure(const ServeRequest& request, const Plan& plan) {
  Result<bool> is_loopback = http::Server::is_loopback(plan.address);
  if (!is_loopback) {
    return complain(kCommand, "cannot listen on " + request.listen, is_loopback.error());
  }
  if (*is_loopback) return ExitStatus::kOk;
  if (plan.options.token.empty()) {
    complain(kCommand, request.listen +
                           " is reached from other machines: give a --token-file "
                           "(openssl rand -hex 32 makes a token), or listen on 127.0.0.1");
    return ExitStatus::kUsage;
  }
  if (!plan.tls && !request.plain) {
    complain(kCommand, request.listen +
                           " is reached from other machines, and the token could be read on the "
                           "way: give --tls-certificate, --tls-key and --tls-authority, or say "
                           "--plain if something in front of it does that");
    return ExitStatus::kUsage;
  }
  return ExitStatus::kOk;
}

void say_where(const ServeRequest& request, const Plan& plan, const std::string& address) {
  const std::string url = std::string(plan.tls ? "https://" : "http://") + address + "/";
  if (request.json) {
    JsonWriter json;
    json.begin_document();
    json.member("url", url);
    json.member("token", !plan.options.token.empty());
    json.member("tls", plan.tls.has_value());
    print(json.end_document());
  } else {
    remark(kCommand, "listening on " + url);
  }
}

}  // namespace

ExitStatus serve(const ServeRequest& request) {
  Plan plan;
  const std::optional<http::ListenAddress> address = read_address(request.listen);
  if (!address) return ExitStatus::kUsage;
  plan.address = *address;
  if (!read_limits(request, plan.options)) return ExitStatus::kUsage;
  if (!read_credentials(request, plan)) return ExitStatus::kUsage;
  ExitStatus status = judge_exposure(request, plan);
  if (status != ExitStatus::kOk) return status;
  plan.options.tls = plan.tls ? &*plan.tls : nullptr;
  const std::optional<SegmentDirectory> directory = open_directory(kCommand, status);
  if (!directory) return status;

  Sampler sampler(*directory);
  const http::Server* self = nullptr;
  http::Server server(*directory, plan.options, [&](http::Resource resource) -> http::Content {
    switch (resource) {
      case http::Resource::kMetrics:
        return {"text/plain; version=0.0.4; charset=utf-8",
                metrics_text(sampler.now(), {self->connection_count(), self->request_count(),
                                             self->delivered_count(), self->returned_count(),
                                             self->evicted_count()}),
                ""};
      case http::Resource::kLinks:
        return {"application/json", sampler.json(), ""};
      default:
        return {"text/html; charset=utf-8", std::string(kLivePage), kLivePageFields};
    }
  });
  self = &server;
  const std::atomic<bool>& stop = heed_stop_signals();
  if (const Status listening = server.listen(plan.address); !listening) {
    return complain(kCommand, "cannot listen on " + request.listen, listening.error());
  }
  say_where(request, plan, server.address());
  server.run(stop, kNoDeadline);
  die_of_stop_signal();
  return ExitStatus::kOk;
}

}  // namespace slipring::tools
