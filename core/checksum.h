// A checksum for damage and change; not for what somebody has altered on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weft {

// Of bytes in memory, about as fast as they can be read. It differs for any two runs of bytes that differ in one word
// of 64 bits, and for nearly all others. It depends on the byte order of the machine.
uint64_t checksum(std::span<const std::byte> bytes);
inline uint64_t checksum(std::string_view text) { return checksum(std::as_bytes(std::span(text))); }

}  // namespace weft
