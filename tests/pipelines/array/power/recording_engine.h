// An engine that notes what begins and ends, and lets another one do it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/array/disk/disk_engine.h"
#include "tests/pipelines/array/power/power_record.h"

namespace slipring::array::test {

class RecordingEngine final : public DiskEngine {
 public:
  RecordingEngine(std::unique_ptr<DiskEngine> engine, const std::string& path, std::uint32_t member)
      : engine_(std::move(engine)), record_(path), member_(member) {}

  [[nodiscard]] const char* name() const noexcept override { return engine_->name(); }

  void start(EngineTask& task) noexcept override {
    if (task.operation == EngineOperation::kRead) {
      engine_->start(task);
      return;
    }
    PowerEvent event;
    event.kind = task.operation == EngineOperation::kSync           ? EventKind::kSyncBegins
                 : task.operation == EngineOperation::kWriteDurable ? EventKind::kDurableWriteBegins
                                                                    : EventKind::kWriteBegins;
    event.member = member_;
    event.offset_bytes = task.offset_bytes;
    event.length_bytes = task.length_bytes;
    under_way_.emplace_back(record_.note(event, task.bytes), &task);
    engine_->start(task);
    note_ends();
  }

  void turn(bool waits) noexcept override {
    engine_->turn(waits);
    note_ends();
  }

 private:
  void note_ends() {
    std::erase_if(under_way_, [this](const auto& one) {
      if (!one.second->is_done) return false;
      PowerEvent event;
      event.member = member_;
      event.begin = one.first;
      event.error = static_cast<std::uint32_t>(one.second->error);
      record_.note(event);
      return true;
    });
  }

  std::unique_ptr<DiskEngine> engine_;
  PowerRecord record_;
  std::uint32_t member_;
  std::vector<std::pair<std::uint64_t, EngineTask*>> under_way_;
};

}  // namespace slipring::array::test
