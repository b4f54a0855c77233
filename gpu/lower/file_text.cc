#include "gpu/lower/file_text.h"

#include "gpu/lower/opencl_text.h"

namespace weft {
namespace {

// A literal of the preprocessor.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) result += c == '"' || c == '\\' || c == '\n' || c == '\r' ? '?' : c;
  return result + "\"";
}

}  // namespace

std::string file_text(const OpenClFile& file) {
  const std::string path = quoted(file.path);
  std::string functions, ends;
  for (const OpenClFile::Function& function : file.functions) {
    functions += expand_opencl("plugin", "function",
                               {{"line", std::to_string(function.line)},
                                {"path", path},
                                {"name", function.name},
                                {"parameters", function.parameters}});
  }
  // What follows is not the file's.
  for (const std::string& macro : file.macros) ends += "#undef " + macro + "\n";
  return expand_opencl("plugin", "file",
                       {{"functions", functions}, {"path", path}, {"text", file.text + "\n\n"}, {"ends", ends}});
}

}  // namespace weft
