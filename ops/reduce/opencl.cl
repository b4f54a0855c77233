// Reductions along one axis, then a map over their results: one team of lanes per row.
// @section kernel
WEFT_TEAM_KERNEL ${kernel}(${arguments}) {
${prologue}
  __local float shared_f32[WEFT_LANES];
  __local int shared_i32[WEFT_LANES];
  __local int shared_at[WEFT_LANES];
  WEFT_UNIT(row, p.count);
${code}
}
// @section sum
  // In runs of 32 elements, so that rounding errors grow with the number of runs only.
  ${type} red${n} = 0;
  for (int first = weft_lane; first < ${extent}; first += 32 * WEFT_LANES) {
    ${type} run = 0;
    for (int step = 0; step < 32; ++step) {
      const int at = first + step * WEFT_LANES;
      if (at >= ${extent}) break;
${element}
      run = ${sum_run};
    }
    red${n} = ${sum_all};
  }
  red${n} = weft_lanes_sum_${suffix}(red${n}, shared_${suffix});
// @section max
  ${type} red${n} = ${lowest};
  for (int at = weft_lane; at < ${extent}; at += WEFT_LANES) {
${element}
    red${n} = ${value} > red${n} ? ${value} : red${n};
  }
  red${n} = weft_lanes_max_${suffix}(red${n}, shared_${suffix});
// @section argmax
  int red${n};
  {
    ${type} best = 0;
    int found = -1;
    for (int at = weft_lane; at < ${extent}; at += WEFT_LANES) {
${element}
      if (${ordered}(found < 0 || ${value} > best)) {
        best = ${value};
        found = at;
      }
    }
    found = weft_lanes_argmax_${suffix}(best, found, shared_${suffix}, shared_at);
    red${n} = found < 0 ? 0 : found;
  }
// @section along
  for (int at = weft_lane; at < ${extent}; at += WEFT_LANES) {
${element}
  }
