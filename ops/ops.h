// Everything an architecture is written with: axes, values, expressions, materialize.
#pragma once

#include "core/expr/batch.h"
#include "core/expr/cache.h"
#include "core/expr/materialize.h"
#include "core/expr/state.h"
#include "core/expr/views.h"
#include "ops/append/append.h"
#include "ops/attention/statistics.h"
#include "ops/contract/contract.h"
#include "ops/custom/custom.h"
#include "ops/gather/at.h"
#include "ops/gather/concat.h"
#include "ops/map/map.h"
#include "ops/reduce/reduce.h"
#include "ops/rope/rope.h"
#include "ops/scan/scan.h"
#include "ops/select/top_k.h"
