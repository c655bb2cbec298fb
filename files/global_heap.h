#pragma once

#include <cstdint>
#include <string>

namespace sharpseek::files {

/// Looks whether the `count` strings of any length whose references lie from byte `offset` of a file on can be read:
/// whether each refers to an object of its length in a sound global heap. HDF5 1.10 does not look, and copies whatever
/// a damaged heap names. Throws UserError naming the file and `variable`. Layouts: HDF5 File Format Specification 3,
/// III.E "Global Heap" and IV.A.2.d "Datatype Message", version 1, with lengths and addresses of 8 bytes.
void check_strings(const std::string& path, const std::string& variable, std::uint64_t offset, std::uint64_t count);

}  // namespace sharpseek::files
