// Hands captured deliveries (JSON lines on standard input) to the packages that receivers would use.
// Prints what they make of each, as JSON.

import { readFileSync } from "node:fs";
import { HTTP } from "cloudevents";
import { Webhook, WebhookVerificationError } from "svix";

function svix({ secret, body, headers }) {
  try {
    return new Webhook(secret).verify(body, headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    return false;
  }
}

function cloudevents({ body, headers }) {
  const event = HTTP.toEvent({ headers, body });
  event.validate();
  return event.toJSON();
}

const readers = { svix, cloudevents };

for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
  const delivery = JSON.parse(line);
  const body = Buffer.from(delivery.body, "base64").toString();
  console.log(JSON.stringify(readers[delivery.reader]({ ...delivery, body })));
}
