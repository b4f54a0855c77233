// Axes and values that the compile cases share.
#pragma once
#include "ops/ops.h"

using namespace weft;

struct KvHead : axis<"kv_head"> {};
struct Group : axis<"group"> {};
struct HeadDim : axis<"head_dim"> {};
struct Embed : axis<"embed"> {};
struct Hidden : axis<"hidden"> {};
struct Vocab : axis<"vocab"> {};
struct Half : axis<"half", 32> {};
struct Whole : axis<"whole", 64> {};
struct Third : axis<"third", 48> {};

using KvCache = Cache<Field<Key, KvHead, HeadDim>, Field<Key, KvHead, HeadDim>>;
