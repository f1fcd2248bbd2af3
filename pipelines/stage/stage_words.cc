// The words that a stage is started with.
#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "pipelines/stage/error_text.h"
#include "pipelines/stage/stage.h"

namespace slipring {
namespace {

[[nodiscard]] const char* word_of(PortKind kind) {
  switch (kind) {
    case PortKind::kInput:
      return "in";
    case PortKind::kOutput:
      return "out";
    case PortKind::kCommands:
      return "oob";
  }
  return "";
}

// Splits "--key=value"; false when the word has another form.
[[nodiscard]] bool split(std::string_view word, std::string_view& key, std::string_view& value) {
  if (!word.starts_with("--")) return false;
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) return false;
  key = word.substr(2, equals - 2);
  value = word.substr(equals + 1);
  return true;
}

void print_description(const StageDescription& description) {
  printf("program %.*s\n", static_cast<int>(description.program.size()),
         description.program.data());
  printf("purpose %.*s\n", static_cast<int>(description.purpose.size()),
         description.purpose.data());
  for (const PortDescription& port : description.ports) {
    printf("%s %.*s %s %.*s\n", word_of(port.kind), static_cast<int>(port.name.size()),
           port.name.data(), port.required ? "required" : "optional",
           static_cast<int>(port.purpose.size()), port.purpose.data());
  }
  for (const OptionDescription& option : description.options) {
    printf("option %.*s '%.*s' %.*s\n", static_cast<int>(option.name.size()), option.name.data(),
           static_cast<int>(option.default_value.size()), option.default_value.data(),
           static_cast<int>(option.purpose.size()), option.purpose.data());
  }
  if (description.keeps_descriptors) printf("wants keeper\n");
  if (description.waits_in_epoll) printf("wants bell\n");
}

void print_help(const StageDescription& description) {
  printf(
      "%.*s: %.*s\n\nA stage of a pipeline; `slipring run FILE` starts it.  By hand:\n"
      "  %.*s --stage=NAME [--board=SEGMENT] [--in=PORT:SEGMENT]... [--out=PORT:SEGMENT]...\n"
      "      [--oob=PORT:SEGMENT]... [--memlock=require|try|off] [--wait=poll|adaptive|sleep]\n"
      "      [--sandbox=on|off] -- [--OPTION=VALUE]...\n\n",
      static_cast<int>(description.program.size()), description.program.data(),
      static_cast<int>(description.purpose.size()), description.purpose.data(),
      static_cast<int>(description.program.size()), description.program.data());
  print_description(description);
}

}  // namespace

bool Stage::parse(std::span<char* const> words, int& exit_status) {
  bool own_options = false;
  for (const char* word : words) {
    const std::string_view text = word;
    if (!own_options && text == "--") {
      own_options = true;
      continue;
    }
    if (!own_options && text == "--describe") {
      print_description(description_);
      return false;
    }
    if (!own_options && (text == "--help" || text == "-h")) {
      print_help(description_);
      return false;
    }
    if (!(own_options ? take_option(text) : take_setting(text))) {
      exit_status = 2;
      return false;
    }
  }
  if (!check_ports()) {
    exit_status = 2;
    return false;
  }
  return true;
}

bool Stage::take_setting(std::string_view word) {
  std::string_view key;
  std::string_view value;
  if (!split(word, key, value)) {
    complain("not a setting: " + std::string(word) + "; write --KEY=VALUE, see --help");
    return false;
  }
  if (key == "stage") {
    name_ = value;
  } else if (key == "board") {
    board_segment_ = value;
  } else if (key == "in" || key == "out" || key == "oob") {
    const std::size_t colon = value.find(':');
    if (colon == std::string_view::npos) {
      complain("not PORT:SEGMENT: " + std::string(word));
      return false;
    }
    const PortKind kind = key == "in"    ? PortKind::kInput
                          : key == "out" ? PortKind::kOutput
                                         : PortKind::kCommands;
    wanted_.push_back(
        {kind, std::string(value.substr(0, colon)), std::string(value.substr(colon + 1))});
  } else if (key == "keeper" || key == "kept" || key == "bell" || key == "ring") {
    return take_inherited(key, value);
  } else if (key == "memlock" && (value == "require" || value == "try" || value == "off")) {
    memory_lock_ = value == "require" ? MemoryLock::kRequire
                   : value == "try"   ? MemoryLock::kTry
                                      : MemoryLock::kOff;
  } else if (key == "sandbox" && (value == "on" || value == "off")) {
    is_sandboxed_ = value == "on";
  } else if (key == "wait" && (value == "poll" || value == "adaptive" || value == "sleep")) {
    waiter_options_.strategy = value == "poll"       ? WaitStrategy::kPoll
                               : value == "adaptive" ? WaitStrategy::kAdaptive
                                                     : WaitStrategy::kSleep;
  } else {
    complain("unknown setting: " + std::string(word) + "; see --help");
    return false;
  }
  return true;
}

// The descriptors themselves are what the runner says; that they are open is checked.
bool Stage::take_inherited(std::string_view key, std::string_view value) {
  const bool is_named = key == "kept" || key == "ring";
  const std::size_t colon = is_named ? value.find(':') : 0;
  const std::string_view digits =
      is_named && colon != std::string_view::npos ? value.substr(colon + 1) : value;
  int fd = -1;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), fd);
  const bool is_number = fault == std::errc{} && end == digits.data() + digits.size() && fd > 2;
  if (!is_number || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    complain("--" + std::string(key) + "=" + std::string(value) +
             " names no descriptor that was inherited; the runner gives it, leave it away by hand");
    return false;
  }
  if (key == "ring") {
    rung_bells_.emplace_back(std::string(value.substr(0, colon)), fd);
    return true;
  }
  Descriptor descriptor(fd);
  if (key == "keeper") {
    Result<DescriptorKeeper> keeper = DescriptorKeeper::adopt(std::move(descriptor));
    if (!keeper) {
      complain("the descriptor store cannot be used: " + describe_error(keeper.error()));
      return false;
    }
    for (KeptDescriptor& kept : keeper_.take_inherited()) {
      keeper->inherit(std::move(kept.name), std::move(kept.descriptor));
    }
    keeper_ = std::move(keeper).value();
  } else if (key == "kept") {
    keeper_.inherit(std::string(value.substr(0, colon)), std::move(descriptor));
  } else {
    Result<EventBell> bell = EventBell::adopt(std::move(descriptor));
    if (!bell) {
      complain("the event bell cannot be used: " + describe_error(bell.error()));
      return false;
    }
    bell_.emplace(std::move(bell).value());
  }
  return true;
}

bool Stage::take_option(std::string_view word) {
  std::string_view key;
  std::string_view value;
  const bool formed = split(word, key, value);
  const bool known =
      formed && std::any_of(description_.options.begin(), description_.options.end(),
                            [&](const OptionDescription& option) { return option.name == key; });
  if (!known) {
    complain("unknown option: " + std::string(word) + "; " + std::string(description_.program) +
             " --describe lists those there are");
    return false;
  }
  options_.emplace_back(key, value);
  return true;
}

bool Stage::check_ports() const {
  for (const Wanted& wanted : wanted_) {
    const bool known = std::any_of(description_.ports.begin(), description_.ports.end(),
                                   [&](const PortDescription& port) {
                                     return port.name == wanted.port && port.kind == wanted.kind;
                                   });
    if (!known) {
      complain(std::string(description_.program) + " has no " + word_of(wanted.kind) + " port '" +
               wanted.port + "'; --describe lists those there are");
      return false;
    }
  }
  for (const PortDescription& port : description_.ports) {
    const bool there = std::any_of(wanted_.begin(), wanted_.end(), [&](const Wanted& wanted) {
      return port.name == wanted.port && port.kind == wanted.kind;
    });
    if (port.required && !there) {
      complain(std::string("nothing is joined to the ") + word_of(port.kind) + " port '" +
               std::string(port.name) + "', which " + std::string(description_.program) + " needs");
      return false;
    }
  }
  return true;
}

}  // namespace slipring
