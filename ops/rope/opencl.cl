// Rotary embedding (Su et al. 2021, arXiv:2104.09864), then the program after it: one work-item per element,
// which reads its own pair.
// @section kernel
WEFT_ITEM_KERNEL ${kernel}(${arguments}) {
${prologue}
  WEFT_ITEM(item, p.count);
${coordinates}
${own}
  float rotated = ${own_value};
${rotate}
${post}
}
// @section half_split
  const int pair = ${at} < (int)p.pairs ? ${at} : ${at} - (int)p.pairs;
  const int second = ${at} >= (int)p.pairs;
  const int other_at = second ? pair : pair + (int)p.pairs;
// @section interleaved
  const int pair = ${at} / 2;
  const int second = ${at} & 1;
  const int other_at = ${at} ^ 1;
// @section rotate
${pairs}
  if (pair < (int)p.pairs) {
${other}
    const float angle = (float)${position} * weft_load_f32(${frequencies}, pair);
    const float c = cos(angle), s = sin(angle);
    rotated = (second ? ${other_value} * s + ${own_value} * c : ${own_value} * c - ${other_value} * s)${scale};
  }
