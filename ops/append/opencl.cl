// The positions of the tokens that an append writes, and the rows of fields that are stored in blocks; other fields are
// written by the kernels that compute them.
// @section positions
WEFT_ITEM_KERNEL ${kernel}(${arguments}) {
${prologue}
  WEFT_ITEM(row, p.count);
  const int slot = weft_load_i32(${slots}, row);
  if (slot >= 0) weft_store_i32(${positions}, slot, weft_load_i32(${values}, row));
}
// @section encode
WEFT_ITEM_KERNEL ${kernel}(${arguments}) {
${prologue}
  WEFT_ITEM(block, p.count);
  const uint in_row = (uint)p.row_blocks;
  const int slot = weft_load_i32(${slots}, (int)(block / in_row));
  if (slot < 0) return;
  weft_encode32_${format}(${field}, (long)slot * p.row_blocks + block % in_row,
                          (__global const float*)${rows} + 32L * block);
}
