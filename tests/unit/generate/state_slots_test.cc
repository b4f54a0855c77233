#include "runtime/generate/state_slots.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace weft {
namespace {

TEST(StateSlots, OneSequenceStaysInItsSlot) {
  StateSlots slots(1, 0, 64);
  const StateSlots::Move begin = slots.advance(0, 5);
  EXPECT_EQ(begin.from, kZeroState);
  slots.settle();
  for (int i = 0; i < 10; ++i) {
    const StateSlots::Move move = slots.advance(0, 1);
    EXPECT_EQ(move.from, begin.to);
    EXPECT_EQ(move.to, begin.to);
    slots.settle();
  }
  EXPECT_EQ(slots.known(0, 15), 15);
  EXPECT_EQ(slots.known(0, 14), 0) << "nothing earlier is kept";
}

TEST(StateSlots, SnapshotsAreKeptBetweenTurnsAndEvenly) {
  StateSlots slots(1, 8, 10);
  const auto advance = [&](int32_t count) {
    slots.advance(0, count);
    slots.settle();
  };
  advance(7);                               // a prompt
  for (int i = 0; i < 25; ++i) advance(1);  // a reply
  advance(6);                               // the next prompt
  advance(1);
  EXPECT_EQ(slots.known(0, 100), 39);
  EXPECT_EQ(slots.known(0, 38), 38);
  EXPECT_EQ(slots.known(0, 37), 32);
  EXPECT_EQ(slots.known(0, 31), 27);
  EXPECT_EQ(slots.known(0, 26), 17);
  EXPECT_EQ(slots.known(0, 16), 7);
  EXPECT_EQ(slots.known(0, 6), 0);
}

TEST(StateSlots, TheNearestSnapshotsGoFirst) {
  StateSlots slots(1, 3, 1);
  for (int i = 0; i < 40; ++i) {
    slots.advance(0, 1);
    slots.settle();
  }
  EXPECT_EQ(slots.snapshots(0), 3);
  int32_t last = 40, widest = 0;
  for (int32_t length = slots.known(0, 39); length > 0; length = slots.known(0, length - 1)) {
    widest = std::max(widest, last - length);
    last = length;
  }
  EXPECT_LE(std::max(widest, last), 20) << "three snapshots divide 40 tokens";
}

// States as the tokens that made them, moved as the slots say.
class Model {
 public:
  Model(int32_t sequences, int32_t snapshots, int32_t interval)
      : slots_(sequences, snapshots, interval),
        memory_(static_cast<size_t>(StateSlots::slots_of(sequences, snapshots))),
        texts_(static_cast<size_t>(sequences)) {}

  void step(std::mt19937& random) {
    struct Made {
      int32_t sequence;
      StateSlots::Move move;
      std::string text;
    };
    std::vector<Made> all;
    std::set<int32_t> written;
    for (int32_t s = 0; s < count(); ++s) {
      if (random() % 3 == 0) continue;
      const auto tokens = static_cast<int32_t>(random() % 2 == 0 ? 1 : 1 + random() % 9);
      Made made{s, slots_.advance(s, tokens), {}};
      for (int32_t i = 0; i < tokens; ++i) made.text += static_cast<char>('a' + random() % 26);
      EXPECT_TRUE(written.insert(made.move.to).second) << "two runs write to slot " << made.move.to;
      all.push_back(std::move(made));
    }
    if (random() % 8 == 0) {  // it fails before anything is written
      for (const Made& made : all) slots_.take_back(made.sequence);
    } else {
      for (const Made& made : all) {
        for (const Made& other : all) {
          EXPECT_FALSE(&other != &made && other.move.to == made.move.from) << "a run writes what another reads";
        }
        std::string& text = texts_[static_cast<size_t>(made.sequence)];
        EXPECT_EQ(made.move.from < 0 ? "" : memory_[static_cast<size_t>(made.move.from)], text);
        text += made.text;
      }
      for (const Made& made : all)
        memory_[static_cast<size_t>(made.move.to)] = texts_[static_cast<size_t>(made.sequence)];
    }
    slots_.settle();
  }

  void cut(std::mt19937& random) {
    const auto s = static_cast<int32_t>(random() % static_cast<uint32_t>(count()));
    std::string& text = texts_[static_cast<size_t>(s)];
    const int32_t known = slots_.known(s, static_cast<int32_t>(random() % (text.size() + 1)));
    slots_.trim(s, known);
    text.resize(static_cast<size_t>(known));
  }

  void fork(std::mt19937& random) {
    const auto from = static_cast<int32_t>(random() % static_cast<uint32_t>(count())),
               to = static_cast<int32_t>(random() % static_cast<uint32_t>(count()));
    if (from == to) return;
    slots_.trim(to, 0);
    const std::string& text = texts_[static_cast<size_t>(from)];
    const int32_t known = slots_.known(from, static_cast<int32_t>(random() % (text.size() + 1)));
    slots_.share(from, to, known);
    texts_[static_cast<size_t>(to)] = text.substr(0, static_cast<size_t>(known));
  }

 private:
  int32_t count() const { return static_cast<int32_t>(texts_.size()); }

  StateSlots slots_;
  std::vector<std::string> memory_, texts_;
};

TEST(StateSlots, RandomConversationsFindTheirStates) {
  for (const int32_t snapshots : {0, 1, 5, 40}) {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      std::mt19937 random(seed);
      Model model(4, snapshots, 6);
      for (int i = 0; i < 400; ++i) {
        const auto what = random() % 10;
        if (what == 0) model.cut(random);
        else if (what == 1) model.fork(random);
        else model.step(random);
      }
    }
  }
}

}  // namespace
}  // namespace weft
