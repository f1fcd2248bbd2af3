#include "pipelines/http/access.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "platform/process/descriptor.h"

namespace slipring::http {
namespace {

// "127.0.0.1:8080" without its port; "[::1]" keeps its brackets.
std::string_view without_port(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return has_port ? host.substr(0, colon) : host;
}

bool is_this_machine(std::string_view host) {
  host = without_port(host);
  if (host == "localhost" || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

bool is_foreign_origin(const RequestHead& head) {
  if (head.origin.empty()) return false;
  return head.origin != "http://" + head.host && head.origin != "https://" + head.host;
}

}  // namespace

std::optional<std::string> read_token_file(const std::string& path, std::string& fault) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat facts {};
  if (!file.is_open() || fstat(file.get(), &facts) != 0) {
    fault = std::strerror(errno);
    return std::nullopt;
  }
  if (!S_ISREG(facts.st_mode) || (facts.st_mode & 0077) != 0) {
    fault = "others may read it: chmod 600 " + path;
    return std::nullopt;
  }
  std::array<char, kTokenBytesMax + 3> bytes{};
  const ssize_t got = read(file.get(), bytes.data(), bytes.size());
  if (got < 0) {
    fault = std::strerror(errno);
    return std::nullopt;
  }
  std::string token(bytes.data(), static_cast<std::size_t>(got));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  const bool is_printable = std::all_of(token.begin(), token.end(),
                                        [](char letter) { return letter > ' ' && letter <= '~'; });
  if (!is_printable || token.size() < kTokenBytesMin || token.size() > kTokenBytesMax) {
    fault = "not one line of 16 to 512 printable characters (openssl rand -hex 32 makes one)";
    return std::nullopt;
  }
  return token;
}

bool is_same_token(std::string_view token, std::string_view given) noexcept {
  // Every character of what was given is looked at; volatile, so that no compiler stops early.
  volatile unsigned char difference = token.size() == given.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = token.empty() ? '\0' : token[i % token.size()];
    difference = static_cast<unsigned char>(difference | (given[i] ^ expected));
  }
  return difference == 0 && !token.empty();
}

std::optional<Refusal> refuse_access(const AccessRules& rules, const RequestHead& head,
                                     bool is_page) {
  const bool is_marked = head.fetch_site == "cross-site" || head.fetch_site == "same-site";
  if (is_foreign_origin(head) || (is_marked && !is_page)) {
    return Refusal{
        403, "asked for by a page of another site",
        head.origin.empty() ? "Sec-Fetch-Site: " + head.fetch_site : "Origin: " + head.origin,
        "ask from a program, or from the page at /"};
  }
  if (rules.token.empty()) {
    if (!rules.only_local || head.host.empty() || is_this_machine(head.host)) return std::nullopt;
    return Refusal{421, "asked for under a name that is not this machine's own",
                   "Host: " + head.host, "ask for localhost or 127.0.0.1, or use a token"};
  }
  if (is_page) return std::nullopt;
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view given = head.authorization;
  if (!given.starts_with(kScheme)) {
    return Refusal{401, "a token is needed", given.empty() ? "none" : "another kind of credential",
                   "send `Authorization: Bearer TOKEN`"};
  }
  if (!is_same_token(rules.token, given.substr(kScheme.size()))) {
    return Refusal{401, "the token is not the right one", "another one",
                   "send the one in the server's --token-file"};
  }
  return std::nullopt;
}

}  // namespace slipring::http
