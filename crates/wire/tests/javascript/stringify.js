// One JSON text per line, in base64. Answers with what printing what was parsed gives, or with "-"
// when it is not JSON.
const lines = require("fs").readFileSync(0, "utf8").trimEnd().split("\n");
for (const line of lines) {
  let answer = "-";
  try {
    const text = Buffer.from(line, "base64").toString("utf8");
    answer = Buffer.from(JSON.stringify(JSON.parse(text)), "utf8").toString("base64");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  console.log(answer);
}
