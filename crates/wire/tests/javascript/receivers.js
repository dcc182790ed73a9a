// Receivers that are in production, as they are documented. Each line is a request as JSON:
// {"profile", "secret", "signature", "body" (base64)}. Answers with "true" or "false".
const crypto = require('crypto');

// The EMP job queue's documentation, unchanged.
function verifyWebhookSignature(payload, signature, secret) {
  const expectedSignature = crypto
    .createHmac('sha256', secret)
    .update(JSON.stringify(payload))
    .digest('hex');
  
  const providedSignature = signature.replace('sha256=', '');
  
  return crypto.timingSafeEqual(
    Buffer.from(expectedSignature, 'hex'),
    Buffer.from(providedSignature, 'hex')
  );
}

// The AegisX platform's signing function (without its types), which its receivers repeat.
function generateSignature(secret, payload) {
    const body = JSON.stringify(payload);
    return `sha256=${crypto.createHmac('sha256', secret).update(body).digest('hex')}`;
}

// OpenVideo's documentation (without its types): the one that takes the body as it came.
function verifyWebhook(
  payload,
  signature,
  secret,
) {
  const hmac = crypto.createHmac("sha256", secret);
  hmac.update(payload);
  const expectedSignature = hmac.digest("hex");

  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSignature),
  );
}

// ViewCreator's API (without its types). Its secret is a setting of the process.
function verifyViewCreator(payload, signature) {
  const expectedSignature = crypto
    .createHmac('sha256', process.env.WEBHOOK_SECRET)
    .update(JSON.stringify(payload))
    .digest('hex');

  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSignature),
  );
}

const verify = {
  emp: verifyWebhookSignature,
  aegisx: (payload, signature, secret) => generateSignature(secret, payload) === signature,
  openvideo: (_, signature, secret, body) => verifyWebhook(body, signature, secret),
  viewcreator: (payload, signature, secret) => {
    process.env.WEBHOOK_SECRET = secret;
    return verifyViewCreator(payload, signature);
  },
};

for (const line of require("fs").readFileSync(0, "utf8").trimEnd().split("\n")) {
  const { profile, secret, signature, body } = JSON.parse(line);
  const text = Buffer.from(body, "base64").toString("utf8");
  console.log(String(verify[profile](JSON.parse(text), signature, secret, text)));
}
