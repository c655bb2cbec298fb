#include "core/philox.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "core/random.h"

namespace sharpseek {
namespace {

/// The vectors that the authors publish with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, GivesThePublishedKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomWords, DoNotDependOnHowManyAreAskedFor) {
  std::vector<std::uint32_t> few(5), many(23);
  random_words(1, Stream::kTraining, 77, 9, few);
  random_words(1, Stream::kTraining, 77, 9, many);
  for (std::size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i], many[i]);
}

TEST(RandomWords, DifferBySeedStreamReplicaAndStep) {
  const auto first = [](std::uint64_t seed, Stream stream, std::uint64_t key, std::uint32_t step) {
    std::vector<std::uint32_t> words(4);
    random_words(seed, stream, key, step, words);
    return words;
  };
  std::set<std::vector<std::uint32_t>> seen;
  for (std::uint64_t seed : {0u, 1u}) {
    for (Stream stream : {Stream::kTraining, Stream::kNoiseSigns, Stream::kWeights}) {
      // Keys that differ in their high word only, and a key and step that a careless counter would exchange.
      for (std::uint64_t key : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{5} << 32}) {
        for (std::uint32_t step : {0u, 1u, 5u}) seen.insert(first(seed, stream, key, step));
      }
    }
  }
  EXPECT_EQ(seen.size(), 2u * 3 * 3 * 3);
}

}  // namespace
}  // namespace sharpseek
