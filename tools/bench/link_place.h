// A link for a measurement, in a directory of its own in /dev/shm, named or guarded by a broker in
// a process of its own.
//
// Gone with the process that made it, even where the object lies in an arena and is never
// destroyed.
#pragma once

#include <sys/types.h>

#include <string>

#include "pipelines/link/link_layout.h"
#include "platform/memory/segment_directory.h"

namespace slipring::bench {

class LinkPlace {
 public:
  static constexpr const char* kName = "bench.link";

  LinkPlace(const LinkShape& shape, bool is_guarded);
  // The directory alone, for links that others make.
  LinkPlace();
  LinkPlace(const LinkPlace&) = delete;
  LinkPlace& operator=(const LinkPlace&) = delete;
  ~LinkPlace();

  // False where there was no memory for it.
  [[nodiscard]] bool is_there() const { return is_there_; }
  [[nodiscard]] SegmentDirectory directory() const;

 private:
  void start_broker(const LinkShape& shape);

  std::string path_;
  pid_t maker_ = 0;
  pid_t broker_ = 0;
  bool is_there_ = false;
};

}  // namespace slipring::bench
