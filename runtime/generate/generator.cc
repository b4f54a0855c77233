#include "runtime/generate/generator.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/error.h"
#include "runtime/generate/stop_strings.h"

namespace weft {

std::string decoded(StreamDecoder& decoder, const Tokenizer& tokenizer, int32_t id) {
  return static_cast<size_t>(id) < tokenizer.vocab_size() ? decoder.push(id) : std::string();
}

Generator::Generator(Engine engine, const SamplerOptions& sampler, const Tokenizer* tokenizer)
    : engine_(std::move(engine)),
      sampler_(sampler, static_cast<size_t>(engine_.model().vocab)),
      tokenizer_(tokenizer),
      sequence_(engine_.cache().open()) {
  if (!engine_.has_logits()) throw Error("the model has no logits, so it generates no text");
}

void Generator::check(std::span<const int32_t> ids) const {
  const int64_t vocab = engine_.model().vocab;
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab) continue;
    throw Error("token " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab));
  }
}

size_t Generator::trim(size_t count) {
  if (count < static_cast<size_t>(engine_.cache().shortest(sequence_))) count = 0;  // a window passed these pages
  count = static_cast<size_t>(engine_.cache().trim(sequence_, static_cast<int32_t>(count)));
  cached_.resize(count);
  sampler_.forget();  // what was trimmed, and a last token that was chosen but not evaluated
  for (const int32_t id : cached_) sampler_.accept(id);
  return count;
}

bool Generator::prefill(std::span<const int32_t> ids, const std::function<bool(size_t)>& go_on) {
  for (const int32_t id : ids) sampler_.accept(id);
  const auto chunk = static_cast<size_t>(engine_.batch());
  for (size_t begin = 0; begin < ids.size();) {
    const std::span<const int32_t> part = ids.subspan(begin, std::min(chunk, ids.size() - begin));
    logits_ = engine_.prefill(sequence_, part);
    cached_.insert(cached_.end(), part.begin(), part.end());
    begin += part.size();
    const bool wanted = !go_on || go_on(begin);
    if (!wanted && begin < ids.size()) return false;
  }
  return true;
}

Generator::Reply Generator::generate(const GenerationRequest& request, StreamDecoder* decoder) {
  StopStrings stop(request.stop);
  if (!stop.empty() && tokenizer_ == nullptr) throw Error("stop strings need a tokenizer");
  if (logits_.empty()) throw Error("a reply needs a prompt before it, of one token at least");
  std::optional<StreamDecoder> own;
  if (decoder == nullptr && tokenizer_ != nullptr) decoder = &own.emplace(*tokenizer_, false);
  const auto show = [&](const std::string& text) {
    if (!text.empty() && request.on_text) request.on_text(text);
  };
  const auto limit = static_cast<size_t>(request.predict);
  Reply reply;
  while (true) {
    reply.end = End::limit;
    if (request.predict >= 0 && reply.generated == limit) break;
    const int32_t id = sampler_.sample(logits_);
    reply.end = End::token;
    if (tokenizer_ != nullptr && !request.ignore_end && (tokenizer_->ends_generation(id) || id == tokenizer_->bos())) {
      break;
    }
    sampler_.accept(id);
    ++reply.generated;
    if (request.on_token) {
      std::optional<TokenLogprobs> logprobs;
      if (request.logprobs >= 0) logprobs = token_logprobs(logits_, id, static_cast<size_t>(request.logprobs));
      request.on_token(id, logprobs ? &*logprobs : nullptr);
    }
    if (tokenizer_ != nullptr) show(stop.push(decoded(*decoder, *tokenizer_, id)));
    reply.end = End::stop;
    if (stop.found()) break;
    reply.end = End::interrupted;
    if (request.interrupted && request.interrupted()) break;
    reply.end = End::limit;
    if (request.predict >= 0 && reply.generated == limit) break;
    reply.end = End::context;
    if (cached_.size() == static_cast<size_t>(engine_.context())) break;
    logits_ = engine_.decode(sequence_, id);
    cached_.push_back(id);
    ++reply.decoded;
  }
  if (tokenizer_ != nullptr) show(stop.push(decoder->flush()) + stop.flush());
  if (stop.found()) reply.end = End::stop;
  return reply;
}

}  // namespace weft
