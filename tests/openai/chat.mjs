// What an application developer does first, with the official client; any surprise is a failure.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "What is Kith?" }];

const models = await client.models.list();
assert.ok(models.data.some((m) => m.id === "default"), "the default model is listed");

const whole = await client.chat.completions.create({
  model: "default", messages, temperature: 0, max_tokens: 40, seed: 7,
});
assert.equal(whole.object, "chat.completion");
assert.equal(whole.choices[0].message.role, "assistant");
assert.ok(whole.choices[0].message.content.length > 0, "there is text");
assert.ok(["stop", "length"].includes(whole.choices[0].finish_reason));
assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);

let text = "", last = null, usage = null;
const stream = await client.chat.completions.create({
  model: "default", messages, temperature: 0, max_tokens: 40, seed: 7, stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  assert.equal(chunk.object, "chat.completion.chunk");
  if (chunk.usage) usage = chunk.usage;
  if (!chunk.choices.length) continue;
  text += chunk.choices[0].delta.content ?? "";
  last = chunk.choices[0].finish_reason ?? last;
}
assert.equal(text, whole.choices[0].message.content, "streamed and whole are the same answer");
assert.equal(last, whole.choices[0].finish_reason);
assert.equal(usage.total_tokens, whole.usage.total_tokens);

// A sampled answer is the seed's.
const sampled = async (seed) =>
  (await client.chat.completions.create({ model: "default", messages, temperature: 1, max_tokens: 24, seed }))
    .choices[0].message.content;
assert.equal(await sampled(3), await sampled(3));

const fails = async (params, status, code) => {
  try {
    await client.chat.completions.create({ model: "default", messages, ...params });
    assert.fail(`should have been ${status}`);
  } catch (e) {
    assert.equal(e.status, status, e.message);
    if (code) assert.equal(e.code, code);
  }
};
await fails({ model: "no-such-model" }, 404);
await fails({ messages: [] }, 400);
await fails({ temperature: 9 }, 400);
await fails({ messages: [{ role: "user", content: "long ".repeat(4000) }] }, 400, "context_length_exceeded");

// Answers that keep to a schema, and to being an object.
const schema = {
  type: "object", additionalProperties: false, required: ["topic", "sure"],
  properties: { topic: { type: "string", maxLength: 30 }, sure: { type: "number", minimum: 0, maximum: 1 } },
};
const formatted = async (response_format, max_tokens = 120) =>
  (await client.chat.completions.create({ model: "default", messages, temperature: 1, seed: 5, max_tokens, response_format })).choices[0];
const kept = await formatted({ type: "json_schema", json_schema: { name: "answer", strict: true, schema } });
assert.equal(kept.finish_reason, "stop");
const answer = JSON.parse(kept.message.content);
assert.deepEqual(Object.keys(answer), ["topic", "sure"]);
assert.ok(answer.topic.length <= 30 && answer.sure >= 0 && answer.sure <= 1);
assert.ok((await formatted({ type: "json_object" }, 20)).message.content.startsWith("{"));
assert.ok((await formatted({ type: "text" }, 8)).message.content.length > 0);
const formats = (response_format) => fails({ response_format }, 400);
await formats({ type: "xml" });
await formats({ type: "json_schema" });
await formats({ type: "json_schema", json_schema: { name: "a", schema: { not: {} } } });

// Tools are taken, as are the messages of a call; the default model says its answer in text.
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
const withTools = { model: "default", messages, tools, temperature: 0, max_tokens: 40, seed: 7 };
const told = await client.chat.completions.create(withTools);
assert.ok(told.choices[0].message.content.length > 0 && !told.choices[0].message.tool_calls);
let toldText = "";
for await (const chunk of await client.chat.completions.create({ ...withTools, stream: true }))
  toldText += chunk.choices[0]?.delta.content ?? "";
assert.equal(toldText, told.choices[0].message.content, "streamed and whole are the same answer with tools, too");
const call = { id: "abcdefghi", type: "function", function: { name: "weather", arguments: "{}" } };
await client.chat.completions.create({ ...withTools, messages: [...messages,
  { role: "assistant", content: null, tool_calls: [call] },
  { role: "tool", tool_call_id: "abcdefghi", content: "rain" }] });
await fails({ tools: [{ type: "function" }] }, 400);
await fails({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] }, 400);

// A client that hangs up in the middle leaves the server well.
const cut = await client.chat.completions.create({ model: "default", messages, max_tokens: 200, stream: true });
for await (const _ of cut) break;
cut.controller.abort();
assert.ok((await client.models.list()).data.length > 0);
console.log("openai client: ok");
