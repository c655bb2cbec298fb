#pragma once

#include "experiments/prepare.h"
#include "experiments/record.h"

namespace sharpseek {

/// Writes what theory predicts for each replica into the run file, as variables [replica]: closed_form_* and commutes.
/// NaN where no global minimum exists (width below the teacher's rank); nothing at all where the theory does not apply.
void record_predictions(const PreparedGroup& prepared, RunRecord& record);

}  // namespace sharpseek
