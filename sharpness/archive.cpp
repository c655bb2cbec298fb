#include "sharpness/archive.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace sharpseek {

std::string end_of_archive(const std::string& file) {
  constexpr std::streamoff kBytes = 4 << 20;
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return "";
  const std::streamoff size = in.tellg();
  in.seekg(std::max<std::streamoff>(0, size - kBytes));
  std::string bytes(static_cast<std::size_t>(std::min(size, kBytes)), '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

}  // namespace sharpseek
