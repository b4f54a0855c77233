// The k largest along an axis: one team of lanes per row, one pass per choice, each of which looks for the largest
// element that follows the previous one in the order of descending values and ascending indices.
// NaN counts as -inf and is given as such; past the end of the axis there is (0, -inf).
// @section kernel
WEFT_TEAM_KERNEL ${kernel}(${arguments}) {
${prologue}
  __local float shared_f32[WEFT_LANES];
  __local int shared_i32[WEFT_LANES];
  WEFT_UNIT(row, p.count);
${coordinates}
  float last = INFINITY;
  int last_at = -1;
  for (int choice = 0; choice < (int)p.choices; ++choice) {
    float best = -INFINITY;
    int found = -1;
    for (int at = weft_lane; at < ${extent}; at += WEFT_LANES) {
${element}
      const float order = ${value} != ${value} ? -INFINITY : ${value};
      const bool behind = order < last || (order == last && at > last_at);
      if (behind && (found < 0 || order > best)) {
        best = order;
        found = at;
      }
    }
    found = weft_lanes_argmax_f32(best, found, shared_f32, shared_i32);
    best = weft_lanes_max_f32(best, shared_f32);
    const int id = found < 0 ? 0 : found;
    if (weft_lane == 0) {
${result}
    }
    // With nothing left, nothing follows (-inf, the largest index) either.
    last = best;
    last_at = found < 0 ? 0x7fffffff : found;
  }
}
