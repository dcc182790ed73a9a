// One integer literal per line. Answers with how JavaScript prints it, "inexact" when the nearest
// double is another integer and is written otherwise, or "beyond" when there is none.
const lines = require("fs").readFileSync(0, "utf8").trimEnd().split("\n");
for (const line of lines) {
  const number = JSON.parse(line);
  if (!Number.isFinite(number)) console.log("beyond");
  else if (JSON.stringify(number) === line) console.log(line);
  else if (BigInt(line) !== BigInt(number)) console.log("inexact");
  else console.log(JSON.stringify(number));
}
