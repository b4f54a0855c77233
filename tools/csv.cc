#include "tools/csv.h"

namespace weft::tools {

namespace {

std::string quoted_if_needed(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == text.npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& text : cells) line += (line.empty() ? "" : ",") + quoted_if_needed(text);
  return line + "\n";
}

}  // namespace weft::tools
