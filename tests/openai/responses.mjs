// Responses with the official client: whole, streamed, by its helpers, with tools, schemas, logprobs; and what is refused.
import assert from "node:assert/strict";
import OpenAI from "openai";

const base = process.argv[2];
const client = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 });
const ask = (params) => client.responses.create({ model: "default", input: "What is Kith?", temperature: 0, seed: 7, ...params });
const messages = [{ role: "user", content: "What is Kith?" }];
const chat = (params) => client.chat.completions.create({ model: "default", messages, temperature: 0, seed: 7, ...params });

// A text, and the same question as a chat: the same answer, of the same job's worth.
const whole = await ask({ max_output_tokens: 20 }), chatted = await chat({ max_tokens: 20 });
assert.equal(whole.object, "response");
assert.equal(whole.output_text, chatted.choices[0].message.content);
assert.deepEqual([whole.status, whole.incomplete_details.reason, whole.completed_at], ["incomplete", "max_output_tokens", null]);
assert.deepEqual([whole.output[0].role, whole.output[0].status, whole.error], ["assistant", "incomplete", null]);
assert.deepEqual([whole.usage.input_tokens, whole.usage.output_tokens, whole.usage.total_tokens],
  [chatted.usage.prompt_tokens, chatted.usage.completion_tokens, chatted.usage.total_tokens]);
assert.equal(whole.kith.digest, chatted.kith.digest);
assert.equal(whole.id, "resp_" + whole.kith.job);
assert.ok(Math.abs(whole.created_at - Date.now() / 1000) < 60);

// What was asked is repeated; what is not kept is not said to be.
const given = { instructions: "Be brief.", metadata: { a: "b" }, user: "ada", store: true, temperature: 0.7, top_p: 0.9, max_output_tokens: 9 };
const told = await ask(given);
for (const [name, value] of Object.entries(given)) assert.deepEqual(told[name], name === "store" ? false : value, name);
assert.equal(told.previous_response_id, null);
const system = [{ role: "system", content: "Be brief." }, ...messages];
assert.equal(told.usage.input_tokens, (await chat({ messages: system, max_tokens: 1 })).usage.prompt_tokens);

// Streams: events with their numbers; the client's own helper ends with what the whole answer is.
const bare = (r) => [r.status, r.output_text, r.usage.total_tokens, r.output.map((o) => [o.type, o.status, o.content?.[0].text ?? o.arguments])];
const types = [];
for await (const e of await ask({ max_output_tokens: 20, stream: true })) {
  assert.equal(e.sequence_number, types.length);
  types.push(e.type);
}
assert.deepEqual(types.slice(0, 4), ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]);
assert.deepEqual(types.slice(-4), ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete"]);
assert.ok(types.slice(4, -4).every((t) => t === "response.output_text.delta") && types.length > 8);
let deltas = "", snapshot = "";
const helper = client.responses.stream({ model: "default", input: "What is Kith?", temperature: 0, max_output_tokens: 20 });
helper.on("response.output_text.delta", (e) => { deltas += e.delta; snapshot = e.snapshot; });
assert.deepEqual(bare(await helper.finalResponse()), bare(whole));
assert.equal(deltas, whole.output_text);
assert.equal(snapshot, whole.output_text);

// Items: a talk that goes on, as a client keeps it from answers; the same prompt as the chat's.
const talk = [{ role: "developer", content: "Be brief." }, { role: "user", content: [{ type: "input_text", text: "What is" }, { type: "input_text", text: "Kith?" }] }];
const first = await ask({ input: talk, max_output_tokens: 6 });
talk.push(...first.output, { role: "user", content: "And then?" });
const second = await ask({ input: talk, max_output_tokens: 6 });
const turns = [{ role: "system", content: "Be brief." }, { role: "user", content: "What is\nKith?" }, { role: "assistant", content: first.output_text }, { role: "user", content: "And then?" }];
const same = await chat({ messages: turns, max_tokens: 6 });
assert.deepEqual([second.output_text, second.usage.input_tokens], [same.choices[0].message.content, same.usage.prompt_tokens]);

// Answers to a schema, parsed by the client.
const schema = { type: "object", additionalProperties: false, required: ["topic", "sure"],
  properties: { topic: { type: "string", maxLength: 30 }, sure: { type: "number", minimum: 0, maximum: 1 } } };
const format = { type: "json_schema", name: "answer", strict: true, schema };
const parsed = await client.responses.parse({ model: "default", input: "What is Kith?", temperature: 1, seed: 5, max_output_tokens: 120, text: { format } });
assert.equal(parsed.status, "completed");
assert.ok(parsed.completed_at >= parsed.created_at);
assert.deepEqual(Object.keys(JSON.parse(parsed.output_text)), ["topic", "sure"]);
assert.deepEqual(parsed.text.format, format);
const object = await ask({ text: { format: { type: "json_object" } }, max_output_tokens: 12 });
assert.ok(object.output_text.startsWith("{"));

// Calls: one that has to be made, with arguments that keep to the schema; then its output; streamed as whole.
const tools = [
  { type: "function", name: "weather", description: "of a city", strict: true, parameters: { type: "object", additionalProperties: false,
    required: ["city", "days"], properties: { city: { enum: ["Rome", "Oslo"] }, days: { type: "integer", minimum: 1, maximum: 7 } } } },
  { type: "function", name: "now", strict: false, parameters: null },
];
const forced = { tools, tool_choice: { type: "function", name: "weather" }, temperature: 1, seed: 4, max_output_tokens: 100 };
const called = await client.responses.parse({ model: "default", input: "What is Kith?", ...forced });
assert.deepEqual(called.output.map((o) => [o.type, o.name, o.status]), [["function_call", "weather", "completed"]]);
assert.ok(["Rome", "Oslo"].includes(called.output[0].parsed_arguments.city));
assert.equal(called.output_text, "");
assert.deepEqual([called.tools, called.tool_choice], [tools, forced.tool_choice]);
const calling = client.responses.stream({ model: "default", input: "What is Kith?", ...forced });
let args = "";
calling.on("response.function_call_arguments.delta", (e) => { args = e.snapshot; });
assert.deepEqual(bare(await calling.finalResponse()), bare(called));
assert.equal(args, called.output[0].arguments);
const { id: _id, status: _status, parsed_arguments: _parsed, ...call } = called.output[0];
const output = { type: "function_call_output", call_id: call.call_id, output: "rain" };
const after = await ask({ tools, input: [{ role: "user", content: "And?" }, call, output], max_output_tokens: 8 });
const afterChat = await chat({ tools: tools.map(({ type, ...f }) => ({ type, function: f })), max_tokens: 8, messages: [{ role: "user", content: "And?" },
  { role: "assistant", content: null, tool_calls: [{ id: call.call_id, type: "function", function: { name: call.name, arguments: call.arguments } }] },
  { role: "tool", tool_call_id: call.call_id, content: "rain" }] });
assert.deepEqual([after.output_text, after.usage.input_tokens], [afterChat.choices[0].message.content, afterChat.usage.prompt_tokens]);
assert.deepEqual((await ask({ ...forced, tools: [tools[1]], tool_choice: "required" })).output.map((o) => o.name), ["now"]);
const allowed = await ask({ ...forced, tool_choice: { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "now" }] } });
assert.deepEqual([allowed.output.map((o) => o.name), allowed.tools.length, allowed.tool_choice.type], [["now"], 2, "allowed_tools"]);
assert.ok((await ask({ tools, tool_choice: "none", max_output_tokens: 8 })).output_text);

// Logprobs: those of a chat.
const likely = { include: ["message.output_text.logprobs"], top_logprobs: 2, max_output_tokens: 12 };
const spoken = await ask(likely), spokenChat = await chat({ logprobs: true, top_logprobs: 2, max_tokens: 12 });
assert.deepEqual(spoken.output[0].content[0].logprobs, spokenChat.choices[0].logprobs.content);
const heard = [];
for await (const e of await ask({ ...likely, stream: true })) {
  if (e.type === "response.output_text.delta") heard.push(...e.logprobs);
  if (e.type === "response.output_text.done") assert.deepEqual(e.logprobs, heard);
}
assert.deepEqual(heard, spokenChat.choices[0].logprobs.content);

// What is refused, with its field; a refusal comes before the stream.
const fails = (params, status, param, code = "bad_request") =>
  assert.rejects(ask(params), (e) => {
    assert.deepEqual([e.status, e.param, e.code, e.type], [status, param, code, "invalid_request_error"], e.message);
    return true;
  });
await fails({ model: "none" }, 404, "model", "model_not_found");
await fails({ input: [] }, 400, "input");
await fails({ input: "long ".repeat(4000), stream: true }, 400, "input", "context_length_exceeded");
await fails({ previous_response_id: whole.id }, 400, "previous_response_id");
await fails({ background: true }, 400, "background");
await fails({ truncation: "auto" }, 400, "truncation");
await fails({ tools: [{ type: "web_search" }] }, 400, "tools");
await fails({ input: [output] }, 400, "input");
await fails({ include: ["message.output_text.logprobs"], kith: { route: "network" } }, 400, "logprobs");
await assert.rejects(client.responses.retrieve(whole.id), (e) => e.status === 404);

// Fields that nobody reads are named, also within text.
const raw = (body) => fetch(base + "/responses", { method: "POST", headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ model: "default", input: "x", max_output_tokens: 1, ...body }) });
const named = await raw({ reasoning: { effort: "low", summary: "auto" }, max_tokens: 5, text: { verbosity: "low", format: { type: "text" } } });
assert.equal(named.headers.get("kith-ignored"), "max_tokens, text.verbosity, reasoning.summary");
assert.equal(named.headers.get("kith-job"), (await named.json()).kith.job);

// A client that hangs up in the middle leaves the server well.
const cut = await ask({ max_output_tokens: 200, stream: true });
for await (const _ of cut) break;
cut.controller.abort();
assert.ok((await ask({ max_output_tokens: 2 })).output_text);
console.log("openai client: responses ok");
