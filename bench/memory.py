"""The memory of a worker, and the most of it while this service refuses large bodies."""

import contextlib
import re
import select
import socket
from pathlib import Path

from bench.wrk import worker_pid
from tests.servers import Service

PIECE = b"a" * 65_536
PIECES = 1_600  # 100 MB
HEAD = "POST /notes/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def megabytes(pid: int, field: str) -> float:
    """Return a size from a process' status: VmRSS, or VmHWM for the peak of it."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(rf"{field}:\s+(\d+) kB", status)
    assert match, f"no {field}"  # Linux has both
    return int(match[1]) / 1024


def upload(port: int, header: str, piece: bytes) -> str:
    """Send 100 MB until the server answers, and return the status."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(f"{HEAD}{header}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(PIECES):
                if select.select([client], [], [], 0)[0]:
                    break
                client.sendall(piece)
            return client.recv(65_536).split()[1].decode()
        return "connection reset"


def peak(service: Service, header: str, piece: bytes) -> str:
    """Return the most memory that the worker takes while 100 MB are sent to it, and its answer."""
    pid = worker_pid(service)
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # begins a new peak
    status = upload(service.port, header, piece)
    return f"{megabytes(pid, 'VmHWM'):.1f} ({status})"


def measure(service: Service) -> list[str]:
    """Return the peaks of a body with its length and of a chunked one."""
    with_length = peak(service, f"Content-Length: {len(PIECE) * PIECES}", PIECE)
    frame = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
    chunked = peak(service, "Transfer-Encoding: chunked", frame)
    return [with_length, chunked]
