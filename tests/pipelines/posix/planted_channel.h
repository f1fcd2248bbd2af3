// A channel of ours with one mistake, so that each property is seen to be missed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tests/pipelines/posix/channel.h"

namespace slipring::posix {

enum class Mistake : std::uint8_t {
  kSwaps,         // two writes change places
  kMerges,        // two messages become one
  kCuts,          // a read stops in the middle of what was written, and drops the rest
  kNeverBlocks,   // an empty or full channel answers that it was done
  kNeverEnds,     // the end looks as if more might come
  kEndsEarly,     // the end comes before what was written last
  kNeverBreaks,   // writing to nobody is done
  kNeverReady,    // poll says nothing
  kAlwaysReady,   // poll says all of it, always
  kStaysFull,     // once full, always full
  kTakesTooMuch,  // what is too long is cut to fit
  kTakesAll,      // a write says that it took all, and took a part
  kTakesHalf,     // a write takes half
  kDropsEmpty,    // a message of no bytes is none
  kWaitsForMore,  // a read waits for as many bytes as it asked for
};
inline constexpr int kMistakeCount = 15;

class PlantedWriter final : public Writer {
 public:
  PlantedWriter(std::unique_ptr<Writer> end, Mistake mistake)
      : end_(std::move(end)), mistake_(mistake) {}

  Answer write(std::string_view bytes) override {
    if (mistake_ == Mistake::kSwaps && !is_holding_) {
      is_holding_ = true;
      held_ = bytes;
      return {Answer::What::kDone, bytes.size()};
    }
    if (mistake_ == Mistake::kMerges && held_.empty()) {
      held_ = bytes;
      return {Answer::What::kDone, bytes.size()};
    }
    if (mistake_ == Mistake::kDropsEmpty && bytes.empty()) return {Answer::What::kDone, 0};
    if (mistake_ == Mistake::kStaysFull && was_full_) return {Answer::What::kBlocked};
    Answer answer{};
    if (mistake_ == Mistake::kMerges) {
      const std::string both = held_ + std::string(bytes);
      held_.clear();
      answer = end_->write(both);
      answer.count = bytes.size();
    } else if (mistake_ == Mistake::kTakesHalf) {
      answer = end_->write(bytes.substr(0, (bytes.size() + 1) / 2));
    } else {
      answer = end_->write(bytes);
    }
    if (is_holding_) {
      static_cast<void>(end_->write(held_));
      is_holding_ = false;
    }
    was_full_ = was_full_ || answer.what == Answer::What::kBlocked;
    return twisted(answer, bytes);
  }
  void begin_poll() override { end_->begin_poll(); }
  bool is_writable() override { return ready(end_->is_writable()); }
  bool is_broken() override { return ready(end_->is_broken()); }
  void end_poll() override { end_->end_poll(); }

 private:
  [[nodiscard]] bool ready(bool is_ready) const {
    if (mistake_ == Mistake::kNeverReady) return false;
    return mistake_ == Mistake::kAlwaysReady || is_ready;
  }
  Answer twisted(const Answer& answer, std::string_view bytes) {
    const Answer all{Answer::What::kDone, bytes.size()};
    if (mistake_ == Mistake::kNeverBlocks && answer.what == Answer::What::kBlocked) return all;
    if (mistake_ == Mistake::kNeverBreaks && answer.what == Answer::What::kBroken) return all;
    if (mistake_ == Mistake::kTakesAll && answer.what == Answer::What::kDone) return all;
    if (mistake_ == Mistake::kTakesTooMuch && answer.what == Answer::What::kTooLong) {
      return end_->write(bytes.substr(0, 100));
    }
    return answer;
  }

  std::unique_ptr<Writer> end_;
  Mistake mistake_;
  std::string held_;
  bool is_holding_ = false;
  bool was_full_ = false;
};

class PlantedReader final : public Reader {
 public:
  PlantedReader(std::unique_ptr<Reader> end, Mistake mistake)
      : end_(std::move(end)), mistake_(mistake) {}

  Answer read(std::string& bytes, std::size_t most) override {
    if (mistake_ == Mistake::kEndsEarly && ++reads_ > 1) {
      std::string rest;
      const Answer answer = end_->read(rest, most);
      if (answer.what == Answer::What::kEnd || is_hung_up()) return {Answer::What::kEnd};
      bytes = rest;
      return answer;
    }
    Answer answer = end_->read(bytes, most);
    if (mistake_ == Mistake::kEndsEarly && is_hung_up()) return {Answer::What::kEnd};
    if (mistake_ == Mistake::kNeverEnds && answer.what == Answer::What::kEnd) {
      return {Answer::What::kBlocked};
    }
    if (mistake_ == Mistake::kNeverBlocks && answer.what == Answer::What::kBlocked) {
      return {Answer::What::kDone, 0};
    }
    if (mistake_ == Mistake::kCuts && answer.what == Answer::What::kDone && answer.count > 1) {
      answer.count /= 2;
      bytes.resize(answer.count);
    }
    if (mistake_ == Mistake::kWaitsForMore && answer.what == Answer::What::kDone &&
        answer.count < most) {
      bytes.clear();
      return {Answer::What::kBlocked};
    }
    return answer;
  }
  void begin_poll() override { end_->begin_poll(); }
  bool is_readable() override { return ready(end_->is_readable()); }
  bool is_hung_up() override { return ready(end_->is_hung_up()); }
  void end_poll() override { end_->end_poll(); }

 private:
  [[nodiscard]] bool ready(bool is_ready) const {
    if (mistake_ == Mistake::kNeverReady) return false;
    return mistake_ == Mistake::kAlwaysReady || is_ready;
  }

  std::unique_ptr<Reader> end_;
  Mistake mistake_;
  int reads_ = 0;
};

class PlantedChannel final : public Channel {
 public:
  PlantedChannel(std::unique_ptr<Channel> channel, Mistake mistake)
      : channel_(std::move(channel)), mistake_(mistake) {}
  std::unique_ptr<Reader> reader() override {
    return std::make_unique<PlantedReader>(channel_->reader(), mistake_);
  }
  std::unique_ptr<Writer> writer() override {
    return std::make_unique<PlantedWriter>(channel_->writer(), mistake_);
  }
  pid_t fork_writer(const std::function<int(Writer&)>& body) override {
    return channel_->fork_writer(body);
  }

 private:
  std::unique_ptr<Channel> channel_;
  Mistake mistake_;
};

}  // namespace slipring::posix
