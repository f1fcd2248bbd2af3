#include "tools/cli/json.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cmath>

namespace slipring::tools {
namespace {

rapidjson::SizeType size_of(std::string_view text) noexcept {
  return static_cast<rapidjson::SizeType>(text.size());
}

}  // namespace

struct JsonWriter::Document {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer{buffer};

  void key(std::string_view name) { writer.Key(name.data(), size_of(name)); }
};

JsonWriter::JsonWriter() : document_(std::make_unique<Document>()) {
  document_->writer.SetMaxDecimalPlaces(3);
}
JsonWriter::~JsonWriter() = default;

void JsonWriter::begin_document() {
  begin_object();
  member("schema", kJsonSchema);
}

std::string JsonWriter::end_document() {
  end_object();
  std::string line(document_->buffer.GetString(), document_->buffer.GetSize());
  document_->buffer.Clear();
  document_->writer.Reset(document_->buffer);
  return line + "\n";
}

void JsonWriter::begin_object() {
  document_->writer.StartObject();
}
void JsonWriter::begin_object(std::string_view key) {
  document_->key(key);
  document_->writer.StartObject();
}
void JsonWriter::end_object() {
  document_->writer.EndObject();
}
void JsonWriter::begin_array(std::string_view key) {
  document_->key(key);
  document_->writer.StartArray();
}
void JsonWriter::end_array() {
  document_->writer.EndArray();
}
void JsonWriter::element(std::string_view text) {
  document_->writer.String(text.data(), size_of(text));
}
void JsonWriter::member(std::string_view key, std::string_view text) {
  document_->key(key);
  document_->writer.String(text.data(), size_of(text));
}
void JsonWriter::member(std::string_view key, std::uint64_t number) {
  document_->key(key);
  document_->writer.Uint64(number);
}
void JsonWriter::member(std::string_view key, std::int64_t number) {
  document_->key(key);
  document_->writer.Int64(number);
}
void JsonWriter::member(std::string_view key, double number) {
  document_->key(key);
  // JSON has no word for what is not a number.
  document_->writer.Double(std::isfinite(number) ? number : 0.0);
}
void JsonWriter::member(std::string_view key, bool flag) {
  document_->key(key);
  document_->writer.Bool(flag);
}
void JsonWriter::null_member(std::string_view key) {
  document_->key(key);
  document_->writer.Null();
}

}  // namespace slipring::tools
