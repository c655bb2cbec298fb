#pragma once

/// SHARPSEEK_NAMED(f) is f_<instruction set>: the name of what is compiled for each.
#define SHARPSEEK_NAMED_JOIN(name, isa) name##_##isa
#define SHARPSEEK_NAMED_OF(name, isa) SHARPSEEK_NAMED_JOIN(name, isa)
#define SHARPSEEK_NAMED(name) SHARPSEEK_NAMED_OF(name, SHARPSEEK_LANE_ISA)
