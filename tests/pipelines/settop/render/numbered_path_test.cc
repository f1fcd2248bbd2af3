#include "pipelines/settop/render/numbered_path.h"

#include <doctest/doctest.h>

namespace slipring::settop {
namespace {

TEST_CASE("numbered_path: the number stands before the extension of the last part") {
  CHECK(numbered_path("film.y4m", 0) == "film.y4m");
  CHECK(numbered_path("film.y4m", 1) == "film.y4m");
  CHECK(numbered_path("film.y4m", 2) == "film-2.y4m");
  CHECK(numbered_path("/out.d/film", 3) == "/out.d/film-3");
  CHECK(numbered_path("out.d/film.a.y4m", 12) == "out.d/film.a-12.y4m");
  CHECK(numbered_path("/out/.film", 2) == "/out/.film-2");
}

}  // namespace
}  // namespace slipring::settop
