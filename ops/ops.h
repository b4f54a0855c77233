// Everything an architecture is written with: axes, values, expressions, materialize.
#pragma once

#include "core/batch.h"
#include "core/cache.h"
#include "core/materialize.h"
#include "core/views.h"
#include "ops/append/append.h"
#include "ops/contract/contract.h"
#include "ops/gather/at.h"
#include "ops/map/map.h"
#include "ops/reduce/reduce.h"
#include "ops/rope/rope.h"
#include "ops/select/top_k.h"
