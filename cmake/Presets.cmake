# Turns the preset files into a C++ source: -DOUTPUT=... -DFOLDER=... -DFILES=quick/a.ini;quick/b.ini
set(entries "")
foreach(file ${FILES})
  file(READ ${FOLDER}/${file} text)
  string(APPEND entries "    {\"${file}\", R\"preset(${text})preset\"},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"experiments/config/presets.h\"

namespace sharpseek {

std::span<const PresetFile> preset_files() {
  static const std::vector<PresetFile> files{
${entries}  };
  return files;
}

}  // namespace sharpseek
")
