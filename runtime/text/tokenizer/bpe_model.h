// Byte-pair encoding by a list of merges, as Hugging Face tokenizers define it (model "BPE").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/tokenizer/text_hash.h"

namespace weft {

struct BpeOptions {
  bool byte_level = false;         // symbols begin as bytes; else as characters
  bool byte_fallback = false;      // a character without a token becomes the tokens "<0xXX>" of its bytes
  bool ignore_merges = false;      // a word that is a token as a whole is that token
  std::optional<int32_t> unknown;  // for a character without any token; without it, such a character vanishes
  bool fuse_unknown = false;       // a run of them becomes one
};

// Immutable, so threads may share one.
class BpeModel {
 public:
  struct Merge {
    int32_t left, right, result;
    uint32_t rank;  // the lowest merges first
  };
  // Working memory of a call, reused by the next.
  struct Work {
    struct Symbol {
      int32_t id;  // -1: merged into one to the left
      int32_t previous, next;
    };
    struct Candidate {
      uint32_t rank;
      int32_t position, result;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> queue;
    size_t candidates = 0;  // looked at, over all calls: what the time is proportional to, but for a logarithm
  };

  // `ids`: of the tokens that text can become, by their text (byte_level: by the bytes they stand for). Ids are
  // not negative. If several merges have the same pair, the one with the highest rank counts.
  BpeModel(TextIndex ids, const std::vector<Merge>& merges, const BpeOptions& options);

  // Appends the ids of a word, which is UTF-8 unless byte_level: symbols merge, the pair of best rank first; for
  // equal ranks, the leftmost. Time n log n. Throws Error for 2^31 bytes or more.
  void encode(std::string_view word, Work& work, std::vector<int32_t>& ids) const;

  std::optional<int32_t> find(std::string_view text) const;

 private:
  struct Rule {
    int32_t right;
    uint32_t rank;
    int32_t result;
  };

  void begin_symbols(std::string_view word, Work& work) const;
  void push(Work& work, int32_t position) const;
  const Rule* rule(int32_t left, int32_t right) const;

  TextIndex ids_;
  BpeOptions options_;
  std::array<int32_t, 256> byte_ids_;  // of single bytes (byte_level) or of "<0xXX>"; -1 if there is none
  // The rules of left symbol i: [first_rule_[i], first_rule_[i + 1]), in the order of `right`.
  std::vector<uint32_t> first_rule_;
  std::vector<Rule> rules_;
};

}  // namespace weft
