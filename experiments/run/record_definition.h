#pragma once

#include <vector>

#include "data/noise.h"
#include "data/task.h"
#include "experiments/run/record_layout.h"
#include "files/netcdf_file.h"

namespace sharpseek {

/// Defines a new run file: attributes, dimensions, coordinates, the variables over time without values, and what the
/// task is.
void define_record(files::File& file, const RecordLayout& layout, const Task& task, const std::vector<Noise>& noise);

}  // namespace sharpseek
