"""An HTTP/1.1 endpoint that remembers what it was sent and answers as a test tells it to."""

import asyncio
import dataclasses
import threading
import time

from .wait import until


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it was on the wire; names of headers are in lower case."""

    method: str
    path: str
    headers: dict
    body: bytes
    head: bytes  # request line and headers, byte for byte
    at: float  # time.monotonic() when its last byte was here
    connection: int  # counts the connections from 1


@dataclasses.dataclass(frozen=True)
class Reply:
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0  # seconds before the answer
    gate: "Gate | None" = None  # no answer before it opens
    lost: bool = False  # the connection is closed instead of the answer
    closes: bool = False  # the connection is closed behind the answer, without a word of it


class Gate:
    """Holds the answers of the requests that meet it until it is opened."""

    def __init__(self, loop):
        self._loop = loop
        self._event = asyncio.Event()

    def open(self):
        self._loop.call_soon_threadsafe(self._event.set)

    async def passed(self):
        await self._event.wait()


class Receiver:
    """Serves on 127.0.0.1 in a thread of its own, keep-alive, about ten thousand requests a second.

    `answer` takes a Reply for every request, or a function from Request to Reply, which runs in the
    receiver's thread and must not block. Every request is remembered before it is answered.
    """

    def __init__(self, tls=None):
        """`tls` is an ssl.SSLContext of a server."""
        self.requests = []
        self.connections = 0
        self.open_connections = 0
        self._behaviour = lambda request: Reply()
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(tls, started), daemon=True)
        self._thread.start()
        assert started.wait(10), "the receiver listens"
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def _run(self, tls, started):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: _Connection(self), "127.0.0.1", 0, ssl=tls, backlog=512
            )
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for writer in list(self._writers):
            writer.abort()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def close(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def answer(self, behaviour):
        self._behaviour = behaviour if callable(behaviour) else lambda request: behaviour

    def gate(self):
        return Gate(self._loop)

    def wait_for(self, count, deadline=30):
        """The requests, once at least `count` have come."""
        until(
            lambda: len(self.requests) >= count,
            deadline,
            lambda: f"{count} requests; {len(self.requests)} came",
        )
        return list(self.requests)

    def reply_to(self, request):
        """Remembers the request and decides its answer; in the receiver's thread."""
        behaviour = self._behaviour  # whoever sees the request may choose another for the next
        self.requests.append(request)
        return behaviour(request)


class _Connection(asyncio.Protocol):
    """One connection: requests are taken apart and answered one after the other."""

    def __init__(self, receiver):
        self._receiver = receiver
        self._buffer = b""
        self._transport = None
        self._answering = False
        self._number = 0

    def connection_made(self, transport):
        self._transport = transport
        self._receiver.open_connections += 1
        self._receiver.connections += 1
        self._number = self._receiver.connections
        self._receiver._writers.add(transport)

    def connection_lost(self, error):
        self._receiver.open_connections -= 1
        self._receiver._writers.discard(self._transport)

    def data_received(self, data):
        self._buffer += data
        self._serve()

    def _serve(self):
        while not self._answering:
            request = self._take_request()
            if request is None:
                return
            reply = self._receiver.reply_to(request)
            if reply.delay or reply.gate:
                self._answering = True
                asyncio.get_running_loop().create_task(self._answer_later(reply))
            else:
                self._answer(reply)

    def _take_request(self):
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._buffer[: end + 4]
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if "transfer-encoding" in headers:
            raise ValueError("the receiver takes no chunked requests")
        length = int(headers.get("content-length", 0))
        if len(self._buffer) < end + 4 + length:
            return None
        body = self._buffer[end + 4 : end + 4 + length]
        self._buffer = self._buffer[end + 4 + length :]
        method, path, _ = first.split(" ")
        return Request(method, path, headers, body, head, time.monotonic(), self._number)

    async def _answer_later(self, reply):
        if reply.gate:
            await reply.gate.passed()
        if reply.delay:
            await asyncio.sleep(reply.delay)
        self._answering = False
        self._answer(reply)
        self._serve()

    def _answer(self, reply):
        if self._transport.is_closing():
            return
        if reply.lost:
            self._transport.abort()
            return
        headers = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        self._transport.write(
            f"HTTP/1.1 {reply.status} -\r\ncontent-length: {len(reply.body)}\r\n"
            f"{headers}\r\n".encode("latin-1") + reply.body
        )
        if reply.closes:
            self._transport.close()
