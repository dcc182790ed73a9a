"""Prints what one user is notified of: a WebSocket (RFC 6455), by hand, so that nothing needs installing.

    notifications.py http://127.0.0.1:4000 user_789
"""

import base64
import os
import socket
import sys
from urllib.parse import quote, urlsplit

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

server, owner = urlsplit(sys.argv[1]), sys.argv[2]
connection = socket.create_connection((server.hostname, server.port))
stream = connection.makefile("rb")
connection.sendall(
    f"GET /api/notifications/ws?owner_user_id={quote(owner)} HTTP/1.1\r\n"
    f"Host: {server.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
    # With keys: f"Authorization: Bearer {key}\r\n"
    "\r\n".encode()
)
status = stream.readline().decode()
if " 101 " not in status:
    sys.exit(status)
while stream.readline().strip():
    pass
print("listens", flush=True)


def read():
    """One frame: what kind it is, and what is in it. Servers do not mask and need not split."""
    kind, length = stream.read(2)
    if length >= 126:
        length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
    return kind & 15, stream.read(length)


while True:
    kind, data = read()
    if kind == TEXT:
        print(data.decode(), flush=True)
    elif kind == PING:
        # Clients must mask; a mask of zeros leaves the data as they are.
        connection.sendall(bytes([128 | PONG, 128 | len(data), 0, 0, 0, 0]) + data)
    elif kind == CLOSE:
        sys.exit(f"closed: {data[2:].decode()}")
