#include "experiments/config/ini.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(const std::string& text) {
  try {
    parse_ini(text, "x.ini");
  } catch (const UserError& error) {
    return error.what();
  }
  return "(no error)";
}

/// The value of the one key of a line.
std::string value_of(const std::string& line) { return parse_ini(line, "x.ini").at(0).value; }

TEST(ParseIni, ReadsSectionsWithBlanks) {
  const std::vector<IniEntry> entries = parse_ini("  [ noise ]  ; comment\n condition = 1 10\n\n[data]\ninputs=4", "x");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].key, "noise.condition");
  EXPECT_EQ(entries[0].value, "1 10");
  EXPECT_EQ(entries[1].key, "data.inputs");
  EXPECT_EQ(entries[1].value, "4");
  EXPECT_EQ(parse_ini("noise.total = 3", "x").at(0).key, "noise.total");
}

TEST(ParseIni, CommentsBeginOutsideQuotesAfterABlank) {
  EXPECT_EQ(value_of("title = a;b#c ; d"), "a;b#c");
  EXPECT_EQ(value_of("title = \"a ; b\" # c"), "\"a ; b\"");
  EXPECT_EQ(value_of("title = \"a \"\" ; b\"\t# c"), "\"a \"\" ; b\"");
  EXPECT_EQ(value_of("title = 5\" ; inches"), "5\"");  // not closed: a character
  EXPECT_EQ(value_of("title = a = b"), "a = b");
  EXPECT_EQ(value_of("title = # nothing"), "");
  EXPECT_TRUE(parse_ini("# a\n;b = 1\n  ; c\n", "x").empty());
}

TEST(ParseIni, NamesTheLineThatIsNeither) {
  EXPECT_EQ(refusal("[data]\n\ninputs: 4\n"), "x.ini: line 3: 'inputs: 4' is neither [section] nor key = value");
  EXPECT_EQ(refusal("= 4\n"), "x.ini: line 1: '= 4' is neither [section] nor key = value");
  for (const char* text : {"[]", "[ ]", "[data", "[data]x", "[[data]]", "[a][b]"}) {
    EXPECT_EQ(refusal(text), "x.ini: line 1: '" + std::string(text) + "' is no section; must be [name]");
  }
}

TEST(QuotedWords, KeepWhatIsInQuotes) {
  EXPECT_THAT(quoted_words("  1 10\t100\n", "x"), ElementsAre("1", "10", "100"));
  EXPECT_THAT(quoted_words("\"file:my data/V.csv\" aligned", "x"), ElementsAre("file:my data/V.csv", "aligned"));
  EXPECT_THAT(quoted_words("file:\"my data\"/V.csv file:a#b.csv", "x"),
              ElementsAre("file:my data/V.csv", "file:a#b.csv"));
  EXPECT_THAT(quoted_words("\"a \"\"b\"\" c\"", "x"), ElementsAre("a \"b\" c"));
  EXPECT_THAT(quoted_words("\"\" a\"\"", "x"), ElementsAre("", "a"));
  EXPECT_THAT(quoted_words("", "x"), ElementsAre());
  try {
    quoted_words("aligned \"file:V.csv", "data.teacher");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("data.teacher = aligned \"file:V.csv: a quote is not closed"));
  }
}

TEST(FreeText, LosesQuotesThatHoldAllOfIt) {
  EXPECT_EQ(free_text(" my run "), "my run");
  EXPECT_EQ(free_text(" \"my run\" "), "my run");
  EXPECT_EQ(free_text("\" my \"\"run\"\" \""), " my \"run\" ");
  EXPECT_EQ(free_text("\"a\" and \"b\""), "\"a\" and \"b\"");
  EXPECT_EQ(free_text("the \"best\" run"), "the \"best\" run");
  EXPECT_EQ(free_text("\"\""), "");
  EXPECT_EQ(free_text("\""), "\"");
}

TEST(Quoted, ReadsBackAsTheSameValue) {
  for (const std::string value : {"", "a", "a b", " a", "a\"b", "\"a\"", "\"", "a;b", "#", "a ; b", "a\tb", "''"}) {
    EXPECT_THAT(quoted_words(quoted(value), "x"), ElementsAre(value)) << value;
    EXPECT_EQ(free_text(quoted(value)), value);
    EXPECT_EQ(free_text(value_of("title = " + quoted(value) + " ; comment")), value);
  }
  EXPECT_EQ(quoted("file:V.csv"), "file:V.csv");
  EXPECT_EQ(quoted("file:my data/V.csv"), "\"file:my data/V.csv\"");
}

}  // namespace
}  // namespace sharpseek
