// Signs and verifies with the packages of others, and with Node's own Ed25519. Each line is JSON:
// {"do": "sign" | "verify", "by", "secret", "id", "timestamp", "body" (base64), "headers"}.
// Answers with the headers of the signed request, or with `true` or `false`.

import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";
import { createSHA256HMAC } from "@shopify/shopify-api/runtime";
import { sign as signGitHub, verify as verifyGitHub } from "@octokit/webhooks-methods";
import { Webhook as StandardWebhook, WebhookVerificationError } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";

const { webhooks } = new Stripe("sk_test_unused");

const standard = (Webhook, prefix) => ({
  sign({ secret, id, timestamp, body }) {
    const value = new Webhook(secret).sign(id, new Date(timestamp * 1000), body.toString());
    return headers(prefix, id, timestamp, value);
  },
  verify({ secret, headers, body }) {
    try {
      new Webhook(secret).verify(body.toString(), headers);
      return true;
    } catch (error) {
      if (error instanceof WebhookVerificationError) return false;
      throw error;
    }
  },
});

const headers = (prefix, id, timestamp, signature) => ({
  [`${prefix}-id`]: id,
  [`${prefix}-timestamp`]: String(timestamp),
  [`${prefix}-signature`]: signature,
});

const signed = (id, timestamp, body) =>
  Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);

const by = {
  standardwebhooks: standard(StandardWebhook, "webhook"),
  svix: standard(SvixWebhook, "svix"),
  stripe: {
    sign({ secret, timestamp, body }) {
      const payload = body.toString();
      return { "Stripe-Signature": webhooks.generateTestHeaderString({ payload, secret, timestamp }) };
    },
  },
  // Its library is a receiver's: it signs with what verifying is made of there, and judges it as well.
  shopify: {
    async sign({ secret, id, body }) {
      const rawBody = body.toString();
      const headers = {
        "X-Shopify-Hmac-SHA256": await createSHA256HMAC(secret, rawBody),
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Shop-Domain": "shop.myshopify.com",
        "X-Shopify-API-Version": "2026-01",
        "X-Shopify-Webhook-Id": id,
      };
      const { webhooks } = shopifyApi({
        apiKey: "unused",
        apiSecretKey: secret,
        apiVersion: "2026-01",
        hostName: "unused.example",
        isEmbeddedApp: false,
        logger: { log() {} },
      });
      const rawRequest = { method: "POST", url: "/", headers };
      const { valid } = await webhooks.validate({ rawBody, rawRequest, rawResponse: {} });
      if (!valid) throw new Error("its own library refuses it");
      return headers;
    },
  },
  octokit: {
    async sign({ secret, body }) {
      return { "X-Hub-Signature-256": await signGitHub(secret, body.toString()) };
    },
    verify: ({ secret, headers, body }) =>
      verifyGitHub(secret, body.toString(), headers["X-Webhook-Signature"]),
  },
  // What stands before the 32 bytes is their frame in PKCS #8 and in SPKI (RFC 8410).
  ed25519: {
    sign({ secret, id, timestamp, body }) {
      const frame = Buffer.from("302e020100300506032b657004220420", "hex");
      const seed = Buffer.from(secret.slice("whsk_".length), "base64").subarray(0, 32);
      const key = createPrivateKey({ key: Buffer.concat([frame, seed]), format: "der", type: "pkcs8" });
      const value = sign(null, signed(id, timestamp, body), key).toString("base64");
      return headers("webhook", id, timestamp, `v1a,${value}`);
    },
    verify({ secret, headers, body }) {
      const frame = Buffer.from("302a300506032b6570032100", "hex");
      const point = Buffer.from(secret.slice("whpk_".length), "base64");
      const key = createPublicKey({ key: Buffer.concat([frame, point]), format: "der", type: "spki" });
      const message = signed(headers["webhook-id"], headers["webhook-timestamp"], body);
      return headers["webhook-signature"]
        .split(" ")
        .filter((token) => token.startsWith("v1a,"))
        .some((token) => verify(null, message, key, Buffer.from(token.slice(4), "base64")));
    },
  },
};

for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
  const request = JSON.parse(line);
  request.body = Buffer.from(request.body, "base64");
  console.log(JSON.stringify(await by[request.by][request.do](request)));
}
