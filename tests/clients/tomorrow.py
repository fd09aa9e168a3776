"""Stands before an engine and answers as a later version might: each object of an answer has a field that today's
document does not know, and each word that may grow is one that it does not list. `tomorrow.py ENGINE-URL`; prints its
own URL on the first line."""

import http.server
import json
import sys
import urllib.error
import urllib.request

OPEN = {"status", "ending", "code", "ends_on", "memory", "type", "start", "strategy", "mode", "pause_cause"}


def later(value):
    if isinstance(value, dict):
        value = {key: "of_tomorrow" if key in OPEN and isinstance(word, str) else later(word) for key, word in value.items()}
        # A map of numbers stays one: its values are of a type.
        if not value or not all(isinstance(number, (int, float)) for number in value.values()):
            value["added_tomorrow"] = {"deep": [1]}
        return value
    return [later(item) for item in value] if isinstance(value, list) else value


class Later(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        request = urllib.request.Request(sys.argv[1] + self.path)
        try:
            answer = urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        body = json.dumps(later(json.loads(answer.read()))).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Later)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
