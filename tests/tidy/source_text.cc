#include "tests/tidy/source_text.h"

#include <cctype>
#include <utility>

namespace slipring::tidy {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Splits text into code and comments, one character at a time.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  void run() {
    while (at_ < text_.size()) {
      if (starts("//")) {
        line_comment();
      } else if (starts("/*")) {
        block_comment();
      } else if (starts("R\"") && (at_ == 0 || !is_word(text_[at_ - 1]))) {
        raw_string();
      } else if (text_[at_] == '"' || is_character_literal()) {
        literal(text_[at_]);
      } else {
        keep();
      }
    }
    end_line();
  }
  std::vector<std::string> code;
  std::vector<std::string> comments;

 private:
  [[nodiscard]] bool starts(std::string_view token) const {
    return text_.substr(at_, token.size()) == token;
  }
  // A quote between digits separates thousands.
  [[nodiscard]] bool is_character_literal() const {
    return text_[at_] == '\'' && (at_ == 0 || !is_word(text_[at_ - 1]));
  }
  void keep() {
    if (text_[at_] == '\n') {
      end_line();
    } else {
      code_line_ += text_[at_];
    }
    ++at_;
  }
  void blank() {
    if (text_[at_] == '\n') {
      end_line();
    } else {
      code_line_ += ' ';
    }
    ++at_;
  }
  void end_line() {
    code.push_back(std::exchange(code_line_, {}));
    comments.push_back(std::exchange(comment_line_, {}));
  }
  void line_comment() {
    at_ += 2;
    while (at_ < text_.size() && text_[at_] != '\n') comment_line_ += text_[at_++];
  }
  void block_comment() {
    const std::size_t end = text_.find("*/", at_ + 2);
    const std::size_t stop = end == std::string_view::npos ? text_.size() : end + 2;
    while (at_ < stop) {
      if (text_[at_] != '\n') comment_line_ += text_[at_];
      blank();
    }
  }
  void raw_string() {
    const std::size_t open = text_.find('(', at_);
    if (open == std::string_view::npos) return keep();
    const std::string close = ")" + std::string(text_.substr(at_ + 2, open - at_ - 2)) + "\"";
    const std::size_t end = text_.find(close, open);
    const std::size_t stop = end == std::string_view::npos ? text_.size() : end + close.size();
    while (at_ < stop) blank();
  }
  void literal(char quote) {
    keep();
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
      // An include's path stays readable: rules look at it.
      const bool is_include = code_line_.rfind("#include", 0) == 0;
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) blank();
      if (is_include) {
        keep();
      } else {
        blank();
      }
    }
    if (at_ < text_.size()) keep();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string code_line_;
  std::string comment_line_;
};

// Whether the text between the last statement and a brace opens a function's body.
bool opens_function(const std::string& head) {
  const std::size_t first = head.find_first_not_of(" \t");
  if (first == std::string::npos || head.find('(') == std::string::npos) return false;
  const std::string_view text = std::string_view(head).substr(first);
  for (const std::string_view word : {"namespace", "enum", "struct", "class", "union", "using"}) {
    if (text.rfind(word, 0) == 0) return false;
  }
  // A brace behind "=" or "return" initialises something.
  const char last = text[text.find_last_not_of(" \t")];
  return last != '=' && last != ',' && last != '(';
}

}  // namespace

SourceText read_source(std::string path, std::string_view text) {
  SourceText source;
  source.path = std::move(path);
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      source.lines.push_back(std::exchange(line, {}));
    } else {
      line += c;
    }
  }
  source.lines.push_back(line);
  Lexer lexer(text);
  lexer.run();
  source.code = std::move(lexer.code);
  source.comments = std::move(lexer.comments);
  if (source.lines.size() > 1 && source.lines.back().empty()) {
    source.lines.pop_back();
    source.code.pop_back();
    source.comments.pop_back();
  }
  return source;
}

std::vector<FunctionBody> function_bodies(const SourceText& source) {
  std::vector<FunctionBody> bodies;
  std::string head;
  std::size_t depth = 0;           // braces open
  std::size_t function_depth = 0;  // braces open before the function's; 0 with no function open
  std::size_t first_line = 0;
  bool in_function = false;
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    if (line.rfind('#', 0) == 0) continue;
    for (const char c : line) {
      if (c == '{') {
        if (!in_function && opens_function(head)) {
          in_function = true;
          function_depth = depth;
          first_line = i;
        }
        ++depth;
        head.clear();
      } else if (c == '}') {
        if (depth > 0) --depth;
        if (in_function && depth == function_depth) {
          bodies.push_back({first_line, i});
          in_function = false;
        }
        head.clear();
      } else if (c == ';') {
        head.clear();
      } else {
        head += c;
      }
    }
    head += ' ';
  }
  return bodies;
}

}  // namespace slipring::tidy
