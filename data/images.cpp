#include "data/images.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "core/text.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIdx = "idx:";
constexpr double kDigitsWhite = 16;
constexpr double kByteWhite = 255;

/// A file that is read through gzip if it is compressed.
class GzFile {
 public:
  explicit GzFile(const fs::path& path) : path_(path.string()), file_(::gzopen(path.c_str(), "rb"), ::gzclose) {
    require(file_ != nullptr, path_, ": cannot be read");
  }
  const std::string& path() const { return path_; }

  /// Fills `bytes`. Throws UserError if the file has fewer, or its compression is damaged.
  void read(std::vector<unsigned char>& bytes) {
    constexpr std::size_t kPiece = std::size_t{1} << 24;
    for (std::size_t done = 0; done < bytes.size();) {
      const auto wanted = static_cast<unsigned>(std::min(kPiece, bytes.size() - done));
      const int found = ::gzread(file_.get(), bytes.data() + done, wanted);
      int status = Z_OK;
      const char* message = ::gzerror(file_.get(), &status);
      require(found >= 0 && (status == Z_OK || status == Z_STREAM_END), path_,
              ": its compressed data are damaged or end early (", message, ")");
      require(found > 0, path_, ": ends after ", read_ + done, " bytes, ", read_ + bytes.size(), " are needed");
      done += static_cast<std::size_t>(found);
    }
    read_ += bytes.size();
  }
  /// Throws UserError if anything follows, or a checksum at the end of a compressed file does not fit.
  void end() {
    unsigned char byte = 0;
    const int found = ::gzread(file_.get(), &byte, 1);
    require(found == 0, path_,
            found > 0 ? ": has more data than its header says" : ": its compressed data are damaged");
  }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
  std::size_t read_ = 0;
};

/// The file of this name in a folder, as it is or compressed; MNIST's sites write a dot for the second hyphen, too.
fs::path idx_file(const fs::path& folder, const std::string& name, const std::string& type) {
  for (const char* separator : {"-", "."}) {
    for (const char* ending : {"", ".gz"}) {
      fs::path path = folder / (name + separator + type + ending);
      std::error_code error;
      if (fs::is_regular_file(path, error)) return path;
    }
  }
  throw UserError(
      concat("data.dataset = ", kIdx, folder.string(), ": holds no ", name, "-", type, " or ", name, "-", type, ".gz"));
}

/// The sizes in the header of an IDX file of bytes with so many dimensions.
std::vector<std::int64_t> read_header(GzFile& file, unsigned dimensions) {
  std::vector<unsigned char> bytes(std::size_t{4} * (1 + dimensions));
  file.read(bytes);
  const auto number = [&](std::size_t i) {
    std::uint32_t value = 0;
    for (std::size_t b = 0; b < 4; ++b) value = value << 8 | bytes[4 * i + b];
    return value;
  };
  const std::uint32_t magic = 0x800 + dimensions;
  require(number(0) == magic, file.path(), ": begins with ", number(0), ", an IDX file of bytes in ", dimensions,
          dimensions == 1 ? " dimension" : " dimensions", " with ", magic);
  std::vector<std::int64_t> sizes;
  for (unsigned d = 1; d <= dimensions; ++d) sizes.push_back(number(d));
  return sizes;
}

void require_room(const std::string& file, std::int64_t images, double pixels) {
  const double bytes = 9 * static_cast<double>(images) * pixels;
  const auto memory = static_cast<double>(available_memory());
  require(memory <= 0 || bytes < memory / 2, file, ": ", images, " images of ", pixels, " pixels take ", bytes / 1e9,
          " GB, more than half of the ", memory / 1e9,
          " GB of memory that are available; data.samples = N takes the first N");
}

/// `part`: train | t10k.
Images read_idx(const fs::path& folder, const std::string& part, std::int64_t count) {
  GzFile images(idx_file(folder, part + "-images", "idx3-ubyte"));
  GzFile labels(idx_file(folder, part + "-labels", "idx1-ubyte"));
  const std::vector<std::int64_t> sizes = read_header(images, 3);
  const std::int64_t labelled = read_header(labels, 1).front();
  require(sizes[0] == labelled, images.path(), ": has ", sizes[0], " images, ", labels.path(), " has ", labelled,
          " labels");
  constexpr std::int64_t kMostSide = 1 << 15;
  require(sizes[0] >= 1 && sizes[1] >= 1 && sizes[2] >= 1 && sizes[1] <= kMostSide && sizes[2] <= kMostSide,
          images.path(), ": has ", sizes[0], " images of ", sizes[1], " x ", sizes[2], " pixels");
  const std::int64_t taken = count > 0 ? std::min(count, sizes[0]) : sizes[0];
  require_room(images.path(), taken, static_cast<double>(sizes[1]) * static_cast<double>(sizes[2]));

  std::vector<unsigned char> pixels(static_cast<std::size_t>(taken * sizes[1] * sizes[2]));
  std::vector<unsigned char> classes(static_cast<std::size_t>(taken));
  images.read(pixels);
  labels.read(classes);
  if (taken == sizes[0]) {
    images.end();
    labels.end();
  }
  Images found{.pixels = Matrix(taken, sizes[1] * sizes[2]),
               .classes = std::vector<int>(classes.begin(), classes.end())};
  std::transform(pixels.begin(), pixels.end(), found.pixels.data(), [](unsigned char p) { return p / kByteWhite; });
  return found;
}

/// What a gzip file in memory holds; ours, so that nothing can be wrong with it.
std::string inflated(std::span<const unsigned char> bytes) {
  z_stream stream{};
  constexpr int kGzip = 16;
  SHARPSEEK_ASSERT(::inflateInit2(&stream, kGzip + MAX_WBITS) == Z_OK);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string text;
  std::array<char, 1 << 16> piece{};
  int status = Z_OK;
  while (status == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
    status = ::inflate(&stream, Z_NO_FLUSH);
    text.append(piece.data(), piece.size() - stream.avail_out);
  }
  ::inflateEnd(&stream);
  SHARPSEEK_ASSERT(status == Z_STREAM_END);
  return text;
}

Images read_digits(std::int64_t count) {
  std::vector<std::string> lines = split(inflated(digits_file()), '\n');
  while (!lines.empty() && trimmed(lines.back()).empty()) lines.pop_back();
  if (count > 0) lines.resize(std::min(lines.size(), static_cast<std::size_t>(count)));
  constexpr std::size_t kPixels = 64;
  Images found{.pixels = Matrix(static_cast<Eigen::Index>(lines.size()), kPixels), .classes = {}};
  double* pixel = found.pixels.data();
  for (const std::string& line : lines) {
    const std::vector<std::string> fields = split(line, ',');
    SHARPSEEK_ASSERT(fields.size() == kPixels + 1);
    for (std::size_t i = 0; i < kPixels; ++i) *pixel++ = parse_double(fields[i]).value_or(0) / kDigitsWhite;
    found.classes.push_back(static_cast<int>(parse_double(fields[kPixels]).value_or(0)));
  }
  return found;
}

}  // namespace

bool names_images(const std::string& dataset) { return dataset == "digits" || dataset.starts_with(kIdx); }

Images read_images(const std::string& dataset, std::int64_t count) {
  SHARPSEEK_ASSERT(names_images(dataset));
  return dataset == "digits" ? read_digits(count) : read_idx(dataset.substr(kIdx.size()), "train", count);
}

Images read_test_images(const std::string& dataset, std::int64_t count) {
  SHARPSEEK_ASSERT(names_images(dataset) && count >= 1);
  Images found = dataset == "digits" ? read_digits(0) : read_idx(dataset.substr(kIdx.size()), "t10k", count);
  require(count <= found.pixels.rows(), "data.test = ", count, ": data.dataset = ", dataset, " has ",
          found.pixels.rows(), dataset == "digits" ? " images" : " test images");
  found.pixels = found.pixels.bottomRows(count).eval();
  found.classes.erase(found.classes.begin(), found.classes.end() - count);
  return found;
}

std::int64_t count_images(const std::string& dataset) {
  if (dataset == "digits") return read_digits(0).pixels.rows();
  GzFile images(idx_file(dataset.substr(kIdx.size()), "train-images", "idx3-ubyte"));
  return read_header(images, 3).front();
}

}  // namespace sharpseek
