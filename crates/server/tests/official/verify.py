"""Hands captured deliveries (JSON lines on standard input) to the official verifier of PyPI.

Prints `true` or `false` for each.
"""

import base64
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    delivery = json.loads(line)
    body = base64.b64decode(delivery["body"])
    try:
        Webhook(delivery["secret"]).verify(body, delivery["headers"])
        print("true")
    except WebhookVerificationError:
        print("false")
