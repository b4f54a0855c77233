// Scans and convolutions: one work-item for each run of tokens, head and column of the state, which holds the column and
// goes through the run token by token. An item that stands for a token within a run has nothing to do.
// @section kernel
WEFT_ITEM_KERNEL ${kernel}(${arguments}) {
${prologue}
  WEFT_ITEM(item, p.count);
${coordinates}
  const int slot_before = weft_load_i32(${from}, ${pos});
  if (${pos} > 0 && slot_before == -2) return;
  __global float* const states = (__global float*)${states} + (long)(${head}) * ${rows} * ${columns} + ${column};
  const long slot_size = (long)(${heads}) * ${rows} * ${columns};
  float s[${most_rows}];
  for (int r = 0; r < ${rows}; ++r) s[r] = slot_before < 0 ? 0.0f : states[slot_before * slot_size + (long)r * ${columns}];
  for (int t = ${pos}; t < ${tokens}; ++t) {
    if (t > ${pos} && weft_load_i32(${from}, t) != -2) break;
${step}
    const int slot = weft_load_i32(${to}, t);
    if (slot < 0) continue;
    for (int r = 0; r < ${rows}; ++r) states[slot * slot_size + (long)r * ${columns}] = s[r];
  }
}
// @section recurrence
${token}
    float sum = 0.0f, weight = 0.0f, erased = 0.0f;
${erased}
    for (int r = 0; r < ${rows}; ++r) {
${element}
      const float before = s[r];
      s[r] = weft_fma(${key}, ${value}, ${decay} * before)${erase};
      sum = weft_fma(${query}, ${read}, sum);
${bonus}
    }
    sum = weft_fma(weight, ${value}, sum);
${store}
// @section erased
    for (int r = 0; r < ${rows}; ++r) {
${element}
      erased = weft_fma(${read}, s[r], erased);
    }
// @section convolution
${token}
    float sum = 0.0f;
    for (int r = 0; r < ${rows}; ++r) {
      s[r] = r + 1 < ${rows} ? s[r + 1] : ${input};
${element}
      sum = weft_fma(${weight}, s[r], sum);
    }
${store}
