// Numbers without axes, for an input of an engine.
// expect: Engine::input takes a Tensor or TensorView of f32, i32 or bool
#include "common.h"
#include "runtime/generate/engine.h"

void wrong_or_right(Engine& engine, const std::vector<float>& values) {
#ifdef WRONG
  engine.input("embeddings", values);
#else
  engine.input("embeddings", TensorView<f32, Pos, Embed>({1, 4}, values));
#endif
}
