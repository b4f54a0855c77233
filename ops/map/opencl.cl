// A map: one work-item per element of the result, in its memory order. Gathers are maps whose operand has ids.
// @section kernel
WEFT_ITEM_KERNEL ${kernel}(${arguments}) {
${prologue}
  WEFT_ITEM(item, p.count);
${code}
}
