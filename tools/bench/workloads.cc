// The table of workloads.

#include "tools/bench/cell.h"

namespace slipring::bench {

namespace {

constexpr Unit kRate = Unit::kMessagesPerSecond;
constexpr Unit kFlow = Unit::kBytesPerSecond;
constexpr Unit kTime = Unit::kNanoseconds;

std::vector<Workload> ring_workloads() {
  constexpr const char* kOneWay = "One producer, one consumer";
  constexpr const char* kTrips = "Round trip";
  constexpr const char* kProcesses = "Across processes";
  constexpr const char* kRecords = "Records";
  constexpr const char* kBytes = "Byte streams between two processes";
  constexpr const char* kMany = "Many producers, many consumers";
  constexpr const char* kStopped = "A participant stopped inside an operation";
  constexpr const char* kFanOut = "Broadcast";
  constexpr const char* kWaiting = "Waiting";
  constexpr const char* kAlone = "One thread";
  return {
      {"spsc8.1k", "8 B, one at a time, 1024 slots", kOneWay, kRate, 8},
      {"spsc8.64k", "8 B, one at a time, 64 Ki slots", kOneWay, kRate, 8},
      {"spsc8.batch", "8 B, batches of 32, 1024 slots", kOneWay, kRate, 8},
      {"spsc64.1k", "64 B, one at a time, 1024 slots", kOneWay, kRate, 64},
      {"spsc64.64k", "64 B, one at a time, 64 Ki slots", kOneWay, kRate, 64},
      {"spsc64.batch", "64 B, batches of 32, 1024 slots", kOneWay, kRate, 64},
      {"trip8", "8 B there and back", kTrips, kTime, 8},
      {"trip56", "56 B there and back", kTrips, kTime, 56},
      {"trip64", "64 B there and back", kTrips, kTime, 64},
      {"process.spsc8", "8 B, one at a time, 1024 slots, two processes", kProcesses, kRate, 8},
      {"process.spsc64", "64 B, one at a time, 1024 slots, two processes", kProcesses, kRate, 64},
      {"process.trip8", "8 B there and back, two processes", kProcesses, kTime, 8},
      {"process.trip64", "64 B there and back, two processes", kProcesses, kTime, 64},
      {"record16", "16 B", kRecords, kFlow, 16},
      {"record64", "64 B", kRecords, kFlow, 64},
      {"record256", "256 B", kRecords, kFlow, 256},
      {"record1k", "1 KiB", kRecords, kFlow, 1024},
      {"record4k", "4 KiB", kRecords, kFlow, 4096},
      {"record64k", "64 KiB", kRecords, kFlow, 65536},
      {"stream4k", "4 KiB a write", kBytes, kFlow, 4096},
      {"stream64k", "64 KiB a write", kBytes, kFlow, 65536},
      {"stream1m", "1 MiB a write", kBytes, kFlow, 1U << 20},
      {"handle64", "64 B by handle, first line touched", kRecords, kRate, 64},
      {"handle4k", "4 KiB by handle, first line touched", kRecords, kRate, 4096},
      {"handle1m", "1 MiB by handle, first line touched", kRecords, kRate, 1U << 20},
      {"mpmc8.1x1", "8 B, 1 producer, 1 consumer", kMany, kRate, 8},
      {"mpmc8.2x2", "8 B, 2 producers, 2 consumers", kMany, kRate, 8},
      {"mpmc8.4x4", "8 B, 4 producers, 4 consumers", kMany, kRate, 8},
      {"mpmc8.1x4", "8 B, 1 producer, 4 consumers", kMany, kRate, 8},
      {"mpmc8.4x1", "8 B, 4 producers, 1 consumer", kMany, kRate, 8},
      {"mpmc8.8x8", "8 B, 8 producers, 8 consumers", kMany, kRate, 8},
      {"mpmc64.1x1", "64 B, 1 producer, 1 consumer", kMany, kRate, 64},
      {"mpmc64.2x2", "64 B, 2 producers, 2 consumers", kMany, kRate, 64},
      {"mpmc64.4x4", "64 B, 4 producers, 4 consumers", kMany, kRate, 64},
      {"stopped", "8 B, 1 × 1 goes on beside a stopped producer", kStopped, Unit::kRatio, 8},
      {"fan1", "64 B to 1 reader, the writer's cost", kFanOut, kTime, 64},
      {"fan2", "64 B to 2 readers, the writer's cost", kFanOut, kTime, 64},
      {"fan4", "64 B to 4 readers, the writer's cost", kFanOut, kTime, 64},
      {"wake", "Wake from sleep, there and back", kWaiting, kTime, 8},
      {"ready8", "8 B, one at a time, ready to be slept on", kWaiting, kRate, 8},
      {"idle", "Processor use while nothing comes", kWaiting, Unit::kPercent, 8},
      {"alone8", "8 B in and out again", kAlone, kTime, 8},
      {"instructions8", "8 B in and out again, instructions", kAlone, Unit::kInstructions, 8},
  };
}

std::vector<Workload> link_workloads() {
  constexpr const char* kAdapters = "Adapters: out of band";
  constexpr const char* kCalls = "Adapters: calls between two processes";
  constexpr const char* kSenders = "Adapters: many senders, one reader, a process each";
  constexpr const char* kProtection = "Links between two processes, named and guarded";
  return {
      {"call", "64 B there, 64 B back, polled", kCalls, kTime, 64},
      {"call.slept", "64 B there, 64 B back, both may sleep", kCalls, kTime, 64},
      {"call16", "16 calls at a time, polled (percentiles: until all have ended)", kCalls, kRate,
       64},
      {"call16.slept", "16 calls at a time, both may sleep (percentiles: until all have ended)",
       kCalls, kRate, 64},
      {"senders1", "64 B from 1 sender", kSenders, kRate, 64},
      {"senders4", "64 B from 4 senders", kSenders, kRate, 64},
      {"abort256m", "Abort with 256 MiB queued, to the first fresh request", kAdapters, kTime,
       4096},
      {"look.never", "64 B records, no look at the control lane", kAdapters, kRate, 64},
      {"look.1", "64 B records, a look at every one", kAdapters, kRate, 64},
      {"look.16", "64 B records, a look at every 16th", kAdapters, kRate, 64},
      {"link.values8", "Values of 8 B, one at a time", kProtection, kFlow, 8},
      {"link.slots64", "Slots of 64 B", kProtection, kFlow, 64},
      {"link.records1k", "Records of 1 KiB", kProtection, kFlow, 1024},
      {"link.stream4k", "Byte stream, 4 KiB at a time", kProtection, kFlow, 4096},
  };
}

}  // namespace

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> kAll = [] {
    std::vector<Workload> all = ring_workloads();
    for (const Workload& workload : link_workloads()) all.push_back(workload);
    return all;
  }();
  return kAll;
}

}  // namespace slipring::bench
