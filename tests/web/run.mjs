// node run.mjs HOST-URL ASKER-URL KITHD-PID KEY ROOT ADDRESS NAME: all parts, or those named in PARTS, in one browser.
import assert from "node:assert/strict";
import fs from "node:fs";
import { api, launch } from "./lib.mjs";
import access from "./access.mjs";
import chat from "./chat.mjs";
import live from "./live.mjs";
import look from "./look.mjs";
import markdown from "./markdown.mjs";
import names from "./names.mjs";
import thoughts from "./thoughts.mjs";

const [base, asker, pid, key, root, address, hostile] = process.argv.slice(2);

// The worker that answers: the child of kithd that began last, of so many.
async function workers(count = 1) {
  const children = fs.readdirSync(`/proc/${pid}/task`).flatMap((t) => fs.readFileSync(`/proc/${pid}/task/${t}/children`, "utf8").trim().split(" ").filter(Boolean));
  assert.equal(children.length, count, "workers");
  return Number(children.at(-1));
}

const { job } = await api(base, "/kith/v1/jobs", { model: root, messages: [{ role: "user", content: "What is Kith?" }] });
await api(base, `/kith/v1/jobs/${job}?wait=30&until=done`);
const world = { base, asker, port: new URL(base).port, key, root, address, hostile, job, workers };
const browser = await launch();
const run = (parts) => Promise.all(Object.entries(parts).map(async ([name, part]) => {
  if (process.env.PARTS && !process.env.PARTS.split(",").includes(name)) return;
  const since = Date.now();
  await part(browser, world);
  console.log(`${name}: ${((Date.now() - since) / 1000).toFixed(1)} s`);
}));
await run({ chat, look, access });
// Behind the others: one waits for what was paid to be paid out, the other for nothing to happen.
await run({ names, live, markdown });
await run({ thoughts }); // with a second model
await browser.close();
