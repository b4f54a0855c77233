// How text is cut into words before byte-pair encoding, as Hugging Face tokenizers define it ("pre_tokenizer").
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/tokenizer/regex.h"

namespace weft {

// Text and the words in it, in order; text that lies in no word has been removed.
struct Words {
  struct Word {
    size_t begin, end;  // bytes of `text`; not empty
    bool first;         // begins where the whole input begins
  };
  std::string text;
  std::vector<Word> words;

  std::string_view view(const Word& word) const {
    return std::string_view(text).substr(word.begin, word.end - word.begin);
  }
};

using PreTokenizer = std::function<void(Words&)>;

enum class SplitBehavior : uint8_t { removed, isolated, merged_with_previous, merged_with_next, contiguous };
enum class PrependScheme : uint8_t { first, never, always };

// Cuts every word at the matches of a pattern; with `invert`, what lies between matches takes their role. An empty
// string matches nothing.
PreTokenizer split_at(Regex pattern, SplitBehavior behavior, bool invert);
PreTokenizer split_at(std::string text, SplitBehavior behavior, bool invert);

// Cuts at numeric characters: each a separate word, or runs of them.
PreTokenizer split_digits(bool individually);

// Replaces spaces by `mark`, puts one before words that do not begin with one (always, or only where the input
// begins), and with `split` cuts before each mark.
PreTokenizer metaspace(std::string mark, PrependScheme scheme, bool split);

// A space before words that do not begin with one.
PreTokenizer prefix_space();

// Patterns of model families, for split_at.
extern const std::string_view kGpt2Pattern, kLlama3Pattern, kQwen2Pattern, kTekkenPattern;

}  // namespace weft
