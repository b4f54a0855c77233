// The positions of the tokens that an append writes; its fields are written by the kernels that compute them.
// @section positions
WEFT_ITEM_KERNEL ${kernel}(${arguments}) {
${prologue}
  WEFT_ITEM(row, p.count);
  const int slot = weft_load_i32(${slots}, row);
  if (slot >= 0) weft_store_i32(${positions}, slot, weft_load_i32(${values}, row));
}
