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

const verify = {
  emp: verifyWebhookSignature,
  aegisx: (payload, signature, secret) => generateSignature(secret, payload) === signature,
};

for (const line of require("fs").readFileSync(0, "utf8").trimEnd().split("\n")) {
  const { profile, secret, signature, body } = JSON.parse(line);
  const payload = JSON.parse(Buffer.from(body, "base64").toString("utf8"));
  console.log(String(verify[profile](payload, signature, secret)));
}
