// Runs a prompt through a model and hands out every value that the graph materializes, step by step.
//
// A prompt is processed in chunks, whose results are handed out before the next chunk runs. So a trace needs the
// memory of a plan in which no value's storage is reused, for one chunk; by default a chunk is as long as keeps
// that below 256 MiB (and at least one token). Threads may trace concurrently, each into separate sinks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/generate/engine.h"

namespace weft {

// The order in which a rotary axis holds the two elements of each pair. Elements from `rotated` on belong to no
// pair.
struct PairOrder {
  RopePairs pairs = RopePairs::half_split;
  int64_t rotated = 0;
};

struct TracedValue {
  std::string name;               // "blk.0.q"; for a part of a step "blk.0.attn/softmax" (see StepPart)
  std::vector<std::string> axes;  // from slow to fast; that of the tokens is "pos"
  std::vector<int64_t> extents;   // for the whole prompt
  Format format = Format::f32;    // f32, i32 or bool8
  int pos = -1;                   // index of the tokens' axis; -1 if there is none
  int rotary = -1;                // index of the axis that `order` describes; -1 if there is none
  PairOrder order = {};

  int64_t elements() const;
  std::string axes_text() const;  // "pos x kv_head x group x head_dim"
};

// Receives what a trace hands out.
class TraceSink {
 public:
  virtual ~TraceSink() = default;
  // Called once, before anything else: all values in the order of the steps, parts of a step before its results.
  virtual void begin(const std::vector<TracedValue>& values, std::span<const int32_t> tokens) = 0;
  // `count` coordinates of the value along its tokens' axis, from `first` on (0 and 1 where it has none):
  // contiguous, in the order of its axes.
  virtual void take(size_t value, int64_t first, int64_t count, std::span<const std::byte> data) = 0;
};

struct TraceOptions {
  Precision precision = Precision::fast;
  std::optional<Format> cache_k = {}, cache_v = {};   // as PlanOptions::cache_k and cache_v
  std::string pack_cache = {};                        // as PlanOptions::pack_cache
  std::function<void(const std::string&)> warn = {};  // as PlanOptions::warn
  int32_t chunk = 0;                                  // tokens at a time; 0: as many as fit (see above), at most 512
  // Steps whose parts are computed too, by the reference (ops/harness/reference.h) from the values that the device
  // computed: a pattern in which * stands for any text. Each also gives "NAME/reference", the reference's result.
  // The prompt is then processed in one chunk. Slow, and each weight that a step reads is decoded to f32 as a
  // whole.
  std::optional<std::string> expand = {};
  int32_t longest_expanded = 512;  // tokens: scores take heads * tokens^2 doubles
};

// Throws Error for tokens that the model lacks, or too many of them.
void trace(const LanguageModel& model, const Device& device, std::span<const int32_t> tokens,
           const TraceOptions& options, std::span<TraceSink* const> sinks);

// Whether `text` matches a pattern in which * stands for any text. Time proportional to the product of their
// lengths.
bool matches_glob(std::string_view pattern, std::string_view text);

}  // namespace weft
