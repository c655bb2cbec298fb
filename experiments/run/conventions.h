#pragma once

#include "files/netcdf_file.h"

namespace sharpseek {

/// Writes what the CF conventions say about a file whose variables exist: the attribute `Conventions`, and on each
/// variable with an error estimate or a bound the attribute `ancillary_variables`, which names those of `NAME_error`,
/// `NAME_residuals`, `NAME_half_width` (NAME in the singular, too) and, of `NAME_mean`, `NAME_standard_error` that are
/// there. Variables that have the attribute keep it.
void write_conventions(files::File& file);

}  // namespace sharpseek
