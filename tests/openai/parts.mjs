// What was thought and what is said of a job, as the node's own API tells it: whichever marks the model has, whole and in events, from
// any token on, and again after a restart. parts.mjs URL FILE: the jobs of the first run are in FILE for the next one.
import assert from "node:assert/strict";
import fs from "node:fs";

const [, , base, file] = process.argv;
const call = async (path, body) => {
  const r = await fetch(base + path, body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  assert.ok(r.ok, `${path}: ${r.status}`);
  return r;
};
const job = async (id) => (await call(`/kith/v1/jobs/${id}?wait=30&until=done`)).json();
const NAMES = ["text", "thought", "said"];

// The events that tell more of the answer.
async function events(id, from) {
  const frames = (await (await call(`/kith/v1/jobs/${id}/events?from=${from}`)).text()).split("\n\n");
  return frames.filter((f) => f.startsWith("event: token")).map((f) => JSON.parse(f.slice(f.indexOf("data: ") + 6)));
}

const joined = (told) => Object.fromEntries(NAMES.map((name) => [name, told.map((e) => e[name]).join("")]));

// `live`: as they came while the job ran; whoever asks for the rest behind any of them has the same in the end.
async function follow(id, live) {
  const whole = await job(id), parts = Object.fromEntries(NAMES.map((name) => [name, whole[name]]));
  assert.deepEqual(joined(await events(id, 0)), parts);
  for (let i = 0; i < live.length; i++) {
    const before = live.slice(0, i + 1), after = await events(id, live[i].i + 1);
    assert.deepEqual(joined([...before, ...after]), parts, `from ${live[i].i + 1}`);
  }
  return whole;
}

const messages = [{ role: "user", content: "hi" }];
const cases = [
  [{ model: "script", messages }, "Two and two.", "It is four."],
  [{ model: "think", messages }, "Two and two.", "It is four."],
  [{ model: "think", messages, params: { tokens: 4 } }, "Two and two.", ""],
  [{ model: "think", messages, chat_template_kwargs: { opens: true }, params: { tokens: 3 } }, "", null],
  [{ model: "tags", messages }, "Hm.", null],
  [{ model: "bracket", messages }, "Hm.", '[TOOL_CALLS]get[ARGS]{"a": 1}'],
  [{ model: "think", prompt: "t" }, "", "<think>\nTwo and two.\n</think>\n\nIt is four."],
];
if (!fs.existsSync(file)) {
  const kept = [];
  for (const [ask, thought, said] of cases) {
    const { job: id } = await (await call("/kith/v1/jobs", ask)).json();
    const live = await events(id, 0), whole = await follow(id, live);
    assert.equal(whole.state, "done");
    if (said !== null) assert.deepEqual([whole.thought, whole.said], [thought, said], JSON.stringify(ask));
    else assert.ok(whole.thought.startsWith(thought) && !whole.said.includes("think>"), JSON.stringify(whole));
    assert.deepEqual(joined(live), Object.fromEntries(NAMES.map((name) => [name, whole[name]])));
    kept.push({ id, live, whole });
  }
  fs.writeFileSync(file, JSON.stringify(kept));
  console.log("jobs in parts: ok");
} else {
  for (const { id, live, whole } of JSON.parse(fs.readFileSync(file)))
    assert.deepEqual(await follow(id, live), whole);
  console.log("jobs in parts, after a restart: ok");
}
