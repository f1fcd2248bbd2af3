// A link's segment made or removed by the child, while others make and remove the same name.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/crash/link/link_scene.h"

namespace slipring::crash {

enum class FileAct : std::uint8_t { kCreate, kRemove, kRemoveAttached };

class FileScene : public DirectoryScene {
 public:
  FileScene(const PrivateTmpfs& tmpfs, LinkSort sort, FileAct act);
  int child() override;
  // Every second time the segment is there when the stopped child goes on.
  void others_go_on(Verdict& verdict, const TracedChild& child, std::uint64_t turn) override;
  void settle(Verdict& verdict, int exit_status) override;

 protected:
  // What the child does; a planted bug puts its own here.
  [[nodiscard]] virtual Status create();
  [[nodiscard]] virtual Status remove();

 private:
  void pass_one(Verdict& verdict);

  LinkSort sort_;
  FileAct act_;
  std::optional<Writer> writer_;
  std::optional<Reader> reader_;
};

}  // namespace slipring::crash
