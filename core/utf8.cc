#include "core/utf8.h"

#include <cstdint>

namespace weft {
namespace {

struct ByteRange {
  uint8_t low, high;
  bool contains(uint8_t byte) const { return low <= byte && byte <= high; }
};

// What may follow `lead` directly; the narrower ranges exclude overlong forms, surrogates and > U+10FFFF.
ByteRange second_byte(uint8_t lead) {
  switch (lead) {
    case 0xE0: return {0xA0, 0xBF};
    case 0xED: return {0x80, 0x9F};
    case 0xF0: return {0x90, 0xBF};
    case 0xF4: return {0x80, 0x8F};
    default: return {0x80, 0xBF};
  }
}

}  // namespace

Utf8Sequence first_utf8_sequence(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return {Utf8Kind::complete, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Utf8Kind::invalid, 1};
  const size_t wanted = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  ByteRange range = second_byte(lead);
  for (size_t i = 1; i < wanted; ++i) {
    if (i == text.size()) return {Utf8Kind::incomplete, i};
    if (!range.contains(static_cast<uint8_t>(text[i]))) return {Utf8Kind::invalid, i};
    range = {0x80, 0xBF};
  }
  return {Utf8Kind::complete, wanted};
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Sequence sequence = first_utf8_sequence(text);
    if (sequence.kind != Utf8Kind::complete) return false;
    text.remove_prefix(sequence.length);
  }
  return true;
}

char32_t decode_utf8(std::string_view sequence) {
  const auto lead = static_cast<uint8_t>(sequence[0]);
  if (lead < 0x80) return lead;
  char32_t c = lead & (0x7Fu >> sequence.size());
  for (const char byte : sequence.substr(1)) c = c << 6 | (static_cast<uint8_t>(byte) & 0x3Fu);
  return c;
}

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  const auto tail = [&](int shift) { put(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    put(0xF0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string make_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const Utf8Sequence sequence = first_utf8_sequence(text);
    out += sequence.kind == Utf8Kind::complete ? text.substr(0, sequence.length) : kReplacementCharacter;
    text.remove_prefix(sequence.length);
  }
  return out;
}

std::string in_quotes(std::string_view text, size_t limit) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "'";
  while (!text.empty()) {
    if (out.size() > limit) {
      out += "...";
      break;
    }
    const Utf8Sequence sequence = first_utf8_sequence(text);
    const auto byte = static_cast<uint8_t>(text[0]);
    const bool plain = byte >= 0x20 && byte != 0x7F && byte != '\'' && byte != '\\';
    // U+0080..U+009F are control characters too; a terminal may act on them.
    const bool c1 = byte == 0xC2 && sequence.length == 2 && static_cast<uint8_t>(text[1]) < 0xA0;
    if (sequence.kind == Utf8Kind::complete && plain && !c1) {
      out += text.substr(0, sequence.length);
    } else {
      for (const char c : text.substr(0, sequence.length)) {
        out += {'\\', 'x', kHex[static_cast<uint8_t>(c) >> 4], kHex[static_cast<uint8_t>(c) & 15]};
      }
    }
    text.remove_prefix(sequence.length);
  }
  return out + "'";
}

}  // namespace weft
