// Attention with the online softmax (Milakov & Gimelshein 2018, arXiv:1805.02867): one team of lanes per query row
// and slice of the result, WEFT_KEYS keys at a time. Local memory holds the scores of the current block only.
// @section kernel
#if WEFT_LANES > 32
#define WEFT_KEYS WEFT_LANES
#else
#define WEFT_KEYS 32
#endif
WEFT_KERNEL_OF(WEFT_LANES) ${kernel}(${arguments}, __local float* acc) {
${prologue}
  __local float score[WEFT_KEYS];
  __local float weight[WEFT_KEYS];
  __local long rows[WEFT_KEYS];  // where each key's row of the value begins; -1: reads as zero
  const uint query = (uint)get_group_id(0);
  const int first = (int)get_group_id(1) * (int)p.slice;
  const int count = min((int)p.width - first, (int)p.slice);
${query_code}
  for (int d = weft_lane; d < count; d += WEFT_LANES) acc[d] = 0.0f;
  float largest = -INFINITY;
  float total = 0.0f;
${logs}
  for (int block = ${first_key}; block < keys; block += WEFT_KEYS) {
    const int block_keys = min(keys - block, WEFT_KEYS);
    for (int i = weft_lane; i < block_keys; i += WEFT_LANES) {
      const int key = block + i;
${score_code}
      score[i] = ${score};
      rows[i] = ${value_row};
    }
    WEFT_BARRIER;
    float next = largest;
    for (int i = 0; i < block_keys; ++i) next = score[i] > next ? score[i] : next;
    for (int i = weft_lane; i < block_keys; i += WEFT_LANES) {
      // Where nothing has been seen yet, a score is -inf or NaN: the one weighs 0, the other spoils the row.
      weight[i] = score[i] == -INFINITY ? 0.0f : exp(score[i] - next);
    }
    const float keep = largest == -INFINITY ? 0.0f : exp(largest - next);
    largest = next;
    WEFT_BARRIER;
    float block_total = 0.0f;
    for (int i = 0; i < block_keys; ++i) block_total += weight[i];
${add_logs}
    total = total * keep + block_total;
    for (int d = weft_lane; d < count; d += WEFT_LANES) acc[d] *= keep;
    for (int i = 0; i < block_keys; ++i) {
      const float w = weight[i];
      if (w == 0.0f) continue;
      const long row_offset = rows[i];
      for (int d = weft_lane; d < count; d += WEFT_LANES) {
${width_code}
        acc[d] = weft_fma(w, ${value}, acc[d]);
      }
    }
    WEFT_BARRIER;
  }
  float denominator = total;
${sink}
  for (int d = weft_lane; d < count; d += WEFT_LANES) {
    const float result = denominator == 0.0f ? 0.0f : acc[d] / denominator;
${result_code}
  }
${statistics}
}
// @section logs
  float logs = 0.0f;  // the sum of weight * log(weight), of which the entropy is made
// @section add_logs
    float block_logs = 0.0f;
    for (int i = 0; i < block_keys; ++i) block_logs += weight[i] == 0.0f ? 0.0f : weight[i] * log(weight[i]);
    // The weights w so far become keep * w.
    logs = (keep == 0.0f ? 0.0f : keep * (logs + log(keep) * total)) + block_logs;
// @section sink
  // One more score, of no key, once all keys have been met. A row that sees none stays 0.
  if (total != 0.0f) {
${code}
    const float sink = ${sink};
    denominator += exp(sink - largest);  // inf where keys weigh nothing beside it
${statistics}
  }
// @section sink_statistics
    const float next = sink > largest ? sink : largest;  // a NaN never is the largest
    const float keep = exp(largest - next), sink_weight = exp(sink - next);
    logs = (keep == 0.0f ? 0.0f : keep * (logs + (largest - next) * total)) +
           (sink_weight == 0.0f ? 0.0f : sink_weight * (sink - next));
    total = total * keep + sink_weight;
    largest = next;
// @section statistics
  if (first == 0 && weft_lane == 0) {
    const float log_total = total == 0.0f ? -INFINITY : log(total);
    const float log_sum_exp = largest + log_total;
    const float entropy = total == 0.0f ? 0.0f : log_total - logs / total;
${code}
  }
// @section flat
      float con${n} = 0.0f;
      {
        const int depth = (int)p.depth${n};
        float16 sum16 = (float16)(0.0f);
        int k = 0;
        for (; k + 32 <= depth; k += 32) {
          float16 w_lo = (float16)(0.0f), w_hi = (float16)(0.0f);
          if (${valid}) weft_load32_${format}(${rhs}, ${rhs_offset} + k, &w_lo, &w_hi);
          __global const float* x = (__global const float*)${lhs} + ${lhs_offset} + k;
          sum16 = weft_fma(w_lo, vload16(0, x), sum16);
          sum16 = weft_fma(w_hi, vload16(1, x), sum16);
        }
        con${n} = weft_sum16(sum16);
        for (; k < depth; ++k) {
          const float w = ${valid} ? weft_load_${format}(${rhs}, ${rhs_offset} + k) : 0.0f;
          con${n} = weft_fma(w, weft_load_f32(${lhs}, ${lhs_offset} + k), con${n});
        }
      }
// @section general
      float con${n} = 0.0f;
      for (int first_k = 0; first_k < (int)p.depth${n}; first_k += 32) {
        float run = 0.0f;
        for (int k = first_k; k < min(first_k + 32, (int)p.depth${n}); ++k) {
${depth_code}
          run = weft_fma(${value}, ${lhs_value}, run);
        }
        con${n} += run;
      }
