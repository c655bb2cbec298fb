#include "experiments/cli/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "core/not_measured.h"

namespace sharpseek {
namespace {

constexpr std::array kBlocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array kSigns{"_", ".", ",", "-", "=", "+", "*", "#"};

/// Means of at most `width` stretches of nearly equal length; NaN where a stretch has no finite value.
std::vector<double> shortened(const std::vector<double>& values, std::size_t width) {
  const std::size_t count = std::min(width, values.size());
  std::vector<double> means(count);
  for (std::size_t i = 0; i < count; ++i) {
    double sum = 0;
    int finite = 0;
    for (std::size_t j = i * values.size() / count; j < (i + 1) * values.size() / count; ++j) {
      if (!std::isfinite(values[j])) continue;
      sum += values[j];
      ++finite;
    }
    means[i] = finite > 0 ? sum / finite : kNotMeasured;
  }
  return means;
}

}  // namespace

std::string sparkline(const std::vector<double>& values, std::size_t width, bool unicode) {
  const std::vector<double> bars = shortened(values, width);
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (double bar : bars) {
    if (!std::isfinite(bar)) continue;
    low = std::min(low, bar);
    high = std::max(high, bar);
  }
  std::string text;
  for (double bar : bars) {
    if (!std::isfinite(bar)) {
      text += ' ';
      continue;
    }
    const double share = high > low ? (bar - low) / (high - low) : 0.0;
    const auto height = static_cast<std::size_t>(std::lround(share * 7));
    text += unicode ? kBlocks[height] : kSigns[height];
  }
  return text;
}

bool terminal_speaks_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string text(value);
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text.find("utf-8") != std::string::npos || text.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace sharpseek
