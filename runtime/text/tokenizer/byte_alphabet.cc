#include "runtime/text/tokenizer/byte_alphabet.h"

#include <array>

#include "core/utf8.h"

namespace weft {
namespace {

struct Alphabet {
  std::array<char32_t, 256> character;
  std::array<int16_t, 512> byte;  // of a character; -1 for none

  Alphabet() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      const bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
      character[b] = itself ? b : next++;
      byte[character[b]] = static_cast<int16_t>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet made;
  return made;
}

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(text, alphabet().character[static_cast<uint8_t>(byte)]);
  return text;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const Utf8Sequence sequence = first_utf8_sequence(text);
    if (sequence.kind != Utf8Kind::complete) return std::nullopt;
    const char32_t c = decode_utf8(text.substr(0, sequence.length));
    if (c >= alphabet().byte.size() || alphabet().byte[c] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet().byte[c]);
    text.remove_prefix(sequence.length);
  }
  return bytes;
}

}  // namespace weft
