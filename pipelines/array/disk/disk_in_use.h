// Which disk a stage has: opened, kept for a successor, failed, and replaced by another.
//
// A disk that failed stays failed, whoever is the stage: its board says so.  So does one whose file
// was removed or cut, or whose device has gone: that is looked at before a sync is answered, at an
// error, and now and then while nothing is asked.  What is opened is kept
// in the runner's descriptor store, since a replaced disk has another name than the options say.  A
// replaced disk is used by nobody before it was asked who it is: whoever took the old one for
// current must not write to this one as if it were it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "pipelines/array/disk/disk_engine.h"
#include "pipelines/array/disk/disk_file.h"
#include "pipelines/link/link_writer.h"
#include "pipelines/stage/stage.h"

namespace slipring::array {

inline constexpr std::uint32_t kDiskDepth = 256;  // requests under way

// One thread.
class DiskInUse {
 public:
  // Both outlive it; `replies` has the pool that is read into.  Requires: the option engine is
  // auto, io_uring or plain.
  DiskInUse(Stage& stage, LinkWriter& replies);

  // A predecessor's disk, or the one that the options name; neither, if it has failed.
  void begin();
  // nullptr: there is none.
  [[nodiscard]] DiskEngine* engine() noexcept { return engine_.get(); }
  [[nodiscard]] int fd() const noexcept { return file_.file.get(); }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return file_.size_bytes; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  [[nodiscard]] bool is_in_use() const noexcept { return is_usable_.get() != 0; }
  [[nodiscard]] bool has_failed() const noexcept { return is_failed_ || engine_ == nullptr; }
  // Replaced, and nobody has asked who it is.
  [[nodiscard]] bool is_unknown() const noexcept { return kept_newness_.get() != 0; }
  void tell_who() noexcept { kept_newness_.set(0); }

  void use_no_more() noexcept;
  // Whether it is still what was opened; false, said and used no more, when it is not.
  [[nodiscard]] bool is_whole();
  // Takes what is at this path in its place; it may be the same block device, which nobody else can
  // have as long as we do.  Requires: nothing is under way.
  void replace(const std::string& path);
  // Before the process ends; false, and said, when what was written may not be there.
  [[nodiscard]] bool close();

 private:
  [[nodiscard]] bool take_kept();
  void open();
  // Ours and the runner's; the runner's goes in its own time.
  void let_go();
  void make_engine();
  void give_up(const std::string& why);

  Stage& stage_;
  LinkWriter& replies_;
  Board::Number is_usable_;
  Board::Number kept_failure_;
  Board::Number kept_newness_;
  std::string path_;
  std::string wanted_engine_;
  DiskFile file_;
  std::unique_ptr<DiskEngine> engine_;
  bool is_failed_ = false;
  bool has_let_go_ = false;
};

}  // namespace slipring::array
