// The stream of what happens to the node: in order, gone on with from the last id, to whom may know, and past a reader that does not read.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import http from "node:http";
import path from "node:path";

const [, , base, kith] = process.argv;
const { hostname, port, origin } = new URL(base);
const sock = path.join(process.env.KITH_HOME, "kithd.sock");
const run = (...words) => execFileSync(kith, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const post = (at, body, headers = {}) => fetch(origin + at, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
const SECRET = "What do you know of the blue elephant?";
const chat = async (headers, more) => {
  const r = await post("/v1/chat/completions", { model: "default", messages: [{ role: "user", content: SECRET }], max_tokens: 3, ...more }, headers);
  assert.equal(r.status, 200);
  return (await r.json()).kith?.job;
};

// One who follows; `frames` are the events, `id` the last one, with or without an event.
function follow({ query = "", headers = {}, local = false } = {}) {
  const f = { frames: [], id: "", raw: "", status: 0, ended: false };
  f.request = http.request({ ...(local ? { socketPath: sock } : { host: hostname, port }), path: "/kith/v1/events" + query, headers }, (res) => {
    f.status = res.statusCode;
    f.type = res.headers["content-type"];
    f.response = res;
    let rest = "";
    res.setEncoding("utf8").on("data", (d) => {
      f.raw += d;
      const parts = (rest + d).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const field = (name) => new RegExp(`^${name}: (.*)$`, "m").exec(part)?.[1];
        f.id = field("id") ?? f.id;
        if (field("data")) f.frames.push({ id: field("id"), event: field("event"), ...JSON.parse(field("data")) });
      }
    }).on("end", () => (f.ended = true));
  });
  f.request.on("error", () => {}).end();
  f.until = async (what, fn) => {
    for (let i = 0; i < 1000; i++, await sleep(10)) { const found = fn(f); if (found) return found; }
    assert.fail(`waited in vain: ${what}\n${f.raw}`);
  };
  f.open = () => f.until("the stream begins", () => f.id || f.status > 299);
  f.close = () => f.request.destroy();
  return f;
}
const of = (f, job) => f.frames.filter((e) => e.job === job).map((e) => e.state);

// A job from its beginning to its end, with what it was asked by nowhere in it.
const all = follow();
await all.open();
assert.match(all.type, /^text\/event-stream/);
const job = await chat();
await all.until("the job is over", () => of(all, job).includes("done"));
assert.deepEqual(of(all, job), ["queued", "running", "done"]);
const done = all.frames.find((e) => e.job === job && e.state === "done");
assert.deepEqual([done.name, done.route, done.tokens_out, done.stop, done.error], ["default", "local", 3, "length", null]);
assert.ok(Math.abs(done.time_ms - Date.now()) < 60000);
const numbers = all.frames.map((e) => Number(e.id.split("-")[1]));
assert.deepEqual(numbers, numbers.map((n, i) => numbers[0] + i), "no number is left out");
assert.ok(!all.raw.includes("elephant"), "no event holds a question");

// From the last id on: what came meanwhile, and nothing twice.
all.close();
const later = await chat();
const resumed = follow({ headers: { "Last-Event-ID": all.id } });
await resumed.until("what was missed", () => of(resumed, later).includes("done"));
assert.deepEqual(of(resumed, later), ["queued", "running", "done"]);
assert.deepEqual(of(resumed, job), []);
assert.equal(resumed.frames[0].id.split("-")[1], String(Number(all.id.split("-")[1]) + 1));
resumed.close();

// An id of an earlier start of the node: said so, and all that there is since.
const older = follow({ headers: { "Last-Event-ID": "00000000-77" } });
await older.until("all there is", () => of(older, later).includes("done"));
assert.deepEqual([older.frames[0].event, older.frames[0].events], ["missed", null]);
assert.deepEqual(of(older, job), ["queued", "running", "done"]);
older.close();
for (const id of ["x", "0000000-1", "00000000-", "00000000-1x", "zzzzzzzz-1"]) {
  const bad = follow({ headers: { "Last-Event-ID": id } });
  await bad.open();
  assert.equal(bad.status, 400, id);
}

// Kinds.
const tasks = follow({ query: "?kinds=task,peer" });
await tasks.open();
const { task } = await (await post(`/kith/v1/jobs/${job}/verify`, {})).json();
await tasks.until("the task is over", () => tasks.frames.some((e) => e.task === task && e.state === "done"));
assert.ok(tasks.frames.every((e) => e.event === "task"));
tasks.close();
for (const query of ["?kinds=", "?kinds=blocks", "?kinds=job,,"]) {
  const bad = follow({ query });
  await bad.open();
  assert.equal(bad.status, 400, query);
}

// Keys: each sees what it may read, and of jobs its own; nothing once it is gone.
const use = run("key", "new", "--name", "use", "--scope", "use"), read = run("key", "new", "--scope", "read"), postKey = run("key", "new", "--scope", "post");
const with_ = (key) => ({ Authorization: "Bearer " + key });
const asker = follow({ headers: with_(use) }), reader = follow({ headers: with_(read) }), owner = follow(), poster = follow({ headers: with_(postKey) });
await Promise.all([asker.open(), reader.open(), owner.open(), poster.open()]);
assert.deepEqual([asker.status, reader.status, poster.status], [200, 200, 403]);
const own = await chat(with_(use)), others = await chat();
await owner.until("jobs and a block", () => of(owner, own).includes("done") && of(owner, others).includes("done") && owner.frames.some((e) => e.event === "block"));
await asker.until("its own job", () => of(asker, own).includes("done"));
await reader.until("a block", () => reader.frames.some((e) => e.event === "block"));
assert.ok(asker.frames.every((e) => e.job === own), "a key sees its own jobs and no block");
assert.ok(reader.frames.every((e) => !["job", "task"].includes(e.event)), "a reader sees no job");
const block = reader.frames.find((e) => e.event === "block");
assert.equal((await (await fetch(`${origin}/kith/v1/chain/blocks/${block.height}`)).json()).id, block.block);
for (const { id } of JSON.parse(run("key", "ls", "--json")).keys) run("key", "rm", id);
await chat();
await asker.until("a key that is gone ends its stream", () => asker.ended);
await reader.until("and the other", () => reader.ended);
owner.close();

// The command: the same, a line each; it goes on when its connection breaks.
const lines = [];
const told = spawn(kith, ["events", "--json", "--only", "job", "--count", "3"], { stdio: ["ignore", "pipe", "ignore"] });
const ended = new Promise((resolve) => told.on("close", resolve));
told.stdout.setEncoding("utf8").on("data", (d) => lines.push(...d.split("\n").filter(Boolean)));
await sleep(500);
const spoken = await chat();
assert.equal(await ended, 0);
assert.deepEqual(lines.map((l) => JSON.parse(l)).map((e) => [e.event, e.job, e.state]), ["queued", "running", "done"].map((s) => ["job", spoken, s]));

// A reader that does not read holds nobody up: it is told what it missed, and goes on.
const slow = follow({ local: true });
await slow.open();
slow.response.pause();
const since = Date.now();
for (let i = 0; i < 10; i++) {
  const answer = await post("/v1/completions", { model: "default", prompt: "a", max_tokens: 1, n: 128 });
  assert.equal(answer.status, 200);
  await answer.arrayBuffer(); // an answer that nobody reads keeps its connection, and this process, for most of a minute
}
const took = Date.now() - since;
slow.response.resume();
const last = await chat();
const missed = await slow.until("it is told", () => slow.frames.find((e) => e.event === "missed"));
await slow.until("it goes on", () => of(slow, last).includes("done"));
assert.ok(missed.events > 0);
const at = slow.frames.map((e) => Number(e.id.split("-")[1]));
for (let i = 1; i < at.length; i++)
  assert.equal(at[i] - at[i - 1], slow.frames[i].event === "missed" ? slow.frames[i].events : 1, "what is missing is what was counted");
slow.close();

// HEAD leaves nothing behind, and as many as may are let in.
assert.equal((await fetch(origin + "/kith/v1/events", { method: "HEAD" })).status, 200);
console.log(`events: order, resumption, kinds, keys ok; a slow reader missed ${missed.events} of 3,840 in ${took} ms`);
