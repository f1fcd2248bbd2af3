// The array's front end: clients on sockets, the back end on two links, one thread between them.
//
// What outlives the process is described in pipelines/array/ARRAY.md: the clients' sockets and the
// front's memory are in the runner's descriptor store, and a successor takes both over.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error/result.h"
#include "pipelines/adapter/tls_channel.h"
#include "pipelines/array/nbd/connection.h"
#include "pipelines/array/nbd/front_memory.h"
#include "pipelines/array/nbd/link_block_port.h"
#include "pipelines/array/nbd/piece_table.h"
#include "pipelines/array/nbd/tls_stream.h"
#include "pipelines/stage/stage.h"
#include "platform/process/descriptor.h"

namespace slipring::array {

struct FrontOptions {
  std::string unix_path;             // empty: none
  std::string tcp_address;           // empty: none
  std::vector<std::string> exports;  // names; the index is the export's number
  TlsPolicy tls = TlsPolicy::kOff;
  std::optional<TlsContext> tls_context;     // unless kOff
  std::uint64_t stalled_ns = 5'000'000'000;  // see make_room()
  std::uint32_t clients_an_address = kEnteredCountMax;
};

// A client that has not chosen an export by then is hung up on.
inline constexpr std::uint64_t kHagglingNs = 30'000'000'000;

class Front final : private ExportGate {
 public:
  // The stage outlives the front.
  Front(Stage& stage, FrontOptions options);

  // Serves until the end of the run; answers the process's exit status.
  int run();

 private:
  struct Client {
    std::unique_ptr<Connection> connection;
    Descriptor socket;
    std::unique_ptr<TlsStream> stream;  // once TLS has begun
    bool is_readable = false;
    bool is_writable = false;
    bool has_just_come = false;      // all that had come was read
    std::uint64_t unread_count = 0;  // replies sent since the client had last read all
    bool is_ending = false;          // the client has finished, or is gone
    bool is_kept_out = false;
    bool waits = false;  // for a place, a buffer, or the client's reading
    std::uint64_t haggles_until_ns = 0;
    std::uint64_t came_ns = 0;   // to this process
    std::uint64_t heard_ns = 0;  // when bytes came last
    std::string address;         // listeners.h
  };

  // Tags of epoll events that are no client's index.
  static constexpr std::uint64_t kBellTag = 1U << 20;
  static constexpr std::uint64_t kKeeperTag = kBellTag + 1;

  [[nodiscard]] bool begin();
  [[nodiscard]] bool take_over(std::vector<KeptDescriptor>& inherited);
  [[nodiscard]] bool make_listener(std::vector<KeptDescriptor>& inherited, const char* name,
                                   const std::string& where, bool is_unix);
  [[nodiscard]] bool watch(int fd, std::uint32_t events, std::uint64_t tag);
  void resume_clients(std::vector<KeptDescriptor>& inherited);
  void describe_exports();
  [[nodiscard]] bool ask_for(std::uint16_t export_number);

  void take_accepted();
  void admit(KeptDescriptor accepted);
  // Those that wait for the place of somebody who has gone, as there are places now.
  void admit_waiting();
  [[nodiscard]] std::uint32_t count_in(Phase phase) const;
  // A place for a newcomer, when all are taken; kConnectionCountMax: there is none.  Who gives way
  // has been choosing, or has said half of something and no more, for at least options_.stalled_ns.
  [[nodiscard]] std::uint32_t make_room();
  // kConnectionCountMax: nobody.
  [[nodiscard]] std::uint32_t choosing_longest() const;
  [[nodiscard]] std::uint32_t stalled_longest() const;
  [[nodiscard]] bool has_stalled(std::uint32_t index) const;
  // Whether its place is free at once.
  [[nodiscard]] bool show_out(std::uint32_t index, const char* why, std::uint64_t since_ns);
  [[nodiscard]] std::string_view refusal(std::uint32_t connection) override;
  [[nodiscard]] bool may_enter(std::uint32_t index, std::string& why);
  void attach_socket(std::uint32_t index, Descriptor socket);
  void share_out();
  [[nodiscard]] bool shake_hands(std::uint32_t index);

  [[nodiscard]] bool take_replies();
  void take_description(std::uint32_t piece);
  [[nodiscard]] bool serve_all();
  [[nodiscard]] bool serve(std::uint32_t index);
  void send_all();
  void close_client(std::uint32_t index);
  void release_if_over(std::uint32_t index);
  void look_at_deadlines();
  void obey(const Command& command);
  [[nodiscard]] bool obey_for(std::string_view verb, std::uint32_t index);
  [[nodiscard]] bool abort_client(std::uint32_t index);
  [[nodiscard]] bool expect_more();
  void wait(bool is_busy);
  void note_numbers();
  void fail(const char* what);

  Stage& stage_;
  FrontOptions options_;
  LinkWriter& requests_;
  LinkReader& replies_;
  LinkBlockPort port_;
  LinkWriter* aborts_;  // nullptr: the back end takes none
  std::optional<FrontMemoryFile> file_;
  std::optional<SpillMemoryFile> spill_;
  std::optional<PieceTable> pieces_;
  std::optional<FrontContext> context_;
  std::array<Client, kConnectionCountMax> clients_;
  // Accepted, and not greeted: no more than there are places that the back end will set free.
  std::deque<KeptDescriptor> waiting_;
  std::string refusal_;  // what refusal() answered last
  Descriptor epoll_;
  std::vector<Descriptor> listeners_;
  std::uint64_t next_deadline_look_ns_ = 0;
  // Of all clients.  One that is behind is no client of single requests, however few are under way.
  std::uint64_t unread_count_ = 0;
  int rounds_without_events_ = 0;
  bool failed_ = false;
  bool is_starved_ = false;  // some client waits
  Board::Number clients_number_;
  Board::Number requests_number_;
  Board::Number refused_number_;
  Board::Number hang_ups_number_;
  Board::Number dropped_number_;
  Board::Number spilled_number_;
  Board::Number under_way_number_;
  Board::Number encrypted_number_;
  Board::Number failed_handshakes_number_;
  Board::Number resumed_number_;
  Board::Number gave_way_number_;
  Board::Number turned_away_number_;
  Board::Number kept_out_number_;
  Board::Number waiting_number_;
};

}  // namespace slipring::array
