#include "core/text.h"

#include <gtest/gtest.h>

#include <clocale>
#include <limits>
#include <string>

#include "core/error.h"

namespace sharpseek {
namespace {

TEST(ParseDouble, ReadsWholeNumbersOnly) {
  EXPECT_EQ(parse_double(" 1.5e-3 "), 1.5e-3);
  EXPECT_EQ(parse_double("-7"), -7);
  for (const char* text : {"", "1.5x", "1,5", "abc", "1 2", "--1"}) EXPECT_FALSE(parse_double(text)) << text;
}

TEST(ParseNumbers, NamesTheOffendingField) {
  EXPECT_EQ(parse_numbers("x", "1, 2,3"), (std::vector<double>{1, 2, 3}));
  try {
    parse_numbers("data.teacher", "1,two,3");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("data.teacher"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("two"), std::string::npos);
  }
  EXPECT_THROW(parse_numbers("x", "1,nan"), UserError);
  EXPECT_THROW(parse_numbers("x", ""), UserError);
}

TEST(Shortest, ReadsBackAsTheSameNumber) {
  for (double value : {0.1, 1.0 / 3, 1e300, -2.5e-9, std::numeric_limits<double>::denorm_min()}) {
    EXPECT_EQ(parse_double(shortest(value)), value);
  }
  EXPECT_EQ(shortest(0.002), "0.002");
}

TEST(Words, SplitAtAnyWhiteSpace) {
  EXPECT_EQ(words("  1 10\t100 "), (std::vector<std::string>{"1", "10", "100"}));
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
}

TEST(Plain, WritesNumbersAsPeopleDo) {
  EXPECT_EQ(plain(0.0005), "0.0005");
  EXPECT_EQ(plain(1e6), "1000000");
  EXPECT_EQ(plain(-2.5), "-2.5");
  EXPECT_EQ(plain(0), "0");
  EXPECT_EQ(plain(1e-9), "1e-09");
  EXPECT_EQ(plain(3e20), "3e+20");
}

}  // namespace
}  // namespace sharpseek
