// Which slipring this is.  The segment layout has a version of its own (core/segment).
#pragma once

namespace slipring::tools {

inline constexpr const char* kProgramVersion = "0.1.0";
inline constexpr const char* kProgramDate = "2026-11-25";  // of the manual pages

}  // namespace slipring::tools
