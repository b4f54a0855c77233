#include "runtime/text/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "core/utf8.h"
#include "runtime/text/tokenizer/unicode.h"

namespace weft {

const std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
    R"(\s+(?!\S)|\s+)";
const std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
    R"(\s+(?!\S)|\s+)";
const std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

// A stretch of a word: a match, or what lies between matches.
struct Stretch {
  size_t begin, end;
  bool match;
};

std::vector<Stretch> stretches(const std::vector<Regex::Match>& matches, size_t size) {
  std::vector<Stretch> out;
  size_t done = 0;
  for (const Regex::Match& match : matches) {
    if (done != match.begin) out.push_back({done, match.begin, false});
    out.push_back({match.begin, match.end, true});
    done = match.end;
  }
  if (done != size) out.push_back({done, size, false});
  return out;
}

std::vector<Stretch> gathered(const std::vector<Stretch>& all, SplitBehavior behavior) {
  std::vector<Stretch> out;
  bool last = false;  // what the stretch before was
  switch (behavior) {
    case SplitBehavior::isolated: return all;
    case SplitBehavior::removed:
      for (const Stretch& s : all) {
        if (!s.match) out.push_back(s);
      }
      return out;
    case SplitBehavior::contiguous:
      for (const Stretch& s : all) {
        if (s.match == last && !out.empty()) {
          out.back().end = s.end;
        } else {
          out.push_back(s);
        }
        last = s.match;
      }
      return out;
    case SplitBehavior::merged_with_previous:
      for (const Stretch& s : all) {
        if (s.match && !last && !out.empty()) {
          out.back().end = s.end;
        } else {
          out.push_back(s);
        }
        last = s.match;
      }
      return out;
    case SplitBehavior::merged_with_next:
      for (size_t i = all.size(); i-- > 0;) {
        if (all[i].match && !last && !out.empty()) {
          out.back().begin = all[i].begin;
        } else {
          out.push_back(all[i]);
        }
        last = all[i].match;
      }
      std::reverse(out.begin(), out.end());
      return out;
  }
  return out;
}

// Cuts every word at what `find` (text -> matches) finds in it.
template <class Find>
PreTokenizer splitter(Find find, SplitBehavior behavior, bool invert) {
  return [find = std::move(find), behavior, invert](Words& words) {
    std::vector<Words::Word> cut;
    for (const Words::Word& word : words.words) {
      std::vector<Stretch> all = stretches(find(words.view(word)), word.end - word.begin);
      if (invert) {
        for (Stretch& s : all) s.match = !s.match;
      }
      for (const Stretch& s : gathered(all, behavior)) {
        if (s.begin == s.end) continue;
        cut.push_back({word.begin + s.begin, word.begin + s.end, word.first && s.begin == 0});
      }
    }
    words.words = std::move(cut);
  };
}

std::vector<Regex::Match> find_text(std::string_view text, std::string_view wanted) {
  std::vector<Regex::Match> matches;
  if (wanted.empty()) return matches;
  for (size_t at = text.find(wanted); at != text.npos; at = text.find(wanted, at + wanted.size())) {
    matches.push_back({at, at + wanted.size()});
  }
  return matches;
}

// Rewrites every word: append(word, text so far).
template <class Append>
void rewrite(Words& words, Append append) {
  std::string text;
  text.reserve(words.text.size() + words.words.size());
  for (Words::Word& word : words.words) {
    const size_t begin = text.size();
    append(words.view(word), word.first, text);
    word.begin = begin;
    word.end = text.size();
  }
  words.text = std::move(text);
}

}  // namespace

PreTokenizer split_at(Regex pattern, SplitBehavior behavior, bool invert) {
  return splitter([pattern = std::move(pattern)](std::string_view text) { return pattern.find_all(text); }, behavior,
                  invert);
}

PreTokenizer split_at(std::string text, SplitBehavior behavior, bool invert) {
  return splitter([wanted = std::move(text)](std::string_view word) { return find_text(word, wanted); }, behavior,
                  invert);
}

PreTokenizer split_digits(bool individually) {
  const auto find = [](std::string_view text) {
    std::vector<Regex::Match> matches;
    for (size_t at = 0; at < text.size();) {
      const size_t length = first_utf8_sequence(text.substr(at)).length;
      if (is_numeric(decode_utf8(text.substr(at, length)))) matches.push_back({at, at + length});
      at += length;
    }
    return matches;
  };
  return splitter(find, individually ? SplitBehavior::isolated : SplitBehavior::contiguous, false);
}

PreTokenizer metaspace(std::string mark, PrependScheme scheme, bool split) {
  const PreTokenizer cut = split_at(mark, SplitBehavior::merged_with_next, false);
  return [=](Words& words) {
    rewrite(words, [&](std::string_view word, bool first, std::string& text) {
      const bool wanted = scheme == PrependScheme::always || (scheme == PrependScheme::first && first);
      if (wanted && word[0] != ' ' && !word.starts_with(mark)) text += mark;
      for (const char c : word) {
        if (c == ' ') {
          text += mark;
        } else {
          text += c;
        }
      }
    });
    if (split) cut(words);
  };
}

PreTokenizer prefix_space() {
  return [](Words& words) {
    rewrite(words, [](std::string_view word, bool, std::string& text) {
      if (word[0] != ' ') text += ' ';
      text += word;
    });
  };
}

}  // namespace weft
