#include "runtime/generate/kv_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "models/axes.h"
#include "ops/ops.h"
#include "tests/errors.h"
#include "tests/small_model.h"

namespace weft {
namespace {

using test::error_of;

size_t slot_behind(int32_t first, int32_t by) { return static_cast<size_t>(first) + static_cast<size_t>(by); }

std::vector<int32_t> append(BlockTables& tables, int32_t sequence, int32_t count, BlockTables::Copy* copy = nullptr) {
  std::vector<int32_t> slots(static_cast<size_t>(count));
  const BlockTables::Copy made = tables.append(sequence, slots);
  if (copy != nullptr) *copy = made;
  return slots;
}

TEST(BlockTables, SlotsFollowThePages) {
  BlockTables tables(8, 4, 2, 16);
  EXPECT_EQ(append(tables, 0, 3), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(append(tables, 1, 5), (std::vector<int32_t>{4, 5, 6, 7, 8}));
  EXPECT_EQ(append(tables, 0, 2), (std::vector<int32_t>{3, 12}));
  EXPECT_EQ(tables.length(0), 5);
  EXPECT_EQ(tables.free_pages(), 4);
  const PageTable table = tables.view();
  EXPECT_EQ(table.sequences, 2);
  EXPECT_EQ(table.max_pages, 4);
  EXPECT_EQ(table.pages[0], 0);
  EXPECT_EQ(table.pages[1], 3);
  EXPECT_EQ(table.pages[4], 1);
  EXPECT_EQ(table.length[1], 5);
}

TEST(BlockTables, SharedPagesAreCopiedBeforeTheyAreWritten) {
  BlockTables tables(8, 4, 3, 16);
  append(tables, 0, 10);  // pages 0, 1 and half of 2
  tables.share(0, 1, 10);
  EXPECT_EQ(tables.free_pages(), 5);
  EXPECT_EQ(tables.references(2), 2);
  BlockTables::Copy copy;
  EXPECT_EQ(append(tables, 1, 1, &copy), (std::vector<int32_t>{14}));  // in a page of its own
  EXPECT_EQ(copy.from_slot, 8);
  EXPECT_EQ(copy.to_slot, 12);
  EXPECT_EQ(copy.count, 2);
  EXPECT_EQ(tables.references(2), 1);
  // The first sequence has the old page for itself again.
  EXPECT_EQ(append(tables, 0, 1, &copy), (std::vector<int32_t>{10}));
  EXPECT_EQ(copy.count, 0);
  EXPECT_EQ(tables.references(0), 2);
}

TEST(BlockTables, WholePagesAreSharedWithoutCopies) {
  BlockTables tables(8, 4, 2, 16);
  append(tables, 0, 9);
  tables.share(0, 1, 8);
  BlockTables::Copy copy;
  append(tables, 1, 4, &copy);
  EXPECT_EQ(copy.count, 0);
  EXPECT_EQ(tables.free_pages(), 8 - 4);
}

TEST(BlockTables, TrimAndFree) {
  BlockTables tables(4, 4, 2, 16);
  append(tables, 0, 16);
  EXPECT_EQ(tables.free_pages(), 0);
  tables.trim(0, 5);
  EXPECT_EQ(tables.free_pages(), 2);
  tables.trim(0, 0);
  EXPECT_EQ(tables.free_pages(), 4);
  append(tables, 1, 16);
  EXPECT_EQ(tables.free_pages(), 0);
}

TEST(BlockTables, NoRoomChangesNothing) {
  BlockTables tables(3, 4, 2, 12);
  append(tables, 0, 8);
  EXPECT_EQ(error_of([&] { append(tables, 1, 5); }),
            "the KV cache is full: sequence 1 needs 2 more pages of 4 tokens, 1 are free");
  EXPECT_EQ(error_of([&] { append(tables, 0, 5); }),
            "the context is full: 8 + 5 tokens, and a sequence has room for 12");
  EXPECT_EQ(tables.length(0), 8);
  EXPECT_EQ(tables.length(1), 0);
  EXPECT_EQ(tables.free_pages(), 1);
  // A copy of a shared page counts too.
  tables.trim(0, 6);
  tables.share(0, 1, 6);
  append(tables, 0, 1);
  EXPECT_EQ(tables.free_pages(), 0);
  tables.trim(1, 0);
  EXPECT_EQ(tables.free_pages(), 1);
}

// Whatever is done to sequences, each sees its own tokens: contents are followed through slots and copies.
TEST(BlockTables, RandomOperationsKeepEverySequence) {
  constexpr int32_t kSequences = 5, kPages = 14, kPageSize = 4, kLength = 40;
  BlockTables tables(kPages, kPageSize, kSequences, kLength);
  std::vector<int> memory(kPages * kPageSize, -1);
  std::vector<std::vector<int>> want(kSequences);
  std::mt19937 random(3);
  int next = 0, appended = 0, refused = 0, shared = 0;
  for (int round = 0; round < 5000; ++round) {
    const auto s = static_cast<int32_t>(random() % kSequences);
    std::vector<int>& tokens = want[static_cast<size_t>(s)];
    switch (random() % 4) {
      case 0:
      case 1: {
        std::vector<int32_t> slots(random() % 7);
        try {
          const BlockTables::Copy copy = tables.append(s, slots);
          for (int32_t i = 0; i < copy.count; ++i) {
            memory[slot_behind(copy.to_slot, i)] = memory[slot_behind(copy.from_slot, i)];
          }
          for (const int32_t slot : slots) {
            memory[static_cast<size_t>(slot)] = next;
            tokens.push_back(next++);
          }
          ++appended;
        } catch (const Error&) {
          ++refused;
        }
        break;
      }
      case 2: {
        const auto keep = static_cast<int32_t>(random() % (tokens.size() + 1));
        tables.trim(s, keep);
        tokens.resize(static_cast<size_t>(keep));
        break;
      }
      default: {
        const auto to = static_cast<int32_t>(random() % kSequences);
        if (to == s) break;
        tables.trim(to, 0);
        const auto count = static_cast<int32_t>(random() % (tokens.size() + 1));
        tables.share(s, to, count);
        want[static_cast<size_t>(to)].assign(tokens.begin(), tokens.begin() + count);
        ++shared;
      }
    }
    const PageTable table = tables.view();
    std::map<int32_t, int32_t> references;
    for (int32_t q = 0; q < kSequences; ++q) {
      const std::vector<int>& expected = want[static_cast<size_t>(q)];
      ASSERT_EQ(table.length[q], static_cast<int32_t>(expected.size()));
      for (int32_t i = 0; i < table.length[q]; ++i) {
        const int32_t page = table.pages[q * table.max_pages + i / kPageSize];
        if (i % kPageSize == 0) ++references[page];
        ASSERT_EQ(memory[static_cast<size_t>(page * kPageSize + i % kPageSize)], expected[static_cast<size_t>(i)])
            << "round " << round << ", sequence " << q << ", token " << i;
      }
    }
    for (const auto& [page, count] : references) ASSERT_EQ(tables.references(page), count);
    ASSERT_EQ(tables.free_pages(), kPages - static_cast<int32_t>(references.size()));
  }
  EXPECT_GT(appended, 500);
  EXPECT_GT(refused, 20);
  EXPECT_GT(shared, 500);
}

// Against a simple model: each sequence is a list of tokens, and a page is there if and only if it holds a token that
// the next one sees, or one after that. Steps release before and after, as an engine does.
TEST(BlockTables, RandomOperationsWithAWindow) {
  constexpr int32_t kSequences = 4, kPageSize = 4, kLength = 1000, kBatch = 9;
  for (const int32_t window : {1, 2, 4, 5, 11}) {
    const auto pages = static_cast<int32_t>(BlockTables::pages_of_window(window, kBatch, kSequences, kPageSize));
    BlockTables tables(pages, kPageSize, kSequences, kLength, window);
    std::vector<int> memory(static_cast<size_t>(pages * kPageSize), -1);
    std::vector<std::vector<int>> want(kSequences);
    std::mt19937 random(3);
    int next = 0, shared = 0, refused = 0, trimmed = 0, longest = 0;
    for (int round = 0; round < 3000; ++round) {
      const auto s = static_cast<int32_t>(random() % kSequences);
      std::vector<int>& tokens = want[static_cast<size_t>(s)];
      const auto length = static_cast<int32_t>(tokens.size());
      const auto allowed = [&](int32_t count) {  // by the model: what the next token sees is there
        return count == 0 || std::max(count + 1 - window, 0) >= tables.first(s);
      };
      switch (random() % 6) {
        default: {  // a step of one or two sequences
          int32_t room = kBatch;
          for (int32_t q = s; q < std::min(s + 2, kSequences); ++q) {
            std::vector<int>& text = want[static_cast<size_t>(q)];
            const auto count = std::min<int32_t>(
                {static_cast<int32_t>(random() % (kBatch + 1)), room, kLength - static_cast<int32_t>(text.size())});
            room -= count;
            std::vector<int32_t> slots(static_cast<size_t>(count));
            tables.release_passed(q);
            const BlockTables::Copy copy = tables.append(q, slots);  // there is always room
            for (int32_t i = 0; i < copy.count; ++i) {
              memory[slot_behind(copy.to_slot, i)] = memory[slot_behind(copy.from_slot, i)];
            }
            for (const int32_t slot : slots) {
              memory[static_cast<size_t>(slot)] = next;
              text.push_back(next++);
            }
          }
          for (int32_t q = s; q < std::min(s + 2, kSequences); ++q) tables.release_passed(q);
          break;
        }
        case 0: {
          const auto keep = random() % 3 == 0 ? 0 : std::max(length - static_cast<int32_t>(random() % 8), 0);
          if (!allowed(keep)) {
            EXPECT_NE(error_of([&] { tables.trim(s, keep); }), "");
            ++refused;
            break;
          }
          tables.trim(s, keep);
          tokens.resize(static_cast<size_t>(keep));
          ++trimmed;
          break;
        }
        case 1: {
          const auto to = static_cast<int32_t>(random() % kSequences);
          const auto count = std::max(length - static_cast<int32_t>(random() % 8), 0);
          if (to == s) break;
          tables.trim(to, 0);
          want[static_cast<size_t>(to)].clear();
          if (!allowed(count)) {
            EXPECT_NE(error_of([&] { tables.share(s, to, count); }), "");
            ++refused;
            break;
          }
          tables.share(s, to, count);
          want[static_cast<size_t>(to)].assign(tokens.begin(), tokens.begin() + count);
          ++shared;
        }
      }
      const PageTable table = tables.view();
      std::map<int32_t, int32_t> references;
      for (int32_t q = 0; q < kSequences; ++q) {
        const std::vector<int>& expected = want[static_cast<size_t>(q)];
        const auto size = static_cast<int32_t>(expected.size());
        longest = std::max(longest, size);
        ASSERT_EQ(table.length[q], size);
        ASSERT_LE(table.first[q], std::max(size + 1 - window, 0)) << "the next token sees what is gone";
        ASSERT_EQ(table.first[q] % kPageSize, 0);
        for (int32_t i = 0; i < size; ++i) {
          const int32_t page = table.pages[q * table.max_pages + i / kPageSize];
          if (i < table.first[q]) {
            ASSERT_EQ(page, -1);
            continue;
          }
          if (i % kPageSize == 0) ++references[page];
          ASSERT_EQ(memory[static_cast<size_t>(page * kPageSize + i % kPageSize)], expected[static_cast<size_t>(i)])
              << "window " << window << ", round " << round << ", sequence " << q << ", token " << i;
        }
      }
      for (const auto& [page, count] : references) ASSERT_EQ(tables.references(page), count);
      ASSERT_EQ(tables.free_pages(), pages - static_cast<int32_t>(references.size()));
    }
    EXPECT_GT(shared, 50);
    EXPECT_GT(trimmed, 50);
    EXPECT_GT(refused, 20);
    EXPECT_GT(longest, 100);
  }
}

class KvCacheTest : public testing::Test {
 protected:
  KvCacheTest()
      : model_(test::small_model()),
        plan_(compile(Device::cpu(1), model_.graph,
                      Limits().set(model_.pos_axis, 8).set(model_.rows_axis, 1).set(model_.graph->caches[0].key, 20))) {
  }

  LanguageModel model_;
  Plan plan_;
};

// Rows of a size that runs may change have no place in memory that is there before.
TEST(KvCacheOfAnyWidth, IsRefused) {
  Graph graph;
  const Batch batch(graph);
  const auto x = graph.input<f32, Pos, Hidden>("x");
  const Cache<Field<Key, Hidden>> cache(graph, batch, "notes");
  auto [kept] = materialize(append(cache, x));
  const auto y = materialize(contract<Key>(softmax<Key>(where(kept.pos() <= batch.pos, 0.0f, -inf)), kept));
  graph.result(y);
  const Plan plan = compile(Device::cpu(1), graph.record(),
                            Limits()
                                .set(graph.axis<Pos>(), 4)
                                .set(graph.axis<Seq>(), 1)
                                .set(graph.axis<Hidden>(), 8)
                                .set(graph.axis<Key>(), 16));
  EXPECT_EQ(error_of([&] { PagedKvCache(plan, {.sequences = 1, .max_length = 16}); }),
            "cache 'notes' has axis 'hidden', whose extent may differ from run to run: it must be fixed, or that of a "
            "weight");
}

TEST_F(KvCacheTest, MemoryIsThatOfNativeHeads) {
  const PagedKvCache cache(plan_, {2, 20, 0, 4});
  // Two sequences of 5 pages of 4; per slot and layer: K and V of 2 heads of 8 floats, and a position.
  EXPECT_EQ(cache.bytes(), 2u * 5 * 4 * 2 * ((2 * 8 + 2 * 8) * 4 + 4));
}

TEST_F(KvCacheTest, MemoryIsTouchedBeforeSequencesAreOpened) {
  PagedKvCache cache(plan_, {2, 20, 24, 4});
  cache.touch();
  const int32_t a = cache.open();
  EXPECT_EQ(error_of([&] { cache.touch(); }), "the memory of a cache is touched before its sequences are opened");
  cache.close(a);
  cache.touch();
}

TEST_F(KvCacheTest, ASequenceIsToldFromAnEarlierOneOfItsNumber) {
  PagedKvCache cache(plan_, {2, 20, 24, 4});
  EXPECT_EQ(cache.opening(0), 0u);
  EXPECT_EQ(cache.opening(-1), 0u);
  EXPECT_EQ(cache.opening(2), 0u);
  const int32_t a = cache.open();
  const uint64_t first = cache.opening(a);
  const int32_t fork = cache.fork(a, 0);
  EXPECT_NE(first, 0u);
  EXPECT_NE(cache.opening(fork), 0u);
  EXPECT_NE(cache.opening(fork), first);
  cache.close(a);
  EXPECT_EQ(cache.opening(a), 0u);
  ASSERT_EQ(cache.open(), a);
  EXPECT_NE(cache.opening(a), 0u);
  EXPECT_NE(cache.opening(a), first);
  EXPECT_NE(cache.opening(a), cache.opening(fork));
}

TEST_F(KvCacheTest, SequencesOpenForkAndClose) {
  PagedKvCache cache(plan_, {2, 20, 24, 4});
  std::vector<int32_t> slots(20);
  int32_t* const cursor[] = {slots.data()};
  const int32_t a = cache.open();
  cache.append(a, 6, cursor);
  const int32_t b = cache.fork(a, 5);
  EXPECT_EQ(cache.length(b), 5);
  EXPECT_EQ(error_of([&] { cache.open(); }), "all 2 sequences of the KV cache are taken");
  EXPECT_EQ(error_of([&] { cache.append(a, 15, cursor); }),
            "the context is full: 6 + 15 tokens, and a sequence has room for 20");
  cache.close(a);
  EXPECT_EQ(error_of([&] { cache.length(a); }), "there is no sequence 0");
  EXPECT_EQ(cache.length(b), 5);
  EXPECT_EQ(cache.open(), a);
  EXPECT_EQ(error_of([&] { cache.fork(b, 6); }), "all 2 sequences of the KV cache are taken");
  cache.close(a);
  EXPECT_EQ(error_of([&] { cache.fork(b, 6); }), "sequence 1 has 5 tokens, not 6 to share");
  EXPECT_EQ(cache.open(), a);  // the failed fork has given its sequence back
}

}  // namespace
}  // namespace weft
