"""A stream and a reply parser together: ask, wait for the answer, each step within its own deadline.

Whatever goes wrong is a `WireFailed` that carries what the queue shall remember about it. Trusts nothing from the
peer; keeps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.message.reply import Reply
from posthouse.mta.outbound_types import OutboundSettings
from posthouse.ports.clock import Clock
from posthouse.ports.stream import Stream, StreamError, StreamTimeout
from posthouse.protocol.smtp.client import Step
from posthouse.protocol.smtp.client_replies import ReplyError, ReplyParser


class WireFailed(Exception):
    """The conversation is over; `reply` is ours about it (4.4.2, or 4.5.0 when the peer spoke nonsense)."""

    def __init__(self, reply: Reply, step: Step) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.step = step


def list_deadlines(settings: OutboundSettings) -> Sequence[float]:
    """Seconds by step, to be indexed with `Step`."""
    by_step = {
        Step.CONNECT: settings.connect_s,
        Step.GREETING: settings.greeting_s,
        Step.HELLO: settings.hello_s,
        Step.TLS: settings.tls_s,
        Step.AUTH: settings.auth_s,
        Step.RSET: settings.reset_s,
        Step.MAIL: settings.mail_s,
        Step.RCPT: settings.rcpt_s,
        Step.DATA: settings.data_command_s,
        Step.BODY: settings.body_block_s,
        Step.FINAL: settings.data_final_s,
        Step.QUIT: settings.quit_s,
    }
    return tuple(by_step.get(step, 0.0) for step in Step)


class Wire:
    """`label` names the peer in logs and reports, e.g. "mx1.example.net[192.0.2.1]:25"."""

    __slots__ = ("_clock", "_deadlines", "_parser", "label", "stream")

    def __init__(self, stream: Stream, label: str, deadlines: Sequence[float], clock: Clock) -> None:
        self.stream = stream
        self.label = label
        self._deadlines = deadlines
        self._clock = clock
        self._parser = ReplyParser()

    @property
    def has_input(self) -> bool:
        """Something came, or ended, that nobody asked for."""
        return self._parser.has_input or self.stream.has_input

    def forget_input(self) -> None:
        self._parser.clear()

    def write(self, data: bytes) -> None:
        self.stream.write(data)

    async def ask(self, line: bytes, step: Step) -> Reply:
        self.stream.write(line)
        return await self.next_reply(step)

    async def next_reply(self, step: Step) -> Reply:
        """Raises WireFailed. The deadline is for the whole reply: dripping octets do not prolong it."""
        parser = self._parser
        try:
            reply = parser.next_reply()
            if reply is not None:
                return reply
            left = self._deadlines[step]
            end = self._clock.monotonic() + left
            while left > 0:
                data = await self.stream.read(left)
                if not data:
                    raise WireFailed(
                        Reply(451, "4.4.2", f"{self.label} closed the connection while {step.phrase}"), step
                    )
                parser.receive(data)
                reply = parser.next_reply()
                if reply is not None:
                    return reply
                left = end - self._clock.monotonic()
            raise StreamTimeout("read", "deadline passed")
        except (StreamError, ReplyError) as error:
            raise self._describe(error, step) from None

    async def drain(self, step: Step) -> None:
        """Raises WireFailed."""
        try:
            await self.stream.drain(self._deadlines[step])
        except StreamError as error:
            raise self._describe(error, step) from None

    def _describe(self, error: StreamError | ReplyError, step: Step) -> WireFailed:
        if isinstance(error, ReplyError):
            return WireFailed(
                Reply(451, "4.5.0", f"{self.label} broke the protocol while {step.phrase}: {error}"), step
            )
        if isinstance(error, StreamTimeout):
            return WireFailed(Reply(451, "4.4.2", f"{self.label} did not answer in time while {step.phrase}"), step)
        return WireFailed(Reply(451, "4.4.2", f"lost connection with {self.label} while {step.phrase}: {error}"), step)

    def leave(self) -> None:
        """Say QUIT without waiting for the answer, and close."""
        self.stream.write(b"QUIT\r\n")
        self.stream.close()

    def close(self) -> None:
        self.stream.close()
