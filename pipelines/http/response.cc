#include "pipelines/http/response.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace slipring::http {
namespace {

void write_member(rapidjson::Writer<rapidjson::StringBuffer>& json, const char* key,
                  const std::string& text) {
  json.Key(key);
  json.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

// What clients send need not be UTF-8, and JSON is.
std::string as_ascii(std::string text) {
  for (char& letter : text) {
    if (letter < ' ' || letter > '~') letter = '?';
  }
  return text;
}

}  // namespace

std::string_view reason_of(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

std::string head_of(const Response& response) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                     std::string(reason_of(response.status)) + "\r\n";
  if (!response.content_type.empty()) {
    head += "Content-Type: " + response.content_type + "\r\n";
  }
  if (response.is_chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (response.status != 204 && !(response.is_http_1_0 && response.content_type.empty())) {
    head += "Content-Length: " + std::to_string(response.content_length) + "\r\n";
  }
  if (!response.keeps_alive) {
    head += "Connection: close\r\n";
  } else if (response.is_http_1_0) {
    head += "Connection: keep-alive\r\n";
  }
  return head + "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" + response.fields +
         "\r\n";
}

std::string error_body(const Refusal& refusal) {
  rapidjson::StringBuffer text;
  rapidjson::Writer<rapidjson::StringBuffer> json(text);
  json.StartObject();
  json.Key("schema");
  json.Uint(1);
  json.Key("error");
  json.StartObject();
  json.Key("status");
  json.Int(refusal.status);
  write_member(json, "what", as_ascii(refusal.what));
  write_member(json, "found", as_ascii(refusal.found));
  write_member(json, "remedy", as_ascii(refusal.remedy));
  json.EndObject();
  json.EndObject();
  return std::string(text.GetString(), text.GetSize()) + "\n";
}

std::string refusal_text(const Refusal& refusal, bool keeps_alive, bool is_http_1_0,
                         bool head_only) {
  const std::string body = error_body(refusal);
  Response response;
  response.status = refusal.status;
  response.content_type = "application/json";
  response.content_length = body.size();
  response.keeps_alive = keeps_alive;
  response.is_http_1_0 = is_http_1_0;
  if (refusal.status == 401) response.fields += "WWW-Authenticate: Bearer\r\n";
  if (refusal.status == 503) response.fields += "Retry-After: 1\r\n";
  if (!refusal.allow.empty()) response.fields += "Allow: " + refusal.allow + "\r\n";
  return head_of(response) + (head_only ? "" : body);
}

}  // namespace slipring::http
