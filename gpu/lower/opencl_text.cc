#include "gpu/lower/opencl_text.h"

#include "core/error.h"

namespace weft {
namespace {

constexpr std::string_view kSection = "// @section ";

}  // namespace

std::string_view opencl_section(std::string_view name, std::string_view section) {
  const std::string_view text = opencl_text(name);
  const std::string head = std::string(kSection) + std::string(section) + "\n";
  const size_t at = text.find(head);
  if (at == std::string_view::npos) {
    throw Error("ops/" + std::string(name) + "/opencl.cl has no section '" + std::string(section) + "'");
  }
  const size_t begin = at + head.size();
  const size_t end = text.find(kSection, begin);
  return text.substr(begin, end == std::string_view::npos ? end : end - begin);
}

std::string_view opencl_text(std::string_view name) {
  for (const OpenClText& text : opencl_texts()) {
    if (text.name == name) return text.text;
  }
  throw Error("no OpenCL text '" + std::string(name) + "' in this build");
}

std::string expand_text(std::string_view text, const std::string& what, std::span<const OpenClValue> values) {
  std::string_view rest = text;
  std::string result;
  while (true) {
    const size_t at = rest.find("${");
    if (at == std::string_view::npos) return result.append(rest);
    const size_t end = rest.find('}', at);
    const std::string_view key = rest.substr(at + 2, end - at - 2);
    const std::pair<std::string_view, std::string_view>* found = nullptr;
    for (const auto& value : values) {
      if (value.first == key) found = &value;
    }
    if (found == nullptr) {
      throw Error(what + ": nothing given for '" + std::string(key) + "'");
    }
    result.append(rest.substr(0, at)).append(found->second);
    rest.remove_prefix(end + 1);
    // A value of several lines starts on a new line and ends its last line itself.
    if (!found->second.empty() && found->second.back() == '\n' && !rest.empty() && rest.front() == '\n') {
      rest.remove_prefix(1);
    } else if (found->second.empty() && !result.empty() && result.back() == '\n' && !rest.empty() &&
               rest.front() == '\n') {
      rest.remove_prefix(1);
    }
  }
}

std::string expand_opencl(std::string_view name, std::string_view section, std::span<const OpenClValue> values) {
  const std::string what = "ops/" + std::string(name) + "/opencl.cl, section '" + std::string(section) + "'";
  return expand_text(opencl_section(name, section), what, values);
}

}  // namespace weft
