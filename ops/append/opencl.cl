// The positions of the tokens that an append writes; its fields are written by the kernels that compute them.
// @section positions
__kernel __attribute__((reqd_work_group_size(WEFT_GROUP, 1, 1)))
void ${kernel}(${arguments}) {
${prologue}
  const uint row = (uint)get_global_id(0);
  if (row >= (uint)p.count) return;
  const int slot = weft_load_i32(${slots}, row);
  if (slot >= 0) weft_store_i32(${positions}, slot, weft_load_i32(${values}, row));
}
