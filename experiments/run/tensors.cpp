#include "experiments/run/tensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "files/samples.h"

namespace sharpseek {

at::Tensor tensor_of(const files::Array& array) {
  at::Tensor values = at::empty(array.shape, array.integers() ? at::kLong : at::kDouble);
  const auto fill = [&](const auto& numbers) {
    std::copy(numbers.begin(), numbers.end(), values.data_ptr<typename std::decay_t<decltype(numbers)>::value_type>());
  };
  std::visit(fill, array.values);
  return values;
}

at::Tensor read_tensor(files::File& file, const std::string& name) {
  const bool integers = files::holds_integers(file, name);
  const std::vector<hsize_t> shape = file.shape(name);
  file.elements(name, shape);  // before they are allocated
  at::Tensor values =
      at::empty(std::vector<std::int64_t>(shape.begin(), shape.end()), integers ? at::kLong : at::kDouble);
  const std::vector<hsize_t> start(shape.size(), 0);
  if (integers) {
    file.read(name, start, shape, values.data_ptr<std::int64_t>());
  } else {
    file.read(name, start, shape, values.data_ptr<double>());
  }
  return values;
}

}  // namespace sharpseek
