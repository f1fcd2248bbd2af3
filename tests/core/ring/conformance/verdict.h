// What a run of checks found: collected, not thrown, so that a test can also assert that a broken
// ring is found to be broken.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace slipring {

class Verdict {
 public:
  // What is being tried, for the report: the check, the ring's shape, and numbers of the check's.
  struct Scene {
    std::string_view check;
    std::uint64_t capacity = 0;
    std::uint64_t message_bytes = 0;
    std::uint64_t start_position = 0;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
  };

  void enter(const Scene& scene) {
    scene_ = scene;
    ++scene_count_;
  }

  // Answers `holds`, so that a check can leave a scene that has come apart.
  bool expect(bool holds, std::string_view what) {
    ++expectation_count_;
    if (holds) return true;
    ++failure_count_;
    if (failures_.size() < kKeptFailures) failures_.push_back(describe(what));
    return false;
  }

  [[nodiscard]] std::uint64_t scene_count() const { return scene_count_; }
  [[nodiscard]] std::uint64_t expectation_count() const { return expectation_count_; }
  [[nodiscard]] std::uint64_t failure_count() const { return failure_count_; }
  // The first few.
  [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }

 private:
  static constexpr std::size_t kKeptFailures = 5;

  [[nodiscard]] std::string describe(std::string_view what) const {
    std::string text(scene_.check);
    text += ": ";
    text += what;
    text += " (capacity " + std::to_string(scene_.capacity);
    text += ", message " + std::to_string(scene_.message_bytes);
    text += ", start " + std::to_string(scene_.start_position);
    text += ", a " + std::to_string(scene_.a) + ", b " + std::to_string(scene_.b) + ")";
    return text;
  }

  Scene scene_;
  std::uint64_t scene_count_ = 0;
  std::uint64_t expectation_count_ = 0;
  std::uint64_t failure_count_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace slipring
