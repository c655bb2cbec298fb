# Turns a file into a C++ source with its bytes: -DINPUT=... -DOUTPUT=... -DNAME=function -DHEADER=...
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes
  "${bytes}")
file(WRITE ${OUTPUT} "#include \"${HEADER}\"

namespace sharpseek {

std::span<const unsigned char> ${NAME}() {
  static constexpr unsigned char kBytes[] = {
${bytes}};
  return kBytes;
}

}  // namespace sharpseek
")
