// JSON for programs: one object a call of a command, or one a line.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace slipring::tools {

// Every document's first member.  Members are only ever added within one schema.
inline constexpr std::uint64_t kJsonSchema = 1;

class JsonWriter {
 public:
  JsonWriter();
  ~JsonWriter();
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  // Opens the document: an object with its schema.
  void begin_document();
  // Closes it.  Answers one line, newline included.
  [[nodiscard]] std::string end_document();

  void begin_object();                      // as an element
  void begin_object(std::string_view key);  // as a member
  void end_object();
  void begin_array(std::string_view key);
  void end_array();

  void element(std::string_view text);
  void member(std::string_view key, std::string_view text);
  void member(std::string_view key, const char* text) { member(key, std::string_view(text)); }
  void member(std::string_view key, std::uint64_t number);
  void member(std::string_view key, std::uint32_t number) {
    member(key, static_cast<std::uint64_t>(number));
  }
  void member(std::string_view key, std::int64_t number);
  void member(std::string_view key, std::int32_t number) {
    member(key, static_cast<std::int64_t>(number));
  }
  void member(std::string_view key, double number);
  void member(std::string_view key, bool flag);
  void null_member(std::string_view key);

 private:
  struct Document;
  std::unique_ptr<Document> document_;
};

}  // namespace slipring::tools
