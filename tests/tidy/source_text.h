// A source file taken apart into what the compiler reads and what people read.
//
// Enough of C++'s lexer to tell code from comments and literals; no preprocessor, no parser.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace slipring::tidy {

struct SourceText {
  std::string path;  // relative to the workspace
  std::vector<std::string> lines;
  std::vector<std::string> code;  // the same lines; comments and the insides of literals blank
  std::vector<std::string>
      comments;  // of each line, without the slashes; empty where there is none
};

[[nodiscard]] SourceText read_source(std::string path, std::string_view text);

// A function's body, from the line of its opening brace to that of its closing one; counted from 0.
struct FunctionBody {
  std::size_t first_line;
  std::size_t last_line;
};

// The bodies of functions that are not inside another function.  Lambdas and local types belong to
// the function around them.
[[nodiscard]] std::vector<FunctionBody> function_bodies(const SourceText& source);

}  // namespace slipring::tidy
