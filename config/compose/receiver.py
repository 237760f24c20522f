"""An HTTP endpoint that accepts every event and prints it: a line of JSON each."""

import http.server
import json
import signal
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        event = {
            "path": self.path,
            "id": self.headers["webhook-id"],
            "key": self.headers["x-walrelay-key"],
            "type": self.headers["x-walrelay-type"],
            "body": body.decode(errors="replace"),
        }
        # Before the answer: what was accepted is on record.
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
        self.send_response(204)
        self.end_headers()

    def log_request(self, *_):
        pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
