#include "sharpness/torch_errors.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sharpseek {
namespace {

/// What a user can do about a message that holds `part`.
struct Hint {
  std::string_view part;
  std::string_view advice;
};
constexpr std::array kHints{
    Hint{"derivative for ", "LibTorch has no such derivative, and second derivatives are needed"},
    Hint{"inplace operation", "write h = h + 1 instead of h += 1"},
    Hint{"double-backward", "this operation has no second derivative"},
    Hint{"out of memory", "a lower --chunk or --memory takes less"},
    Hint{"t allocate memory", "a lower --chunk or --memory takes less"},
    Hint{"Unknown builtin op", "LibTorch alone does not have it: an extension's operation?"},
};

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// The first line that is not empty, without indentation.
std::string first_line(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string::npos ? "" : text.substr(first, text.find('\n', first) - first);
}

/// Whether a line is like "RuntimeError: what happened".
bool names_an_error(const std::string& line) {
  const std::size_t colon = line.find(": ");
  return colon != std::string::npos && colon > 0 &&
         std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(colon),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; });
}

/// The interpreter's message is a traceback and then the reason, where its compiler's begins with the reason. Code and
/// places in files follow the line that failed.
std::string without_traceback(const std::string& text) {
  if (!holds(text, "Traceback of TorchScript")) return text;
  // After the marker come lines of code, then the reason.
  const std::size_t here = text.rfind("<--- HERE");
  std::istringstream lines(text.substr(here == std::string::npos ? 0 : here));
  std::string line, last;
  while (std::getline(lines, line)) {
    if (names_an_error(line)) return line;
    if (!first_line(line).empty()) last = line;
  }
  return last;
}

void erase_prefix(std::string& text, std::string_view prefix) {
  if (text.starts_with(prefix)) text.erase(0, prefix.size());
}

/// Up to the end of the first sentence, without its full stop.
std::string first_sentence(std::string text) {
  text.resize(std::min(text.size(), text.find(". ")));
  while (!text.empty() && (text.back() == '.' || std::isspace(static_cast<unsigned char>(text.back())) != 0)) {
    text.pop_back();
  }
  return text;
}

}  // namespace

std::string torch_reason(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return "out of memory; a lower --chunk or --memory takes less";
  }
  // The first line of the message itself: no C++ frames, no traceback of the interpreter.
  const auto* own = dynamic_cast<const c10::Error*>(&error);
  std::string text = own != nullptr ? own->what_without_backtrace() : error.what();
  text.resize(std::min(text.size(), text.find("\nException raised from")));
  text = first_line(without_traceback(text.substr(0, text.find("\nframe #"))));
  // The place in LibTorch's sources and the failed condition say nothing to a user.
  if (text.starts_with("[enforce fail at") && holds(text, "]")) {
    text.erase(0, text.find(']') + 2);
    if (holds(text, ". ")) text.erase(0, text.find(". ") + 2);
  }
  for (const std::string_view prefix : {"RuntimeError: ", "torch.jit.Error: ", "builtins."}) erase_prefix(text, prefix);
  text = first_sentence(std::move(text));
  if (text.empty()) text = "LibTorch gives no reason";
  constexpr std::size_t kLongest = 300;
  if (text.size() > kLongest) {
    text.resize(kLongest);
    text.append(" ...");
  }
  // What to do about it, where that is known.
  for (const Hint& hint : kHints) {
    if (holds(text, hint.part)) return concat(text, " (", hint.advice, ")");
  }
  return text;
}

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  const auto* own = dynamic_cast<const c10::Error*>(&error);  // LibTorch's allocator on a CPU throws no other class
  return own != nullptr && (holds(own->what(), "can't allocate memory") || holds(own->what(), "not enough memory"));
}

void TorchWarnings::process(const c10::Warning& warning) {
  const std::string line = first_sentence(first_line(warning.msg()));
  if (++counts_[line] == 1) order_.push_back(line);
}

std::vector<std::string> TorchWarnings::lines(std::size_t most) const {
  std::vector<std::string> lines;
  for (const std::string& line : order_) {
    if (lines.size() == most) break;
    const std::int64_t count = counts_.at(line);
    lines.push_back(count > 1 ? concat(line, " (", count, " times)") : line);
  }
  return lines;
}

}  // namespace sharpseek
