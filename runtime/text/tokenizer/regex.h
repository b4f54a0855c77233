// Regular expressions of tokenizers, run by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

// The pattern in PCRE2's syntax. Files contain patterns for Oniguruma (Ruby syntax) or Rust's regex crate, where
// \s, \w and \d follow Unicode's properties, and \p{L} knows newer characters than PCRE2 does. Throws Error,
// saying why, for what would silently change its meaning: class operations ([a&&b], [a[b]]), \h, and quantifiers
// after {n,m}.
std::string pcre2_pattern(std::string_view pattern);

// Immutable, so threads may share one.
class Regex {
 public:
  struct Match {
    size_t begin, end;  // bytes
  };

  // Compiled once, to machine code where PCRE2 can. Throws Error, naming the pattern, if it is not a valid one.
  explicit Regex(std::string_view pattern);

  // The matches from left to right in text that is UTF-8, none overlapping. Empty ones count, except directly
  // after another. Throws Error where the pattern needs more backtracking than any real tokenizer's does.
  std::vector<Match> find_all(std::string_view text) const;

 private:
  std::string pattern_;
  std::shared_ptr<const void> code_;
};

}  // namespace weft
