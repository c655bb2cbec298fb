#include "files/checked_copy.h"

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek::files {
namespace {

constexpr hsize_t kElementsAtOnce = hsize_t{1} << 22;

std::vector<hsize_t> target_shape(const VariableInfo& info, const Lengths& lengths) {
  std::vector<hsize_t> shape = info.shape;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto changed = lengths.find(info.dimensions[i]);
    if (changed != lengths.end()) shape[i] = changed->second;
  }
  return shape;
}

/// Calls visit(start, count, values) for blocks of rows of the part `shape` of a variable.
template <class T>
void for_each_rows(
    File& file, const std::string& name, const std::vector<hsize_t>& shape,
    const std::function<void(const std::vector<hsize_t>&, const std::vector<hsize_t>&, const std::vector<T>&)>& visit) {
  std::vector<T> values;
  if (shape.empty()) {
    values.resize(1);
    file.read(name, {}, {}, values.data());
    visit({}, {}, values);
    return;
  }
  const hsize_t row = file.elements(name, {shape.begin() + 1, shape.end()});
  if (row == 0) return;
  const hsize_t rows = rows_at_once(file, name, row);
  for (hsize_t first = 0; first < shape[0]; first += rows) {
    std::vector<hsize_t> start(shape.size(), 0);
    std::vector<hsize_t> count = shape;
    start[0] = first;
    count[0] = std::min(rows, shape[0] - first);
    values.resize(file.elements(name, count));
    file.read(name, start, count, values.data());
    visit(start, count, values);
  }
}

template <class T>
void copy_typed(File& source, File& target, const VariableInfo& info, hsize_t first, Checksum& sum) {
  std::vector<hsize_t> shape = target.shape(info.name);
  for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = i == 0 ? info.shape[0] : std::min(shape[i], info.shape[i]);
  if (!shape.empty()) shape[0] = std::min(shape[0], target.shape(info.name)[0] - first);
  for_each_rows<T>(source, info.name, shape, [&](std::vector<hsize_t> start, const auto& count, const auto& values) {
    if (!start.empty()) start[0] += first;
    target.write(info.name, start, count, values.data());
    sum.add(std::span<const T>(values));
  });
}

template <class T>
void sum_typed(File& file, const VariableInfo& info, Checksum& sum) {
  for_each_rows<T>(file, info.name, info.shape,
                   [&](const auto&, const auto&, const auto& values) { sum.add(std::span<const T>(values)); });
}

}  // namespace

hsize_t rows_at_once(File& file, const std::string& variable, hsize_t row) {
  const hsize_t chunk = std::max<hsize_t>(1, file.chunk(variable).front());
  const hsize_t rows = std::max<hsize_t>(1, kElementsAtOnce / std::max<hsize_t>(1, row));
  return rows >= chunk ? rows / chunk * chunk : rows;
}

void define_like(File& source, File& target, const VariableInfo& info, const Lengths& lengths) {
  const std::size_t slash = info.name.rfind('/');
  if (slash != std::string::npos && !target.has(info.name.substr(0, slash))) target.group(info.name.substr(0, slash));
  const std::vector<hsize_t> shape = target_shape(info, lengths);
  const bool own_dimension = info.dimensions == std::vector<std::string>{info.name};
  switch (info.kind) {
    case Kind::kBareDimension: target.define({info.name, shape.front()}); break;
    case Kind::kNumber: target.variable(info.name, info.dimensions); break;
    case Kind::kInteger: target.integer_variable(info.name, info.dimensions); break;
    case Kind::kText:
      if (own_dimension) {
        target.coordinate(info.name, source.texts(info.name));
      } else {
        target.string_variable(info.name, info.dimensions.front(), source.texts(info.name));
      }
      break;
  }
  if (info.kind != Kind::kBareDimension) target.copy_attributes(source, info.name, {kChecksumAttribute});
}

void copy_rows(File& source, File& target, const VariableInfo& info, hsize_t first, Checksum& sum) {
  if (info.kind == Kind::kNumber) copy_typed<double>(source, target, info, first, sum);
  if (info.kind == Kind::kInteger) copy_typed<std::int64_t>(source, target, info, first, sum);
}

void rewrite(File& source, File& target, const Lengths& lengths) {
  target.copy_attributes(source, "/");
  for (const VariableInfo& info : source.variables()) {
    define_like(source, target, info, lengths);
    if (info.kind == Kind::kBareDimension || info.kind == Kind::kText) continue;
    Checksum sum;
    copy_rows(source, target, info, 0, sum);
    const bool over_time = std::find(info.dimensions.begin(), info.dimensions.end(), "time") != info.dimensions.end();
    if (over_time) target.attribute(info.name, kChecksumAttribute, std::vector<std::int64_t>{sum.value()});
  }
}

std::int64_t variable_checksum(File& file, const VariableInfo& info) {
  Checksum sum;
  switch (info.kind) {
    case Kind::kNumber: sum_typed<double>(file, info, sum); break;
    case Kind::kInteger: sum_typed<std::int64_t>(file, info, sum); break;
    case Kind::kText:
      for (const std::string& text : file.texts(info.name)) sum.add(text);
      break;
    case Kind::kBareDimension: break;
  }
  return sum.value();
}

void add_checksums(File& file) {
  for (const VariableInfo& info : file.variables()) {
    if (info.kind == Kind::kBareDimension || file.has_attribute(info.name, kChecksumAttribute)) continue;
    file.attribute(info.name, kChecksumAttribute, std::vector<std::int64_t>{variable_checksum(file, info)});
  }
}

}  // namespace sharpseek::files
