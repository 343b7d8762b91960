// The forms that clients rely on beside the answers: models one by one, errors with their field, forced calls of tools,
// chunks without usage, headers. With the official client where it shows them, and by hand where it does not.
import assert from "node:assert/strict";
import OpenAI from "openai";

const base = process.argv[2];
const client = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "What is Kith?" }];
const chat = (params) => client.chat.completions.create({ model: "default", messages, max_tokens: 8, ...params });

// Models: listed with their context before any of them ran, and one by one.
for (const m of (await client.models.list()).data) {
  assert.equal(m.context_length, 512);
  assert.equal(m.max_model_len, 512);
  assert.ok(m.created > 1.7e9);
  assert.deepEqual(await client.models.retrieve(m.id), m);
}
await assert.rejects(client.models.retrieve("org/none"), (e) => e.status === 404 && e.code === "model_not_found");

// Errors: status, code and the field.
const fails = (params, status, param, code) =>
  assert.rejects(chat(params), (e) => {
    assert.deepEqual([e.status, e.param, e.type], [status, param, "invalid_request_error"], e.message);
    if (code) assert.equal(e.code, code);
    return true;
  });
await fails({ model: "none" }, 404, "model", "model_not_found");
await fails({ temperature: 3 }, 400, "temperature");
await fails({ stream: "yes" }, 400, "stream");
await fails({ stream_options: { include_usage: 1 } }, 400, "stream_options");
await fails({ stop: Array(17).fill("a") }, 400, "stop", "bad_request");
for (const bad of [{ 5: -101 }, { 5: "1" }, { x: 1 }, { "05": 1 }, { "-1": 1 }, [1], Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 1]))])
  await fails({ logit_bias: bad }, 400, "logit_bias");
await fails({ logit_bias: { 999999: 1 } }, 400, "logit_bias"); // no token of this model
await fails({ logit_bias: { 5: 1 }, kith: { route: "network" } }, 400, "logit_bias");
await fails({ modalities: ["text", "audio"] }, 400, "modalities");
await fails({ kith: { max_cost: 5 } }, 400, "kith");
await fails({ messages: [{ role: "user", content: "long ".repeat(4000) }] }, 400, "messages", "context_length_exceeded");
for (const bad of ["x", { content: "x" }, { role: "alien", content: "x" }, { role: "user" }, { role: "user", content: 5 },
  { role: "user", content: null }, { role: "user", content: [{ type: "text" }] },
  { role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }, { role: "assistant", content: null },
  { role: "assistant", tool_calls: [{ id: "a", type: "function", function: { name: "b" } }] }])
  await fails({ messages: [...messages, bad] }, 400, "messages");
await chat({ messages: [{ role: "developer", content: "Be brief." }, { role: "user", name: "ada", content: "" }] });
await chat({ logit_bias: {}, modalities: ["text"], stream: null, stop: null, seed: null });

// A call that has to be made is made, with arguments that keep to the tool's schema; streamed as whole.
const city = { $ref: "#/$defs/city" };
const tool = (name, parameters, more) => ({ type: "function", function: { name, parameters, ...more } });
const tools = [
  tool("weather", { type: "object", properties: { city, days: { type: "integer", minimum: 1, maximum: 7 } },
    required: ["city", "days"], additionalProperties: false, $defs: { city: { enum: ["Rome", "Oslo"] } } }),
  tool("now"),
];
const calls = async (params) => {
  const all = { tools, seed: 4, temperature: 1, max_tokens: 100, ...params };
  const whole = (await chat(all)).choices[0];
  assert.equal(whole.finish_reason, "tool_calls");
  assert.equal(whole.message.content, null);
  const streamed = await client.chat.completions.stream({ model: "default", messages, ...all }).finalChatCompletion();
  const bare = (list) => list.map((c) => [c.id.length, c.function.name, JSON.parse(c.function.arguments)]);
  assert.deepEqual(bare(streamed.choices[0].message.tool_calls), bare(whole.message.tool_calls));
  return whole.message.tool_calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]);
};
const [[name, given]] = await calls({ tool_choice: { type: "function", function: { name: "weather" } } });
assert.equal(name, "weather");
assert.ok(["Rome", "Oslo"].includes(given.city) && given.days >= 1 && given.days <= 7);
assert.deepEqual(Object.keys(given), ["city", "days"]);
assert.deepEqual(await calls({ tools: [tools[1]], tool_choice: "required" }), [["now", {}]]);
assert.equal((await calls({ tool_choice: "required" })).length, 1);
const allowed = (mode, ...list) => ({ tool_choice: { type: "allowed_tools", allowed_tools: { mode, tools: list.map((n) => ({ type: "function", function: { name: n } })) } } });
assert.deepEqual(await calls(allowed("required", "now")), [["now", {}]]);
await fails({ tools, ...allowed("auto", "other") }, 400, "tool_choice");
const odd = { type: "object", properties: { a: { not: {} } } }; // no schema of ours: any object, unless it is strict
assert.equal((await calls({ tools: [tool("odd", { type: "object", properties: {}, not: {} }), tools[1]],
  tool_choice: { type: "function", function: { name: "now" } } }))[0][0], "now");
await fails({ tools: [tool("odd", odd, { strict: true })], tool_choice: "required" }, 400, "tools");
await fails({ tool_choice: "required" }, 400, "tool_choice");
await fails({ tools, tool_choice: { type: "function", function: { name: "other" } } }, 400, "tool_choice");
await fails({ tools, tool_choice: "sometimes" }, 400, "tool_choice");
await fails({ response_format: { type: "json_schema", json_schema: { name: "a", schema: { not: {} } } } }, 400, "response_format");
assert.ok((await chat({ tools, tool_choice: "none" })).choices[0].message.content);

// Usage: null in each chunk but the last where it was asked for, absent where not.
const frames = async (params) => {
  const r = await fetch(base + "/chat/completions", { method: "POST", headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: "default", messages, max_tokens: 8, stream: true, odd_field: 1, ...params }) });
  assert.match(r.headers.get("content-type"), /^text\/event-stream/);
  assert.equal(r.headers.get("kith-ignored"), "odd_field");
  assert.equal(r.headers.get("x-request-id"), r.headers.get("kith-job"));
  const parts = (await r.text()).split("\n\n");
  assert.deepEqual(parts.splice(-2), ["data: [DONE]", ""]);
  return parts.map((p) => JSON.parse(p.replace(/^data: /, "")));
};
const used = await frames({ stream_options: { include_usage: true } });
assert.ok(used.slice(0, -1).every((f) => f.usage === null && f.choices.length === 1));
assert.ok(used.at(-1).usage.total_tokens > 8 && used.at(-1).choices.length === 0);
assert.ok((await frames({})).every((f) => !("usage" in f)));

// Fields that nobody reads are named, of each form those that it has not.
const ignored = async (path, body) =>
  (await fetch(base + path, { method: "POST", headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: "default", max_tokens: 1, ...body }) })).headers.get("kith-ignored");
assert.equal(await ignored("/chat/completions", { messages, prompt: "x" }), "prompt");
assert.equal(await ignored("/completions", { prompt: "x", tools: [], seed: 1 }), "tools");
assert.equal(await ignored("/embeddings", { input: "x", user: "ada" }), "max_tokens");
console.log("openai client: models, errors, forced calls, usage ok");
