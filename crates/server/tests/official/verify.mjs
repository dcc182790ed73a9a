// Hands captured deliveries (JSON lines on standard input) to the official verifier of npm.
// Prints `true` or `false` for each.

import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
  const delivery = JSON.parse(line);
  const body = Buffer.from(delivery.body, "base64");
  try {
    new Webhook(delivery.secret).verify(body, delivery.headers);
    console.log("true");
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.log("false");
  }
}
