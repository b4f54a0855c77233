// Stored in another format than the input.
// expect: Engine::input takes a Tensor or TensorView of f32, i32 or bool
#include "common.h"
#include "runtime/generate/engine.h"

void wrong_or_right(Engine& engine, const Tensor<bf16, Pos, Embed>& rounded, const Tensor<f32, Pos, Embed>& values) {
#ifdef WRONG
  engine.input("embeddings", rounded);
#else
  engine.input("embeddings", values);
#endif
}
