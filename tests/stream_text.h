// Decoding token by token, as a text is shown while it is generated.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/utf8.h"
#include "runtime/text/tokenizer/tokenizer.h"

namespace weft::test {

// The whole text. Every piece of it must be UTF-8.
inline std::string stream_text(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool at_start = true) {
  StreamDecoder decoder(tokenizer, at_start);
  std::string text;
  for (const int32_t id : ids) {
    const std::string piece = decoder.push(id);
    EXPECT_TRUE(is_utf8(piece));
    text += piece;
  }
  return text + decoder.flush();
}

}  // namespace weft::test
