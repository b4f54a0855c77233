// A map: one work-item per element of the result, in its memory order. Gathers are maps whose operand has ids.
// @section kernel
__kernel __attribute__((reqd_work_group_size(WEFT_GROUP, 1, 1)))
void ${kernel}(${arguments}) {
${prologue}
  const uint item = (uint)get_global_id(0);
  if (item >= (uint)p.count) return;
${code}
}
