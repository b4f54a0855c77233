// The OpenCL C texts of the library, embedded when it is built: those of gpu/, of each op, and of the formats.
//
// A text is a list of templates: "// @section <name>" begins one, ${name} in it is replaced when a kernel is
// rendered.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace weft {

struct OpenClText {
  std::string_view name;  // the folder under ops/, "common" of gpu/, or "formats"
  std::string_view text;
};

std::span<const OpenClText> opencl_texts();  // generated

// The whole text of `name`; throws weft::Error if there is none.
std::string_view opencl_text(std::string_view name);

// Its section `section` as it stands; throws weft::Error if there is none.
std::string_view opencl_section(std::string_view name, std::string_view section);

// A template with each ${key} replaced by its value; values may not contain further keys. Throws weft::Error for a key
// that has no value, naming `what`.
using OpenClValue = std::pair<std::string_view, std::string_view>;
std::string expand_text(std::string_view text, const std::string& what, std::span<const OpenClValue> values);

// A section, expanded.
std::string expand_opencl(std::string_view name, std::string_view section, std::span<const OpenClValue> values);
inline std::string expand_opencl(std::string_view name, std::string_view section,
                                 std::initializer_list<OpenClValue> values) {
  return expand_opencl(name, section, std::span<const OpenClValue>(values.begin(), values.size()));
}

}  // namespace weft
