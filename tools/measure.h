// What commands that time a model share: extents of a run, tokens that need no evaluation, and the machine's limits.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "ops/cpu/machine_limits.h"
#include "runtime/generate/engine.h"

namespace weft::tools {

// Extents of a run of `tokens` tokens, `rows` of which need logits, in a sequence that then has `length`.
Limits extents_of(const LanguageModel& model, int64_t tokens, int64_t rows, int64_t length);
// Of a run of `tokens` tokens in each of `sequences` sequences, which then have `length`: with the keys that a token
// sees on average, those before it and within its windows.
Limits seen_extents(const LanguageModel& model, int64_t tokens, int64_t rows, int64_t length, int64_t sequences = 1);

// Gives a sequence `count` more tokens without evaluating them: their keys and values are what the cache holds.
void lengthen(Engine& engine, int32_t sequence, int32_t count);

// Of a team of this machine, for runs that read `bytes` of weights and keys: reads go over a block of that size, or of
// uncached_size if that is less. Takes a second.
MachineLimits measure_limits(int threads, size_t bytes);
// In bytes, bytes per second, and operations per second.
nlohmann::ordered_json limits_json(const MachineLimits& limits);

}  // namespace weft::tools
