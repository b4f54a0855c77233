// The extent of an axis that a result does not have.
// expect: this view does not have the axis whose extent is asked for
#include "common.h"
#include "core/tensor_view.h"

int64_t wrong_or_right(const TensorView<f32, Pos, Embed>& hidden) {
#ifdef WRONG
  return hidden.extent<Vocab>();
#else
  return hidden.extent<Embed>();
#endif
}
