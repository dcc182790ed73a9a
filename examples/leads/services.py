"""Plays the services: a receiver at /hook that verifies, and the two calls of Kit's API."""

import hashlib
import hmac
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

failed_once = False


class Services(BaseHTTPRequestHandler):
    def do_POST(self):
        global failed_once
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/hook":
            mac = hmac.new(b"test-secret", body, hashlib.sha256).hexdigest()
            genuine = hmac.compare_digest("sha256=" + mac, self.headers["x-webhook-signature"])
            status, remark = (200, "genuine") if genuine else (401, "forged")
        elif self.headers["x-kit-api-key"] != "kit_1":
            status, remark = 401, "unknown key"
        elif self.path.startswith("/v4/forms/") and not failed_once:
            failed_once = True
            status, remark = 500, "trouble, this once"
        else:
            status, remark = 200, "taken"
        print(f"{self.path}: {json.loads(body)} -> {status}, {remark}", flush=True)
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Services)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
