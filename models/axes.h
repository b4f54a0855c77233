// Axes that architectures share. Pos, Key and Seq are in core/expr/batch.h.
#pragma once

#include "core/expr/batch.h"

namespace weft {

struct Vocab : axis<"vocab"> {};
struct Embed : axis<"embed"> {};
struct Hidden : axis<"hidden"> {};   // of the feed-forward network
struct KvHead : axis<"kv_head"> {};  // heads of keys and values
struct Group : axis<"group"> {};     // query heads per KV head
struct HeadDim : axis<"head_dim"> {};

}  // namespace weft
