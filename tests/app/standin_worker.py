"""A worker role of a few lines, run in real worker processes by the tests of the processes around it.

Speaks lines: greets with "worker PID GENERATION", then
    hold        answers "held": from now on a message is in hand
    done        answers "done": no more in hand; while draining "421" and the end
    die         ends the process at once
    stall       hangs the whole process
    share SITE  wants a site; answers the slots this worker has
    count IP    how many connections the whole server has from there
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from posthouse.app.worker_context import Accepting, Arguments, TlsFiles, WorkerContext
from posthouse.app.worker_process import main


class StandIn:
    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._servers: list[Accepting] = []
        self._writers: dict[asyncio.StreamWriter, bool] = {}
        self._is_draining = False

    async def start(self) -> None:
        if os.path.exists(os.path.join(self._context.settings.data, "broken")):
            raise RuntimeError("broken as asked")
        context = self._context
        context.link.register("queue.list", self._list_queue)
        context.link.register("queue.change", self._change_queue)
        context.link.register("queue.stats", self._tell_stats)
        context.metrics.counter("standin_started_total", "Starts of stand-in workers").inc()
        for listener in context.listeners:
            self._servers.append(await context.accept(listener, self._make_protocol))

    def _make_protocol(self) -> asyncio.Protocol:
        reader = asyncio.StreamReader()
        return asyncio.StreamReaderProtocol(reader, self._serve)

    async def drain(self, deadline_s: float, *, may_stay: bool) -> None:
        self._is_draining = True
        for server in self._servers:
            server.close()
        for writer, is_held in list(self._writers.items()):
            if not is_held:
                self._leave(writer)
        end = asyncio.get_running_loop().time() + deadline_s
        while self._writers and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        for writer in list(self._writers):
            self._leave(writer)

    async def stop(self) -> None:
        self._context.log.info("standin stopped", index=self._context.index)

    def renew_tls(self, files: TlsFiles) -> None:
        with open(files.certificate) as stream:
            self._context.log.info("standin certificate", text=stream.read(20))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = (writer.get_extra_info("peername") or [""])[0]
        if (refusal := self._context.admission.admit(address, 0.0)) is not None:
            writer.write(f"{refusal}\n".encode())
            writer.close()
            return
        self._writers[writer] = False
        writer.write(f"worker {os.getpid()} {self._context.generation}\n".encode())
        try:
            while line := await reader.readline():
                if not self._obey(line.decode().split(), writer):
                    break
        except OSError:
            pass
        finally:
            self._writers.pop(writer, None)
            self._context.admission.release(address)
            writer.close()

    def _obey(self, words: list[str], writer: asyncio.StreamWriter) -> bool:
        match words:
            case ["hold"]:
                self._writers[writer] = True
                writer.write(b"held\n")
            case ["done"]:
                self._writers[writer] = False
                writer.write(b"done\n")
                if self._is_draining:
                    self._leave(writer)
                    return False
            case ["die"]:
                os._exit(7)
            case ["stall"]:
                time.sleep(3600)
            case ["share", site]:
                self._context.shares.report_load(site, 9, 0)
                writer.write(f"{self._context.shares.slots(site)}\n".encode())
            case ["count", address]:
                writer.write(f"{self._context.admission.count(address)}\n".encode())
        return True

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421\n")
        writer.close()
        self._writers.pop(writer, None)

    # -- what commands ask for: two messages per worker, ids interleaved

    async def _list_queue(self, args: Arguments) -> object:
        index, after = self._context.index, args.get("after") or ""
        ids = [f"{number:02}{index}" for number in range(3)]
        return {"items": [{"id": each, "worker": index} for each in ids if each > str(after)][:1], "more": True}

    async def _change_queue(self, args: Arguments) -> object:
        if args.get("action") not in ("hold", "release"):
            raise ValueError(f"unknown action {args.get('action')!r}")
        return {"changed": 2, "known": []}

    async def _tell_stats(self, args: Arguments) -> object:
        return {"messages": 2, "oldest": 1000.0 + self._context.index, "states": {"ready": 1, f"s{os.getpid()}": 1}}


if __name__ == "__main__":
    sys.exit(main(make_worker=StandIn))
