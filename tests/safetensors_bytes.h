// Safetensors files for tests, malformed ones too: nothing is checked.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace weft::test {

// `length`: what the file says of its header's length, if not the truth.
inline std::string safetensors_bytes(std::string_view header, std::string_view data, const uint64_t* length = nullptr) {
  const uint64_t true_length = header.size();
  std::string bytes(sizeof(uint64_t), '\0');
  std::memcpy(bytes.data(), length == nullptr ? &true_length : length, sizeof(uint64_t));
  return bytes.append(header).append(data);
}

inline std::string float_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

}  // namespace weft::test
