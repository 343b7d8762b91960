// Keys: from this machine none is needed, from elsewhere one is, and each is for what it says.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import http from "node:http";
import OpenAI from "openai";

const [, , base, kith] = process.argv;
const { hostname, port } = new URL(base);
const run = (...words) => execFileSync(kith, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
const messages = [{ role: "user", content: "What is Kith?" }];
const body = JSON.stringify({ model: "default", messages, max_tokens: 3 });

// As a proxy on this machine would hand on what came from elsewhere.
const far = { "X-Forwarded-For": "192.0.2.1" };
const ask = (method, path, key, headers = far, host = hostname) =>
  new Promise((resolve, reject) => {
    const all = { "Content-Type": "application/json", ...headers, ...(key && { Authorization: "Bearer " + key }) };
    const r = http.request({ host, port, method, path, headers: all }, (res) => {
      let text = "";
      res.on("data", (d) => (text += d)).on("end", () => resolve({ status: res.statusCode, headers: res.headers, text }));
    });
    r.on("error", reject).end(method === "POST" ? body : undefined);
  });
const status = async (...words) => (await ask(...words)).status;
const chat = "/v1/chat/completions";

// Without a key.
assert.equal(await status("POST", chat, null, {}), 200);
assert.equal(await status("POST", chat, "sk-anything", {}), 200);
const refused = await ask("POST", chat, null);
assert.equal(refused.status, 401);
assert.equal(refused.headers["www-authenticate"], "Bearer");
assert.equal(JSON.parse(refused.text).error.code, "invalid_api_key");
assert.equal(await status("POST", chat, "sk-anything"), 401);
assert.equal(await status("POST", chat, null, { Forwarded: "for=192.0.2.1" }), 401);
for (const path of ["/v1/models", "/metrics", "/kith/v1/status"]) assert.equal(await status("GET", path, null), 401);
for (const path of ["/health", "/ready", "/openapi.json"]) assert.equal(await status("GET", path, null), 200);

// By a name that the node was told of, which a page's rebound name is not; by its address from outside.
assert.equal(await status("POST", chat, null, { Host: "node.example" }), 401);
assert.equal(await status("POST", chat, null, { Host: "other.example" }), 403);

// Each key for what it is for.
const use = run("key", "new", "--name", "app"), read = run("key", "new", "--scope", "read", "--scope", "post");
assert.match(use, /^kith_[0-9a-f]{64}$/);
assert.equal(await status("POST", chat, use), 200);
assert.equal(await status("POST", chat, use, { Host: "NODE.example:80" }), 200);
assert.equal(await status("GET", "/v1/models", use), 200);
assert.equal(await status("GET", "/metrics", use), 403);
assert.equal(await status("GET", "/metrics", read), 200);
assert.equal(await status("POST", chat, read), 403);
assert.equal(await status("POST", chat, read, {}), 403); // also here: who shows a key is held to it
assert.equal(await status("POST", "/kith/v1/tx", use), 403);
assert.equal(await status("POST", "/kith/v1/tx", read), 400);
assert.equal(await status("GET", "/kith/v1/keys", use), 403);
const client = new OpenAI({ baseURL: base, apiKey: use, defaultHeaders: far, maxRetries: 0 });
assert.ok((await client.chat.completions.create({ model: "default", messages, max_tokens: 3 })).choices.length);
await assert.rejects(new OpenAI({ baseURL: base, apiKey: "x", defaultHeaders: far, maxRetries: 0 }).models.list(),
  (e) => e instanceof OpenAI.AuthenticationError);

// A cap is for what costs something: what a model here answers does not.
const capped = run("key", "new", "--cap", "0");
assert.equal(await status("POST", chat, capped), 200);
const paid = await fetch(base + "/chat/completions", { method: "POST",
  headers: { "Content-Type": "application/json", Authorization: "Bearer " + capped },
  body: JSON.stringify({ model: "default", messages, kith: { route: "network" } }) });
assert.deepEqual([paid.status, (await paid.json()).error.code], [402, "budget"]);

// A conversation is its key's and the node's user's: another key neither sees nor forgets it, whatever its id.
const talk = "5".repeat(64), api = base.replace(/v1$/, "kith/v1");
const kithApi = async (path, key, said) => {
  const r = await fetch(api + path, { method: said ? "POST" : "GET", body: said && JSON.stringify(said), headers: { "Content-Type": "application/json", ...(key && { Authorization: "Bearer " + key }) } });
  return { status: r.status, ...(await r.json()) };
};
const question = "a long question,\n" + "ä".repeat(200);
for (const chat of [5, "5", "0".repeat(64), "g".repeat(64)]) assert.equal((await kithApi("/jobs", use, { messages, chat })).status, 400, `chat ${chat}`);
assert.equal((await kithApi("/jobs", use, { prompt: "x", chat: talk })).status, 400);
const { job } = await kithApi("/jobs", use, { messages: [{ role: "user", content: question }], chat: talk, params: { tokens: 3 } });
await kithApi(`/jobs/${job}?wait=20&until=done`, use);
const [mine] = (await kithApi("/chats", use)).chats;
assert.deepEqual([mine.chat, mine.job, mine.jobs], [talk, job, 1]);
assert.ok(question.replace("\n", " ").startsWith(mine.title) && mine.title.length > 60 && mine.title.length < question.length, mine.title);
assert.equal((await kithApi("/chats/" + talk, use)).turns[0].question, question);
assert.deepEqual((await kithApi("/chats", capped)).chats, []);
assert.equal((await kithApi("/chats/" + talk, capped)).status, 404);
assert.equal((await kithApi(`/chats/${talk}/remove`, capped, {})).status, 404);
assert.equal((await kithApi("/chats", read)).status, 403);
assert.equal((await kithApi("/chats")).chats.length, 1);
assert.equal((await kithApi(`/chats/${talk}/remove`, use, {})).status, 200);
assert.equal((await kithApi("/chats/" + talk)).status, 404);

// Listed without the key itself; gone when taken back.
const { keys } = JSON.parse(run("--json", "key", "ls"));
assert.deepEqual(keys.map((k) => [k.name, k.scopes, k.cap ?? null, k.spent]),
  [["app", ["use"], null, "0"], ["", ["read", "post"], null, "0"], ["", ["use"], "0", "0"]]);
assert.ok(!JSON.stringify(keys).includes(use.slice(5)));
run("key", "rm", keys[0].id);
assert.equal(await status("POST", chat, use), 401);
assert.equal(await status("POST", chat, use, {}), 401);
assert.equal(spawnSync(kith, ["key", "rm", keys[0].id]).status, 1);
assert.equal(spawnSync(kith, ["key", "new", "--scope", "all"]).status, 3);
console.log("keys of the API: ok");
