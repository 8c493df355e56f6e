"""Clients that stay connected: what an idle event stream weighs, and how soon it tells of a message that came by SMTP.

    python -m bench.jmap_push [--short]

A real server of one worker, plain and TLS. Streams are weighed beyond the first ones, as measured from outside. A
message is told from before its connection is opened until the event has come, by one client alone. Prints one JSON
object and, at full size, writes bench/results/jmap_push.json.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import resource
import socket
import ssl
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.accounts import PASSWORD, make_accounts
from bench.imap_live import find_quantile
from bench.imap_sides import find_ports, make_certificate, name_user
from bench.lab import LabError, Process, make_base, measure_memory, remove_base, wait_port
from bench.run import describe_machine
from bench.sides import PROGRAM

RESULT = Path(__file__).parent / "results" / "jmap_push.json"
FIRST, STREAMS, SAMPLES = 200, 1000, 200
SETTLE_S = 3.0
PAUSE_S = 0.1  # longer than the server gathers changes
LETTER = b"From: ann@example.org\r\nTo: u0@src.test\r\nSubject: small\r\n\r\nNothing much.\r\n.\r\n"
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: text/event-stream\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nCache-Control: no-cache\r\n"
)


class PushServer:
    def __init__(self, base: Path) -> None:
        self.http, self.https = find_ports()
        self.smtp, _ = find_ports()
        lines = [
            'hostname = "ph.test"',
            f'data = "{base}/data"',
            f'runtime = "{base}/run"',
            "workers = 1",
            "[tls]",
            f'certificate = "{base}/cert.pem"',
            f'key = "{base}/key.pem"',
            "[web]",
            "streams_per_account = 100000",
        ]
        for service, port, tls in (
            ("http", self.http, "off"),
            ("http", self.https, "implicit"),
            ("smtp", self.smtp, "off"),
        ):
            lines += ["[[listener]]", f'service = "{service}"', f'bind = "127.0.0.1:{port}"', f'tls = "{tls}"']
        make_certificate(base)
        configuration = base / "posthouse.toml"
        configuration.write_text("\n".join(lines) + "\n")
        make_accounts(configuration, 1, with_password=True)
        source = str(Path(__file__).resolve().parent.parent / "src")
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))}
        command = [sys.executable, "-c", PROGRAM, "-c", str(configuration), "serve"]
        self.process = Process(command, base / "posthouse.log", environment)
        wait_port(self.smtp, process=self.process)

    def open_stream(self, *, tls: bool) -> Stream:
        return Stream(self.https if tls else self.http, tls=tls)


class Stream:
    def __init__(self, port: int, *, tls: bool) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)
        login = base64.b64encode(f"{name_user(0)}:{PASSWORD}".encode()).decode()
        head = f"GET /jmap/eventsource?types=*&closeafter=no&ping=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{BROWSER}"
        self._socket.sendall(f"{head}Authorization: Basic {login}\r\n\r\n".encode())
        self.read_until(b"retry:")

    def read_until(self, wanted: bytes) -> None:
        octets = b""
        while wanted not in octets:
            piece = self._socket.recv(65536)
            if not piece:
                raise LabError(f"the stream ended: {octets[:200]!r}")
            octets += piece

    def close(self) -> None:
        self._socket.close()


def weigh(server: PushServer, *, tls: bool, is_short: bool) -> float:
    """KiB of one."""
    first, count = (8, 40) if is_short else (FIRST, STREAMS)
    with contextlib.ExitStack() as stack:
        for _ in range(first):
            stack.enter_context(contextlib.closing(server.open_stream(tls=tls)))
        time.sleep(SETTLE_S)
        before = measure_memory([server.process.pid])
        for _ in range(count):
            stack.enter_context(contextlib.closing(server.open_stream(tls=tls)))
        time.sleep(SETTLE_S)
        after = measure_memory([server.process.pid])
    if before["processes"] != after["processes"]:
        raise LabError("the server's processes are not what they were")
    return (after["pss"] - before["pss"]) / count / 1024


def time_arrivals(server: PushServer, *, is_short: bool) -> list[float]:
    """Seconds from before a client of SMTP connects until the event is here."""
    delays = []
    with contextlib.closing(server.open_stream(tls=False)) as stream:
        for _ in range(10 if is_short else SAMPLES):
            started = time.perf_counter()
            with socket.create_connection(("127.0.0.1", server.smtp), 20) as client:
                lines = client.makefile("rb")
                for words in (b"", b"HELO c.test\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<u0@src.test>\r\n"):
                    client.sendall(words)
                    lines.readline()
                client.sendall(b"DATA\r\n")
                lines.readline()
                client.sendall(LETTER)
                stream.read_until(b"EmailDelivery")
                delays.append(time.perf_counter() - started)
            time.sleep(PAUSE_S)
    return delays


def measure(*, is_short: bool) -> dict[str, float]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    base = make_base()
    try:
        server = PushServer(base)
        try:
            delays = time_arrivals(server, is_short=is_short)
            return {
                "arrival_p50_ms": statistics.median(delays) * 1e3,
                "arrival_p98_ms": find_quantile(delays, 0.98) * 1e3,
                "stream_kib": weigh(server, tls=False, is_short=is_short),
                "stream_tls_kib": weigh(server, tls=True, is_short=is_short),
            }
        finally:
            server.process.stop()
    finally:
        remove_base(base)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.jmap_push")
    parser.add_argument("--short", action="store_true")
    is_short = parser.parse_args(arguments).short
    figures = {name: round(value, 2) for name, value in measure(is_short=is_short).items()}
    print(json.dumps(figures))
    if not is_short:
        RESULT.write_text(json.dumps({"machine": describe_machine(), "figures": figures}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
