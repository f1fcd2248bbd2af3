#include "tests/crash/link/file_scene.h"

#include <stdlib.h>

#include <utility>

#include "platform/memory/segment_file.h"

namespace slipring::crash {
namespace {

// Whether a link that was just made carries messages.
void use_once(Verdict& verdict, const SegmentDirectory& directory, LinkSort sort) {
  Result<Writer> writer = Writer::attach(directory, kLinkName, sort);
  Result<Reader> reader = Reader::attach(directory, kLinkName, sort);
  if (!verdict.expect(writer.ok() && reader.ok(), "a segment that is there cannot be attached")) {
    return;
  }
  Taken taken;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const std::uint64_t number = writer->next_number();
    const bool crossed = writer->put() == Transfer::kDone && reader->take(taken) == Transfer::kDone;
    verdict.expect(crossed && taken.number == number && taken.is_whole, "a fresh link is not one");
    reader->release();
  }
}

// The user tries again: the segment is then there whole, whoever made it.
void create_again(Verdict& verdict, const SegmentDirectory& directory, LinkSort sort) {
  const Status made = create_link(directory, kLinkName, shape_of(sort));
  verdict.expect(made.ok() || made.error().code == ErrorCode::kExists,
                 "create does not work again");
  use_once(verdict, directory, sort);
}

}  // namespace

FileScene::FileScene(const PrivateTmpfs& tmpfs, LinkSort sort, FileAct act)
    : DirectoryScene(tmpfs), sort_(sort), act_(act) {
  if (act == FileAct::kCreate) return;
  if (!create_link(segments(), kLinkName, shape_of(sort))) abort();
  if (act == FileAct::kRemove) return;
  writer_.emplace(std::move(Writer::attach(segments(), kLinkName, sort)).value());
  reader_.emplace(std::move(Reader::attach(segments(), kLinkName, sort)).value());
}

Status FileScene::create() {
  return create_link(segments(), kLinkName, shape_of(sort_));
}

Status FileScene::remove() {
  return remove_segment(segments(), kLinkName);
}

int FileScene::child() {
  const ErrorCode beaten = act_ == FileAct::kCreate ? ErrorCode::kExists : ErrorCode::kNotFound;
  mark();
  const Status done = act_ == FileAct::kCreate ? create() : remove();
  mark();
  return done.ok() ? 0 : done.error().code == beaten ? kExitBusy : 1;
}

void FileScene::others_go_on(Verdict& verdict, const TracedChild&, std::uint64_t turn) {
  pass_one(verdict);
  if (writer_) static_cast<void>(remove_segment(segments(), kLinkName));
  create_again(verdict, segments(), sort_);
  verdict.expect(remove_segment(segments(), kLinkName).ok(), "remove does not work");
  if (turn % 2 == 1) create_again(verdict, segments(), sort_);
}

void FileScene::settle(Verdict& verdict, int exit_status) {
  verdict.expect(exit_status == kWasKilled || exit_status == 0 || exit_status == kExitBusy,
                 "the child does not end well");
  pass_one(verdict);
  writer_.reset();
  reader_.reset();
  create_again(verdict, segments(), sort_);
  verdict.expect(remove_segment(segments(), kLinkName).ok(), "remove does not work");
  expect_nothing_left(verdict);
}

// Who is attached stays attached.
void FileScene::pass_one(Verdict& verdict) {
  if (!writer_) return;
  Taken taken;
  const bool crossed = writer_->put() == Transfer::kDone && reader_->take(taken) == Transfer::kDone;
  verdict.expect(crossed && taken.is_whole, "who is attached has lost the link");
  reader_->release();
}

}  // namespace slipring::crash
