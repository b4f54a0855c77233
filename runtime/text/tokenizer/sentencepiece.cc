#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/tokenizer/text_hash.h"
#include "runtime/text/tokenizer/tokenizer_model.h"

namespace weft {
namespace {

// Fields of a protobuf message, in order, within their bounds.
class Message {
 public:
  Message(std::string_view data, size_t offset, const std::string& source)
      : data_(data), offset_(offset), source_(source) {}

  // Reads the tag of the next field; false at the end.
  bool next() {
    skip();
    if (at_ == data_.size()) return false;
    begin_ = at_;
    const uint64_t tag = varint();
    field_ = tag >> 3;
    wire_ = static_cast<int>(tag & 7);
    if (field_ == 0 || field_ > 0x1FFFFFFF) fail("has field number " + std::to_string(field_));
    if (wire_ != 0 && wire_ != 1 && wire_ != 2 && wire_ != 5) fail("has wire type " + std::to_string(wire_));
    read_ = false;
    return true;
  }
  uint64_t field() const { return field_; }

  // The value of the current field, with the type that the format gives it.
  int64_t number() {
    want(0);
    return static_cast<int64_t>(varint());
  }
  bool flag() { return number() != 0; }
  float fraction() {
    want(5);
    float value;
    std::memcpy(&value, take(4).data(), 4);  // little-endian, like every machine this builds for
    return value;
  }
  std::string_view bytes() {
    want(2);
    return take(varint());
  }
  Message message() {
    const std::string_view data = bytes();
    return Message(data, offset_ + static_cast<size_t>(data.data() - data_.data()), source_);
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(source_ + ": byte " + std::to_string(offset_ + begin_) + ": " + reason);
  }

 private:
  void want(int wire) {
    if (wire_ != wire) {
      fail("field " + std::to_string(field_) + " has wire type " + std::to_string(wire_) + ", wanted " +
           std::to_string(wire));
    }
    read_ = true;
  }

  void skip() {
    if (read_) return;
    switch (wire_) {
      case 0: varint(); break;
      case 1: take(8); break;
      case 2: take(varint()); break;
      default: take(4);
    }
    read_ = true;
  }

  std::string_view take(uint64_t size) {
    if (size > data_.size() - at_) {
      fail("a field of " + std::to_string(size) + " bytes, where " + std::to_string(data_.size() - at_) + " are left");
    }
    const std::string_view taken = data_.substr(at_, size);
    at_ += size;
    return taken;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == data_.size()) fail("the data ends inside a number");
      const auto byte = static_cast<uint8_t>(data_[at_++]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    fail("a number of more than 64 bits");
  }

  std::string_view data_;
  size_t offset_;  // of data_ in the file
  const std::string& source_;
  size_t at_ = 0, begin_ = 0;
  uint64_t field_ = 0;
  int wire_ = 0;
  bool read_ = true;  // the value of the current field
};

void read_piece(Message piece, Vocabulary& vocabulary, TextIndex& known) {
  std::string_view text;
  float score = 0;
  int64_t type = 1;
  const std::string name = "piece " + std::to_string(vocabulary.size());
  while (piece.next()) {
    switch (piece.field()) {
      case 1: text = piece.bytes(); break;
      case 2: score = piece.fraction(); break;
      case 3: type = piece.number(); break;
    }
  }
  if (text.empty()) piece.fail(name + " is empty");
  if (!is_utf8(text)) piece.fail(name + ", " + in_quotes(text) + ", is not UTF-8");
  if (std::isnan(score)) piece.fail(name + ", " + in_quotes(text) + ", has a score that is NaN");
  if (type < 1 || type > 6) piece.fail(name + ", " + in_quotes(text) + ", has type " + std::to_string(type));
  if (type == static_cast<int64_t>(TokenType::byte) && !byte_token_value(text)) {
    piece.fail(name + " is of type byte, but " + in_quotes(text) + " is not like '<0x0A>'");
  }
  const auto [same, fresh] = known.emplace(text, static_cast<int32_t>(vocabulary.size()));
  if (!fresh) piece.fail(name + " is " + in_quotes(text) + ", as piece " + std::to_string(same->second) + " is");
  vocabulary.texts.emplace_back(text);
  vocabulary.scores.push_back(score);
  vocabulary.types.push_back(static_cast<TokenType>(type));
}

struct Ids {
  int64_t unknown = 0, bos = 1, eos = 2;
};

void read_trainer(Message spec, Ids& ids) {
  int64_t type = 1;
  while (spec.next()) {
    switch (spec.field()) {
      case 3: type = spec.number(); break;
      case 24:
        if (spec.flag()) spec.fail("treat_whitespace_as_suffix, which this build does not support");
        break;
      case 40: ids.unknown = static_cast<int32_t>(spec.number()); break;
      case 41: ids.bos = static_cast<int32_t>(spec.number()); break;
      case 42: ids.eos = static_cast<int32_t>(spec.number()); break;
    }
  }
  if (type != 2) {
    constexpr const char* kNames[] = {"?", "unigram", "bpe", "word", "char"};
    spec.fail(std::string("the model is of type ") + (type >= 1 && type <= 4 ? kNames[type] : "?") +
              "; this build has bpe");
  }
}

void read_normalizer(Message spec, SentencePieceModel& model) {
  std::string_view name, charsmap;
  bool remove_spaces = true, escape_spaces = true;
  while (spec.next()) {
    switch (spec.field()) {
      case 1: name = spec.bytes(); break;
      case 2: charsmap = spec.bytes(); break;
      case 3: model.space_prefix = spec.flag(); break;
      case 4: remove_spaces = spec.flag(); break;
      case 5: escape_spaces = spec.flag(); break;
    }
  }
  if (!charsmap.empty()) {
    spec.fail("normalization " + in_quotes(name) + " with a charsmap of " + std::to_string(charsmap.size()) +
              " bytes, which this build does not support");
  }
  if (remove_spaces) spec.fail("remove_extra_whitespaces, which this build does not support");
  if (!escape_spaces) spec.fail("no escape_whitespaces, which this build does not support");
}

}  // namespace

SentencePieceModel read_sentencepiece(std::string_view data, const std::string& source) {
  SentencePieceModel model;
  Vocabulary& vocabulary = model.vocabulary;
  vocabulary.source = source;
  TextIndex known;
  Ids ids;
  bool trainer = false, normalizer = false;
  Message root(data, 0, source);
  while (root.next()) {
    switch (root.field()) {
      case 1: read_piece(root.message(), vocabulary, known); break;
      case 2:
        read_trainer(root.message(), ids);
        trainer = true;
        break;
      case 3:
        read_normalizer(root.message(), model);
        normalizer = true;
        break;
      case 5:
        // This one applies to decoded text.
        for (Message spec = root.message(); spec.next();) {
          if (spec.field() == 2 && !spec.bytes().empty())
            spec.fail("a denormalizer, which this build does not support");
        }
        break;
    }
  }
  if (vocabulary.texts.empty()) throw Error(source + ": has no pieces");
  if (!trainer || !normalizer) throw Error(source + ": has no trainer_spec or no normalizer_spec");
  const auto token = [&](const char* name, int64_t id, TokenType type) -> std::optional<int32_t> {
    if (id < 0) return std::nullopt;  // the model has none
    if (static_cast<uint64_t>(id) >= vocabulary.size() || vocabulary.types[static_cast<size_t>(id)] != type) {
      throw Error(source + ": " + name + " is " + std::to_string(id) + ", which is not a piece of that type");
    }
    return static_cast<int32_t>(id);
  };
  vocabulary.unknown = token("unk_id", ids.unknown, TokenType::unknown);
  vocabulary.bos = token("bos_id", ids.bos, TokenType::control);
  vocabulary.eos = token("eos_id", ids.eos, TokenType::control);
  return model;
}

}  // namespace weft
