"""A device of this process that speaks adb's transport protocol, so that the real adb can reach it.

Protocol: https://android.googlesource.com/platform/packages/modules/adb/+/refs/heads/main/protocol.txt.
Commands run in this machine's own shell. ``/data/local/tmp`` is a folder of the test, and small programs
answer as Android's do.
"""

import itertools
import os
import queue
import re
import shlex
import signal
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bertmobile_bench.processes import Closing

TEMPORARY = "/data/local/tmp"
PHONE = {
    "ro.build.version.release": "15",
    "ro.product.manufacturer": "Acme",
    "ro.product.model": "Phone 9",
    "ro.soc.manufacturer": "Acme",
    "ro.soc.model": "A1",
    "ro.build.fingerprint": "acme/phone9/phone9:15/AAAA.1/1:user/release-keys",
    "ro.product.cpu.abi": "x86_64",
}
SERVICES = {
    "battery": "  level: 80\n",
    "thermalservice": "Thermal Status: 0\n",
    "power": "  mWakefulness=Awake\n",
}

# What adbd speaks that checks no sums.
_VERSION = 0x01000001
_MOST_BYTES = 1 << 18
_AUTH_TOKEN, _AUTH_PUBLIC_KEY, _AUTH_TOKEN_BYTES = 1, 3, 20
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_SYNC_BYTES = 1 << 16

# In front of the PATH of a device that is a phone.
_PROGRAMS = {
    "getprop": 'cat {state}/property."$1" 2>/dev/null || echo',
    # A service with several answers gives them in turn, and then the last again and again.
    "dumpsys": """
set -- {state}/service."$1".*
cat "$1" || exit
[ $# -eq 1 ] || rm "$1"
""",
    "cmd": 'echo "$*" >> {state}/cmd.log',
}


@dataclass(frozen=True)
class Faults:
    """What goes wrong.

    Attributes:
        unauthorized: its owner does not accept any key.
        state: what it says that it is.
        shell_v2: whether its shell keeps exit codes and stderr apart.
        drop_at: ends the connection, for good, when a service is asked for whose name holds this.
        drop_after_bytes: the same when it has received so many.
        full: takes no file.
        damages: names of files that arrive with another byte.
        garbage: is printed before whatever a command prints.
    """

    unauthorized: bool = False
    state: str = "device"
    shell_v2: bool = True
    drop_at: str | None = None
    drop_after_bytes: int | None = None
    full: bool = False
    damages: str | None = None
    garbage: str = ""


@dataclass
class FakeDevice(Closing):
    """Listens on a port of its own until its context ends, and ends what runs on it then.

    Args:
        folder: of the test, for what is on the device.
        properties: of Android; a device without any is no phone.
        services: what ``dumpsys`` prints of each; several answers one after the other.
        faults: what goes wrong.

    Attributes:
        asked: names of all services that were asked for.
    """

    folder: Path
    properties: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str | list[str]] = field(default_factory=dict)
    faults: Faults = Faults()
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.temporary, self._programs, self._state = (self.folder / name for name in ("tmp", "bin", "state"))
        for folder in (self.temporary, self._programs, self._state):
            folder.mkdir(parents=True)
        if self.properties:
            self._pretend()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[_Connection] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _pretend(self) -> None:
        for name, script in _PROGRAMS.items():
            self.program(name, script.format(state=shlex.quote(str(self._state))))
        for name, value in self.properties.items():
            (self._state / f"property.{name}").write_text(value + "\n")
        for name, answers in self.services.items():
            for number, answer in enumerate([answers] if isinstance(answers, str) else answers):
                (self._state / f"service.{name}.{number}").write_text(answer)

    def program(self, name: str, script: str) -> None:
        """Give it a program, before those of the machine."""
        path = self._programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    @property
    def commanded(self) -> list[str]:
        """Arguments of each call of Android's ``cmd``."""
        log = self._state / "cmd.log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def running(self) -> list[int]:
        """Ids of the processes that were started on it, or by these."""
        sessions = {process.pid for process in self._processes}
        return [pid for pid, session in _sessions() if session in sessions]

    @property
    def left(self) -> list[str]:
        """Names in its folder for temporary files."""
        return sorted(path.name for path in self.temporary.iterdir())

    def local(self, path: str) -> str:
        """A path or a command of the device, for this machine."""
        return path.replace(TEMPORARY, str(self.temporary))

    def start(self, command: str, errors: int) -> "subprocess.Popen[bytes]":
        """Start a command in a session of its own, as adbd does."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", self.faults.garbage + self.local(command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PATH": f"{self._programs}:{os.environ['PATH']}"},
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def drop(self) -> None:
        """End the connection, and take no other."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.end()

    def close(self) -> None:
        """End the device and all that runs on it."""
        self.drop()
        for pid in self.running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()

    def _listen(self) -> None:
        with suppress(OSError):  # the end
            while True:
                connection = _Connection(self, self._listener.accept()[0])
                # Known before it answers: whoever hears from it may drop it.
                self._connections.append(connection)
                connection.start()


def _sessions() -> Iterator[tuple[int, int]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of the program before the last parenthesis may hold anything.
            status, _, _, session, *_ = path.read_text(errors="replace").rpartition(")")[2].split()
            if status != "Z":
                yield int(path.parent.name), int(session)


class _Connection:
    """A connection with an adb server: hands what it says to the streams that are open."""

    def __init__(self, device: FakeDevice, peer: socket.socket) -> None:
        self.device = device
        self._peer, self._lock = peer, threading.Lock()
        self._streams: dict[int, _Stream] = {}
        self._numbers = itertools.count(1)
        self._received = 0

    def start(self) -> None:
        """Answer, from now on."""
        threading.Thread(target=self._serve, daemon=True).start()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        number = int.from_bytes(command, "little")
        head = struct.pack("<6I", number, first, second, len(data), sum(data), number ^ 0xFFFFFFFF)
        with self._lock, suppress(OSError):  # the peer is gone, which the reader notices
            self._peer.sendall(head + data)

    def end(self) -> None:
        with suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)

    def forget(self, number: int) -> None:
        self._streams.pop(number, None)

    def _serve(self) -> None:
        with self._peer, self._peer.makefile("rb") as file, suppress(OSError):
            while len(head := file.read(24)) == 24:
                name, first, second, size = struct.unpack("<4s3I", head[:16])
                self._take(name, first, second, file.read(size))
        for stream in list(self._streams.values()):
            stream.close()

    def _take(self, name: bytes, first: int, second: int, data: bytes) -> None:
        faults = self.device.faults
        self._received += len(data)
        if faults.drop_after_bytes is not None and self._received > faults.drop_after_bytes:
            self.device.drop()
        elif name in (b"CNXN", b"AUTH") and faults.unauthorized:
            # The answer to a new key waits for the owner.
            if first != _AUTH_PUBLIC_KEY or name == b"CNXN":
                self.send(b"AUTH", _AUTH_TOKEN, 0, bytes(_AUTH_TOKEN_BYTES))
        elif name == b"CNXN":
            features = "shell_v2" if faults.shell_v2 else ""
            self.send(b"CNXN", _VERSION, _MOST_BYTES, f"{faults.state}::features={features}".encode())
        elif name == b"OPEN":
            self._open(first, data.rstrip(b"\0").decode())
        elif stream := self._streams.get(second):
            stream.take(name, data)

    def _open(self, peer: int, service: str) -> None:
        device = self.device
        device.asked.append(service)
        kind, _, command = service.partition(":")
        kind, *options = kind.split(",")
        if device.faults.drop_at is not None and device.faults.drop_at in service:
            device.drop()
        elif kind not in ("shell", "sync"):
            self.send(b"CLSE", 0, peer)
        else:
            number = next(self._numbers)
            stream = self._streams[number] = _Stream(self, number, peer)
            self.send(b"OKAY", number, peer)
            shell_v2 = "v2" in options
            served = _Sync(device, stream) if kind == "sync" else _Shell(device, stream, command, shell_v2)
            threading.Thread(target=served.serve, daemon=True).start()


class _Stream:
    """Bytes in both directions; the peer acknowledges each write before the next."""

    def __init__(self, connection: _Connection, number: int, peer: int) -> None:
        self._connection, self._number, self._peer = connection, number, peer
        self._came: queue.Queue[bytes | None] = queue.Queue()
        self._rest = b""
        self._acknowledged = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._closed = False

    def take(self, name: bytes, data: bytes) -> None:
        if name == b"WRTE":
            self._came.put(data)
        elif name == b"OKAY":
            self._acknowledged.release()
        elif name == b"CLSE":
            self.close()

    def read(self, size: int) -> bytes:
        """So many bytes.

        Raises:
            EOFError: the peer has gone.
        """
        while len(self._rest) < size:
            data = self._came.get()
            if data is None:
                raise EOFError
            self._connection.send(b"OKAY", self._number, self._peer)
            self._rest += data
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def write(self, data: bytes) -> None:
        """Send bytes; they go nowhere when the peer has gone."""
        with self._lock:
            for start in range(0, len(data), _MOST_BYTES):
                if self._closed:
                    return
                self._connection.send(b"WRTE", self._number, self._peer, data[start : start + _MOST_BYTES])
                self._acknowledged.acquire()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._connection.send(b"CLSE", self._number, self._peer)
            self._connection.forget(self._number)
            self._came.put(None)
            self._acknowledged.release()


class _Shell:
    """A command: of the protocol that keeps outputs and the exit code apart, or of the first."""

    def __init__(self, device: FakeDevice, stream: _Stream, command: str, v2: bool) -> None:
        self._stream, self._v2 = stream, v2
        self._process = device.start(command, subprocess.PIPE if v2 else subprocess.STDOUT)

    def serve(self) -> None:
        process = self._process
        assert process.stdout is not None
        threading.Thread(target=self._take_input, daemon=True).start()
        outputs = [(process.stdout, _STDOUT), *([(process.stderr, _STDERR)] if process.stderr else [])]
        pumps = [threading.Thread(target=self._pump, args=each, daemon=True) for each in outputs]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        code = process.wait()
        if self._v2:
            self._say(_EXIT, bytes([code if code >= 0 else 128 - code]))
        self._stream.close()

    def _pump(self, file: IO[bytes], kind: int) -> None:
        with file:
            while data := os.read(file.fileno(), _SYNC_BYTES):
                # The first protocol has a terminal between.
                self._say(kind, data) if self._v2 else self._stream.write(data.replace(b"\n", b"\r\n"))

    def _say(self, kind: int, data: bytes) -> None:
        self._stream.write(struct.pack("<BI", kind, len(data)) + data)

    def _take_input(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            while True:
                kind, size = struct.unpack("<BI", self._stream.read(5)) if self._v2 else (_STDIN, 1)
                data = self._stream.read(size)
                with suppress(OSError, ValueError):  # it takes no more
                    if kind == _STDIN:
                        stdin.write(data)
                        stdin.flush()
                    elif kind == _CLOSE_STDIN:
                        stdin.close()
        except EOFError:
            # As adbd does when the client has gone: of a lost device, too.
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGHUP)
            with suppress(OSError):
                stdin.close()


class _Sync:
    """Files: version 1 of adb's own protocol for them."""

    def __init__(self, device: FakeDevice, stream: _Stream) -> None:
        self._device, self._stream = device, stream

    def serve(self) -> None:
        with suppress(EOFError):
            while True:
                name, size = struct.unpack("<4sI", self._stream.read(8))
                text = self._stream.read(size).decode()
                if name == b"STAT":
                    self._stat(Path(self._device.local(text)))
                elif name == b"SEND":
                    self._receive(Path(self._device.local(re.sub(r",\d+$", "", text))))
                elif name == b"RECV":
                    self._give(Path(self._device.local(text)))
                else:  # QUIT
                    break
        self._stream.close()

    def _stat(self, path: Path) -> None:
        try:
            found = path.stat()
        except OSError:
            return self._stream.write(b"STAT" + bytes(12))
        return self._stream.write(
            b"STAT" + struct.pack("<3I", found.st_mode, found.st_size, int(found.st_mtime))
        )

    def _receive(self, path: Path) -> None:
        content = bytearray()
        while (head := struct.unpack("<4sI", self._stream.read(8)))[0] == b"DATA":
            content += self._stream.read(head[1])
        if self._device.faults.full:
            return self._fail("No space left on device")
        if path.name == self._device.faults.damages:
            content[len(content) // 2] ^= 1
        try:
            path.write_bytes(content)
        except OSError as failure:
            return self._fail(os.strerror(failure.errno or 0))
        return self._stream.write(b"OKAY" + bytes(4))

    def _give(self, path: Path) -> None:
        if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
            return self._fail("No such file or directory")
        content = path.read_bytes()
        for start in range(0, len(content), _SYNC_BYTES):
            piece = content[start : start + _SYNC_BYTES]
            self._stream.write(b"DATA" + struct.pack("<I", len(piece)) + piece)
        return self._stream.write(b"DONE" + bytes(4))

    def _fail(self, why: str) -> None:
        self._stream.write(b"FAIL" + struct.pack("<I", len(why)) + why.encode())
