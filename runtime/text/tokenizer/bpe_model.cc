#include "runtime/text/tokenizer/bpe_model.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace weft {
namespace {

std::string byte_token(unsigned byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

// The greatest of a heap is the best: lowest rank, then leftmost.
bool worse(const BpeModel::Work::Candidate& a, const BpeModel::Work::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

BpeModel::BpeModel(TextIndex ids, const std::vector<Merge>& merges, const BpeOptions& options)
    : ids_(std::move(ids)), options_(options) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string text = options_.byte_level ? std::string(1, static_cast<char>(byte)) : byte_token(byte);
    byte_ids_[byte] = find(text).value_or(-1);
  }

  std::vector<Merge> sorted = merges;
  std::sort(sorted.begin(), sorted.end(), [](const Merge& a, const Merge& b) {
    if (a.left != b.left) return a.left < b.left;
    return a.right != b.right ? a.right < b.right : a.rank > b.rank;
  });
  const auto same_pair = [](const Merge& a, const Merge& b) { return a.left == b.left && a.right == b.right; };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same_pair), sorted.end());

  first_rule_.resize(sorted.empty() ? 1 : static_cast<size_t>(sorted.back().left) + 2);
  rules_.reserve(sorted.size());
  for (const Merge& merge : sorted) {
    ++first_rule_[static_cast<size_t>(merge.left) + 1];
    rules_.push_back({merge.right, merge.rank, merge.result});
  }
  for (size_t i = 1; i < first_rule_.size(); ++i) first_rule_[i] += first_rule_[i - 1];
}

std::optional<int32_t> BpeModel::find(std::string_view text) const {
  const auto found = ids_.find(text);
  return found != ids_.end() ? std::optional(found->second) : std::nullopt;
}

const BpeModel::Rule* BpeModel::rule(int32_t left, int32_t right) const {
  if (static_cast<size_t>(left) + 1 >= first_rule_.size()) return nullptr;
  const Rule* begin = rules_.data() + first_rule_[static_cast<size_t>(left)];
  const Rule* end = rules_.data() + first_rule_[static_cast<size_t>(left) + 1];
  const Rule* found = std::lower_bound(begin, end, right, [](const Rule& r, int32_t id) { return r.right < id; });
  return found != end && found->right == right ? found : nullptr;
}

void BpeModel::begin_symbols(std::string_view word, Work& work) const {
  work.symbols.clear();
  const auto add = [&](int32_t id) {
    const auto i = static_cast<int32_t>(work.symbols.size());
    work.symbols.push_back({id, i - 1, i + 1});
  };
  bool unknown = false;  // one is to be added
  const auto add_known = [&](int32_t id) {
    if (std::exchange(unknown, false)) add(*options_.unknown);
    add(id);
  };
  while (!word.empty()) {
    const size_t length = options_.byte_level ? 1 : first_utf8_sequence(word).length;
    const std::string_view character = word.substr(0, length);
    word.remove_prefix(length);
    const auto byte_id = [this](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
    const int32_t id = options_.byte_level ? byte_id(character[0]) : find(character).value_or(-1);
    if (id >= 0) {
      add_known(id);
    } else if (options_.byte_fallback &&
               std::all_of(character.begin(), character.end(), [&](char c) { return byte_id(c) >= 0; })) {
      // A run of unknown characters continues after the bytes, as in Hugging Face's library.
      for (const char c : character) add(byte_id(c));
    } else if (options_.unknown) {
      if (unknown && !options_.fuse_unknown) add(*options_.unknown);
      unknown = true;
    }
  }
  if (unknown) add(*options_.unknown);
  if (!work.symbols.empty()) work.symbols.back().next = -1;
}

// The pair of the symbol at `position` and the next, if they merge.
void BpeModel::push(Work& work, int32_t position) const {
  if (position < 0) return;
  const Work::Symbol& left = work.symbols[static_cast<size_t>(position)];
  if (left.next < 0) return;
  if (const Rule* r = rule(left.id, work.symbols[static_cast<size_t>(left.next)].id)) {
    work.queue.push_back({r->rank, position, r->result});
    std::push_heap(work.queue.begin(), work.queue.end(), worse);
  }
}

void BpeModel::encode(std::string_view word, Work& work, std::vector<int32_t>& ids) const {
  if (word.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw Error("cannot tokenize a word of " + std::to_string(word.size()) + " bytes; the limit is 2^31 - 1");
  }
  if (options_.ignore_merges) {
    if (const auto id = find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  begin_symbols(word, work);
  std::vector<Work::Symbol>& symbols = work.symbols;
  work.queue.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) push(work, static_cast<int32_t>(i));

  while (!work.queue.empty()) {
    std::pop_heap(work.queue.begin(), work.queue.end(), worse);
    const Work::Candidate best = work.queue.back();
    work.queue.pop_back();
    ++work.candidates;
    Work::Symbol& left = symbols[static_cast<size_t>(best.position)];
    if (left.id < 0 || left.next < 0) continue;
    Work::Symbol& right = symbols[static_cast<size_t>(left.next)];
    const Rule* r = rule(left.id, right.id);
    if (r == nullptr || r->result != best.result) continue;  // one of the two has changed in the meantime
    left.id = best.result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.position;
    push(work, left.previous);
    push(work, best.position);
  }
  for (const Work::Symbol& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
}

}  // namespace weft
