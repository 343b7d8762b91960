// The API as raw HTTP: what proxies, scripts and hurried clients send.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { gzipSync } from "node:zlib";

const { hostname, port } = new URL(process.argv[2]);
const body = JSON.stringify({ model: "default", messages: [{ role: "user", content: "What is Kith?" }], max_tokens: 4 });
const json = { "Content-Type": "application/json" };

const ask = (method, path, headers = {}, content) =>
  new Promise((resolve, reject) => {
    const r = http.request({ host: hostname, port, method, path, headers }, (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (d) => (text += d)).on("end", () => resolve({ status: res.statusCode, headers: res.headers, text }));
    });
    r.on("error", reject).end(content);
  });
const error = (answer, status, code) => {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers["x-request-id"], /^[0-9a-f]{32}$/);
  const e = JSON.parse(answer.text).error;
  assert.deepEqual(Object.keys(e), ["message", "type", "param", "code"]);
  assert.equal(e.code, code);
  return answer;
};
// Bytes as they are; the answer until the server closes or says nothing for a while.
const raw = (...parts) =>
  new Promise((resolve) => {
    const s = net.connect(port, hostname);
    let text = "";
    s.setTimeout(700, () => s.destroy()).on("data", (d) => (text += d)).on("close", () => resolve(text)).on("error", () => {});
    for (const part of parts) s.write(part);
  });
const head = (line, ...fields) => [line + " HTTP/1.1", "Host: 127.0.0.1", ...fields, "", ""].join("\r\n");
const statuses = (text) => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map((m) => +m[1]);

// Methods: HEAD is GET without a body, others are told what will do.
const listed = await ask("GET", "/v1/models"), only = await ask("HEAD", "/v1/models");
assert.deepEqual([only.status, only.text, only.headers["content-length"]], [200, "", String(Buffer.byteLength(listed.text))]);
assert.equal(error(await ask("DELETE", "/v1/models"), 405, "bad_method").headers.allow, "GET, HEAD");
assert.equal(error(await ask("GET", "/v1/chat/completions"), 405, "bad_method").headers.allow, "POST");
error(await ask("GET", "/v1/none"), 404, "not_found");
// What is JSON and is not taken is not called something else.
for (const [odd, why] of [['{"seed":18446744073709551616}', /^JSON that is not taken: .*too big integer/], ['{"n":1e999}', /^JSON that is not taken: .*overflow/],
  ['{"n":1,"n":2}', /^JSON that is not taken: .*duplicate/], ['{"n":', /^not JSON: /]])
  assert.match(JSON.parse(error(await ask("POST", "/v1/completions", json, odd), 400, "bad_request").text).error.message, why);
// A height in a path is a number and nothing else.
for (const part of ["chain/blocks", "light", "chain/testimonies"])
  for (const odd of ["abc", "1x", "-1", "0x1", "%201", "99999999999999999999"])
    assert.equal((await ask("GET", `/kith/v1/${part}/${odd}`)).status, 400, `${part}/${odd}`);
assert.equal((await ask("GET", "/kith/v1/chain/blocks/latest")).status, 200);
assert.ok(!("access-control-allow-origin" in (await ask("OPTIONS", "/v1/models", { Origin: "http://a.example" })).headers));

// Bodies: their type, their coding, their size.
const post = (headers, content) => ask("POST", "/v1/chat/completions", headers, content);
assert.equal((await post({ "Content-Type": "application/json; charset=utf-8" }, body)).status, 200);
error(await post({ "Content-Type": "application/jsonl" }, body), 415, "bad_content_type");
error(await post({ "Content-Type": "text/plain" }, body), 415, "bad_content_type");
assert.equal(error(await post({ ...json, "Content-Encoding": "gzip" }, gzipSync(body)), 415, "bad_encoding").headers["accept-encoding"], "identity");
error(await post(json, "{"), 400, "bad_request");
error(await post(json, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 400, "bad_request");
error(await post(json, " ".repeat(9 << 20)), 413, "too_large");
const chunked = head("POST /v1/chat/completions", "Content-Type: application/json", "Transfer-Encoding: chunked");
assert.deepEqual(statuses(await raw(chunked, ...[...body].map((c) => `1\r\n${c}\r\n`), "0\r\n\r\n")), [200]);
const expecting = (n) => head("POST /v1/chat/completions", "Content-Type: application/json", "Expect: 100-continue", "Content-Length: " + n);
assert.deepEqual(statuses(await raw(expecting(body.length), body)), [100, 200]);
assert.deepEqual(statuses(await raw(expecting(9 << 20))), [413]);

// Connections: several questions on one, in their order; a whole address in place of a path.
const get = head("GET /health");
assert.deepEqual(statuses(await raw(get + get, head("GET /none"), get)), [200, 200, 404, 200]);
assert.deepEqual(statuses(await raw(head("GET http://127.0.0.1/health"))), [200]);
error(await ask("GET", "/health", { Host: "kith.example" }), 403, "bad_host");

// A job's fields are of the form they should have, or it is not made; so are the members of queries.
const wrong = (more) => ask("POST", "/kith/v1/jobs", json, JSON.stringify({ prompt: "x", params: { tokens: 1 }, ...more }));
for (const more of [{ private: "yes" }, { route: 5 }, { route: "far" }, { model: 7 }, { key: [1] }, { max_cost: 5 }, { prompt: 5 }, { messages: "x" },
  { params: [] }, { params: { tokens: 1.5 } }, { params: { top_k: -1 } }, { params: { seed: 7 } }, { params: { stop: "x" } }, { params: { temp: "1" } }])
  error(await wrong(more), 400, "bad_request");
const { job: made } = JSON.parse((await wrong({ private: true, model: null, key: null, route: null, params: null })).text);
for (const query of ["/events?from=-1", "/events?from=x", "?until=paid", "/events?from=4294967296", "?wait=soon", "?wait=", "?wait=1.2.3", "?wait=-1"])
  error(await ask("GET", `/kith/v1/jobs/${made}${query}`), 400, "bad_request");
error(await ask("GET", "/kith/v1/jobs?limit=many"), 400, "bad_request");
for (const path of [`tx/${"00".repeat(32)}?wait=x`, "chain/wait?height=0&wait=x", "tasks/1?wait=x"])
  error(await ask("GET", `/kith/v1/${path}`), 400, "bad_request");
assert.equal(JSON.parse((await ask("GET", "/kith/v1/jobs?limit=1")).text).jobs.length, 1);

// A stream of a job that only its head was asked for leaves nothing behind.
const job = (await post(json, body)).headers["kith-job"];
assert.equal((await ask("HEAD", `/kith/v1/jobs/${job}/events`)).status, 200);
assert.equal((await ask("GET", "/health")).status, 200);
// More answers at once than a node takes are told when to come again; those that were dropped make room.
const many = JSON.stringify({ ...JSON.parse(body), n: 128, max_tokens: 200, temperature: 2 });
const stop = new AbortController();
const crowd = Array.from({ length: 9 }, () =>
  fetch(`http://${hostname}:${port}/v1/chat/completions`, { method: "POST", headers: json, body: many, signal: stop.signal }));
const full = await Promise.race(crowd);
assert.deepEqual([full.status, full.headers.get("retry-after"), (await full.json()).error.code], [429, "1", "busy"]);
stop.abort();
await Promise.allSettled(crowd);
let freed;
for (let i = 0; i < 50 && freed?.status !== 200; i++) freed = await post(json, body);
assert.equal(freed.status, 200);
// What Prometheus reads: a head in front of each name, once; base units; the counters move.
const metrics = async () => {
  const r = await ask("GET", "/metrics"), found = new Map(), heads = new Set();
  assert.equal(r.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  let name;
  for (const line of r.text.trimEnd().split("\n")) {
    const head = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line), value = /^([a-z_]+)(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? (-?[0-9.e+-]+)$/.exec(line);
    assert.ok(head || value, line);
    if (head?.[1] === "HELP") assert.ok(!heads.has(head[2]) && heads.add(head[2]), line);
    if (head?.[1] === "TYPE") assert.ok(head[2].endsWith("_total") === (head[3] === "counter"), line);
    if (head) name = head[2];
    else assert.equal(value[1], name, "under its own head");
    if (value) found.set(value[1] + (value[2] ?? ""), Number(value[4]));
  }
  return found;
};
const at = await metrics();
assert.equal((await post(json, body)).status, 200);
const then = await metrics();
const grew = (name) => then.get(name) - at.get(name);
assert.deepEqual([grew("kith_jobs_asked_total"), grew('kith_jobs_ended_total{state="done"}'), grew("kith_tokens_written_total")], [1, 1, 4]);
assert.ok(grew("kith_tokens_read_total") > 0 && then.get("process_resident_memory_bytes") > 1e6 && then.get("process_open_fds") > 3);
assert.ok(Math.abs(then.get("process_start_time_seconds") - Date.now() / 1000) < 3600);
assert.ok([...then.keys()].some((k) => k.startsWith("kith_worker_memory_bytes{model=")) && then.has('kith_build_info{version="0.1.0"}'));
console.log("raw HTTP: methods, bodies, connections ok");
