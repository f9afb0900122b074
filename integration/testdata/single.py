"""A server with a single thread: while it works it hears of nobody else.

Usage: single.py HOST:PORT RECORD. It answers every request after the time in the
query parameter delay, in seconds, and records those with X-Request-Id.
"""

import http.server
import sys
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        request_id = self.headers.get("X-Request-Id")
        if request_id:
            with open(sys.argv[2], "a", encoding="ascii") as record:
                record.write(f"{request_id} {self.command}\n")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = urllib.parse.urlsplit(self.path).query
        time.sleep(float(urllib.parse.parse_qs(query).get("delay", ["0"])[0]))
        self.send_response(200)
        self.send_header("X-Backend", "single")
        self.end_headers()
        self.wfile.write(b"single\n")

    do_GET = do_PUT = do_POST = do_OPTIONS = answer

    def log_message(self, *args):
        pass


class Server(http.server.HTTPServer):
    request_queue_size = 128


host, port = sys.argv[1].split(":")
Server((host, int(port)), Handler).serve_forever()
