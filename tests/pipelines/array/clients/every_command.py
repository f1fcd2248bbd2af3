"""Every command and option that libnbd can send, right and wrong, to one server.

  /usr/bin/python3 every_command.py URI

A line an answer on stdout, the same words for the same answer, so that two servers can be
compared.  Ends with 1 when a byte that is read is not what was written.
"""
import hashlib
import sys

import nbd

URI = sys.argv[1]
KIB, MIB = 1 << 10, 1 << 20
wrong_bytes = 0


def answer(name, call):
    """Says what `call` answers; its value, or None when it is refused."""
    try:
        value = call()
    except nbd.Error as refusal:
        print(f"{name}: error {refusal.errno or 'without a number'}")
        return None
    text = value
    if isinstance(value, (bytes, bytearray)):
        text = f"{len(value)} bytes {hashlib.md5(value).hexdigest()}"
    print(f"{name}: {text}")
    return value


def expect(name, found, wanted):
    global wrong_bytes
    if found is not None and bytes(found) != bytes(wanted):
        wrong_bytes += 1
        print(f"{name}: WRONG BYTES")


def pattern(size, seed):
    block = hashlib.sha512(str(seed).encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def connected(structured=True, strict=True, contexts=True):
    h = nbd.NBD()
    h.set_request_structured_replies(structured)
    if contexts:
        h.add_meta_context("base:allocation")
    if not strict:
        h.set_strict_mode(0)
    h.connect_uri(URI)
    return h


def negotiating():
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.connect_uri(URI)
    return h


def options():
    h = negotiating()
    answer("option LIST", lambda: h.opt_list(lambda name, _: 0))
    answer("option INFO", h.opt_info)
    answer("size by INFO", h.get_size)
    h.add_meta_context("base:")
    answer("option LIST_META_CONTEXT", lambda: h.opt_list_meta_context(lambda name: 0))
    for name in ("no such export", "x" * 4096):
        h.set_export_name(name)
        answer(f"option INFO of an export's name of {len(name)} characters", h.opt_info)
    h.set_export_name("")
    answer("option GO after other names", h.opt_go)
    answer("size after GO", h.get_size)
    h.shutdown()
    h = negotiating()
    answer("option ABORT", h.opt_abort)
    for flags in (0, nbd.HANDSHAKE_FLAG_FIXED_NEWSTYLE, nbd.HANDSHAKE_FLAG_NO_ZEROES):
        h = nbd.NBD()
        h.set_handshake_flags(flags)
        answer(f"connect with handshake flags {flags}", lambda: h.connect_uri(URI))
        answer(f"a read then", lambda: h.pread(512, 0))


def features():
    h = connected()
    for name in ("get_protocol", "get_structured_replies_negotiated", "get_size", "is_read_only",
                 "is_rotational", "can_flush", "can_fua", "can_trim", "can_zero", "can_cache",
                 "can_df", "can_multi_conn", "can_fast_zero"):
        answer(name, getattr(h, name))
    answer("can base:allocation", lambda: h.can_meta_context("base:allocation"))
    for kind, name in ((nbd.SIZE_MINIMUM, "minimum"), (nbd.SIZE_PREFERRED, "preferred"),
                       (nbd.SIZE_MAXIMUM, "maximum")):
        answer(f"block size {name}", lambda: h.get_block_size(kind))


def good(structured):
    h = connected(structured)
    mode = "structured" if structured else "simple"
    places = [(0, 512), (1, 1), (4095, 2), (4096, 4096), (65535, 3), (100_001, 99_999),
              (MIB, MIB), (3 * MIB - 7, 5 * MIB + 13), (h.get_size() - 512, 512),
              (h.get_size() - 1, 1)]
    for offset, size in places:
        data = pattern(size, offset)
        fua = nbd.CMD_FLAG_FUA if offset % 2 else 0
        answer(f"{mode} write {offset} {size}", lambda: h.pwrite(data, offset, fua))
        expect(f"{mode} read {offset} {size}",
               answer(f"{mode} read {offset} {size}", lambda: h.pread(size, offset)), data)
    answer(f"{mode} flush", h.flush)
    answer(f"{mode} cache", lambda: h.cache(MIB, MIB))
    for flags, name in ((0, "zeroes"), (nbd.CMD_FLAG_NO_HOLE, "zeroes, no hole"),
                        (nbd.CMD_FLAG_FUA, "zeroes, FUA")):
        h.pwrite(b"z" * 70_000, 200_000)
        answer(f"{mode} {name}", lambda: h.zero(50_001, 200_003, flags))
        expect(f"{mode} after {name}", h.pread(70_000, 200_000),
               b"zzz" + bytes(50_001) + b"z" * (70_000 - 50_004))
    h.pwrite(b"t" * 3 * 65536, MIB)
    answer(f"{mode} trim", lambda: h.trim(65536, MIB + 65536))
    answer(f"{mode} trim, FUA", lambda: h.trim(65536, MIB + 65536, nbd.CMD_FLAG_FUA))
    # What was beside it stays.
    expect(f"{mode} before a trim", h.pread(65536, MIB), b"t" * 65536)
    expect(f"{mode} behind a trim", h.pread(65536, MIB + 131072), b"t" * 65536)


def pieces():
    h = connected()
    data = pattern(3 * MIB + 5, "pieces")
    h.pwrite(data, 777)
    for flags, name in ((0, "read in pieces"), (nbd.CMD_FLAG_DF, "read in one piece")):
        got = bytearray(len(data) if flags == 0 else 65536)
        count = 0

        def take(chunk, offset, status, _):
            nonlocal count
            count += 1
            if status == nbd.READ_DATA:
                got[offset - 777:offset - 777 + len(chunk)] = chunk
            return 0

        size = len(got)
        answer(name, lambda: h.pread_structured(size, 777, take, flags) and None)
        expect(name, got, data[:size])
        if flags != 0:
            print(f"{name}: {count} pieces")


def extents():
    h = connected()
    h.zero(4 * MIB, 8 * MIB)
    h.pwrite(b"e" * MIB, 9 * MIB)
    for offset, size, flags in ((8 * MIB, 4 * MIB, 0), (8 * MIB, 4 * MIB, nbd.CMD_FLAG_REQ_ONE),
                                (9 * MIB + 1, 511, 0), (h.get_size() - 512, 512, 0)):
        covered = 0

        def take(context, start, entries, _):
            nonlocal covered
            covered += sum(entries[0::2])
            return 0

        answer(f"block status {offset} {size} {flags}",
               lambda: h.block_status(size, offset, take, flags) and None)
        print(f"block status {offset} {size} {flags}: covers {'some' if covered else 'nothing'}")
    h = connected(contexts=False)
    h.set_strict_mode(0)
    answer("block status not asked for before", lambda: h.block_status(512, 0, lambda *_: 0))


def malformed(structured):
    h = connected(structured, strict=False)
    end = h.get_size()
    mode = "structured" if structured else "simple"
    half = bytes(512)
    calls = {
        "read over the end": lambda: h.pread(1024, end - 512),
        "read at the end": lambda: h.pread(512, end),
        "read far beyond": lambda: h.pread(512, (1 << 63) - 512),
        "read of nothing": lambda: h.pread(0, 0),
        "read of 64 MiB": lambda: len(h.pread(64 * MIB, 0)) if end >= 64 * MIB else 64 * MIB,
        "write over the end": lambda: h.pwrite(bytes(1024), end - 512),
        "write at the end": lambda: h.pwrite(half, end),
        "write far beyond": lambda: h.pwrite(half, (1 << 63) - 512),
        "write of nothing": lambda: h.pwrite(b"", 0),
        "write with DF": lambda: h.pwrite(half, 0, nbd.CMD_FLAG_DF),
        "write with NO_HOLE": lambda: h.pwrite(half, 0, nbd.CMD_FLAG_NO_HOLE),
        "read with FUA": lambda: h.pread(512, 0, nbd.CMD_FLAG_FUA),
        "read with an unknown flag": lambda: h.pread(512, 0, 1 << 14),
        "flush with FUA": lambda: h.flush(nbd.CMD_FLAG_FUA),
        "flush with an unknown flag": lambda: h.flush(1 << 14),
        "trim over the end": lambda: h.trim(1024, end - 512),
        "trim of nothing": lambda: h.trim(0, 0),
        "trim with DF": lambda: h.trim(512, 0, nbd.CMD_FLAG_DF),
        "cache over the end": lambda: h.cache(1024, end - 512),
        "cache of nothing": lambda: h.cache(0, 0),
        "zeroes over the end": lambda: h.zero(1024, end - 512),
        "zeroes of nothing": lambda: h.zero(0, 0),
        "zeroes with REQ_ONE": lambda: h.zero(512, 0, nbd.CMD_FLAG_REQ_ONE),
        "block status over the end": lambda: h.block_status(1024, end - 512, lambda *_: 0),
        "block status of nothing": lambda: h.block_status(0, 0, lambda *_: 0),
    }
    if not structured:
        del calls["block status over the end"], calls["block status of nothing"]
    for name, call in calls.items():
        answer(f"{mode} {name}", call)
        # Whoever asks for nonsense is refused, and goes on.
        answer(f"{mode} a read after {name}", lambda: len(h.pread(512, 0)))


def together():
    """64 requests under way on each of three connections, and what one writes the others read."""
    handles = [connected(), connected(), connected(structured=False)]
    size = 8 * KIB
    for connection, h in enumerate(handles):
        cookies = [h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(pattern(size, (connection, i)))),
                                connection * MIB + i * size) for i in range(64)]
        while cookies:
            h.poll(-1)
            cookies = [cookie for cookie in cookies if not h.aio_command_completed(cookie)]
    answer("flush of one of three", handles[1].flush)
    for reader, h in enumerate(handles):
        for writer in range(len(handles)):
            for i in range(64):
                expect(f"connection {reader} reads what {writer} wrote",
                       h.pread(size, writer * MIB + i * size), pattern(size, (writer, i)))
    print("three connections: compared")


options()
features()
for with_structure in (True, False):
    good(with_structure)
    malformed(with_structure)
pieces()
extents()
together()
sys.exit(1 if wrong_bytes else 0)
