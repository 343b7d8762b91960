// Models that answer in channels, with the official client: what is thought, what is said and what is called stand each in its place,
// and what is held to a schema begins in the channel that it is for.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];
const ask = (params) => client.chat.completions.create({ model: "script", messages, temperature: 0, seed: 7, ...params });
const respond = (params) => client.responses.create({ model: "script", input: "hi", temperature: 0, seed: 7, ...params });
const fails = (promise, param) => assert.rejects(promise, (e) => { assert.deepEqual([e.status, e.param], [400, param], e.message); return true; });

// What was thought, whole and streamed.
const chat = await ask({});
assert.deepEqual([chat.choices[0].message.content, chat.choices[0].message.reasoning_content], ["It is four.", "Two and two."]);
const whole = await respond({});
assert.deepEqual(whole.output.map((o) => [o.type, o.status, o.content[0].type, o.content[0].text]),
  [["reasoning", "completed", "reasoning_text", "Two and two."], ["message", "completed", "output_text", "It is four."]]);
assert.deepEqual([whole.output_text, whole.output[0].summary, whole.reasoning], ["It is four.", [], null]);
assert.equal(whole.kith.digest, chat.kith.digest);
const types = [];
let thought = "";
for await (const e of await respond({ stream: true })) {
  if (e.type === "response.reasoning_text.delta") { assert.equal(e.output_index, 0); thought += e.delta; }
  if (e.type === "response.output_text.delta") assert.equal(e.output_index, 1);
  if (types.at(-1) !== e.type) types.push(e.type);
}
assert.equal(thought, "Two and two.");
assert.deepEqual(types.map((t) => t.slice("response.".length)), ["created", "in_progress",
  "output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done", "content_part.done", "output_item.done",
  "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed"]);
const helper = client.responses.stream({ model: "script", input: "hi", temperature: 0 });
const deltas = [];
helper.on("response.reasoning_text.delta", (e) => deltas.push(e.delta));
const bare = (r) => [r.output_text, r.output.map((o) => [o.type, o.status, o.content?.map((c) => c.text), o.arguments])];
assert.deepEqual(bare(await helper.finalResponse()), bare(whole));
assert.equal(deltas.join(""), "Two and two.");

// An answer that ends while it thinks is no message.
const cut = await respond({ max_output_tokens: 4 });
assert.deepEqual([cut.status, cut.output.map((o) => [o.type, o.status, o.content[0].text])], ["incomplete", [["reasoning", "incomplete", "Two"]]]);

// Items go back as they are, and reach the template: what was thought takes its place in front of what was said.
const talk = (items) => respond({ input: [{ role: "user", content: "hi" }, ...items, { role: "user", content: "and?" }], max_output_tokens: 1 });
const tokens = async (items) => (await talk(items)).usage.input_tokens;
const heads = "assistant".length + 1 + 1 + "analysis".length + 1 + 1; // <|start|> <|channel|> <|message|> <|end|>
assert.equal(await tokens(whole.output) - await tokens([whole.output[1]]), heads + "Two and two.".length);
await fails(talk([{ type: "reasoning", id: "rs_1", summary: [], content: [{ type: "text", text: "x" }] }]), "input");
assert.equal(await tokens([{ type: "reasoning", id: "rs_1", summary: [] }, whole.output[1]]), await tokens([whole.output[1]]));

// How much it is to think reaches the template, by either name.
const length = async (params) => (await ask({ max_tokens: 1, ...params })).usage.prompt_tokens;
const free = await length({}); // medium
assert.equal(await length({ reasoning_effort: "low" }), free - 3);
assert.equal(await length({ chat_template_kwargs: { reasoning_effort: "minimal" } }), free + 1);
assert.equal(await length({ reasoning_effort: "none" }), free + " thinking False".length);
assert.equal(await length({ chat_template_kwargs: { enable_thinking: true } }), free + " thinking True".length);
const low = await respond({ reasoning: { effort: "low" } });
assert.deepEqual([low.usage.input_tokens, low.reasoning.effort], [free - 3, "low"]);
assert.equal((await respond({ chat_template_kwargs: { reasoning_effort: "low" } })).usage.input_tokens, free - 3);
await fails(ask({ reasoning_effort: "much" }), "reasoning_effort");
await fails(ask({ reasoning_effort: "low", chat_template_kwargs: { reasoning_effort: "high" } }), "reasoning_effort");
await fails(ask({ chat_template_kwargs: { builtin_tools: ["python"] } }), "chat_template_kwargs");
await fails(ask({ chat_template_kwargs: { messages: "x" } }), "chat_template_kwargs");
await fails(ask({ chat_template_kwargs: Object.fromEntries([...Array(33).keys()].map((i) => ["v" + i, i])) }), "chat_template_kwargs");
await fails(respond({ reasoning: { effort: "much" } }), "reasoning");
await fails(respond({ reasoning: "low" }), "reasoning");

// To a schema, of a model that would say anything: no thought, no mark, and the prompt ends with the head of the channel.
const random = { model: "random", temperature: 1, seed: 3 };
const bound = free + " thinking False".length;
const schema = { type: "object", additionalProperties: false, required: ["a"], properties: { a: { enum: ["x", "y"] } } };
const format = { type: "json_schema", json_schema: { name: "n", schema } };
const kept = await ask({ ...random, response_format: format, max_tokens: 60 });
assert.ok(["x", "y"].includes(JSON.parse(kept.choices[0].message.content).a), kept.choices[0].message.content);
assert.equal(kept.choices[0].message.reasoning_content, undefined);
assert.equal(kept.usage.prompt_tokens, bound + 1 + "final".length + 1);
const parsed = await client.responses.parse({ ...random, input: "hi", text: { format: { type: "json_schema", name: "n", schema } }, max_output_tokens: 60 });
assert.deepEqual([parsed.output.map((o) => o.type), JSON.parse(parsed.output_text)], [["message"], JSON.parse(kept.choices[0].message.content)]);
assert.equal(await length({ ...random, response_format: format, chat_template_kwargs: { enable_thinking: true } }), bound - 1 + 1 + "final".length + 1);

// A call that has to be made, of one tool: the prompt calls it, and the answer is its arguments.
const tools = ["get", "put"].map((name) => ({ type: "function", function: { name, parameters: schema } }));
const named = { ...random, tools, tool_choice: { type: "function", function: { name: "put" } }, max_tokens: 60 };
const called = await ask(named);
assert.deepEqual([called.choices[0].finish_reason, called.choices[0].message.content], ["tool_calls", null]);
assert.equal(called.choices[0].message.tool_calls[0].function.name, "put");
assert.ok(["x", "y"].includes(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments).a));
const listed = "developer".length + 3 + "get put ".length;
assert.equal(called.usage.prompt_tokens, bound + listed + 1 + "commentary to=functions.put ".length + 1 + "json".length + 1);
const pieces = [];
for await (const c of await ask({ ...named, stream: true })) pieces.push(...(c.choices[0]?.delta.tool_calls ?? []));
const put = called.choices[0].message.tool_calls[0];
assert.deepEqual(pieces, [{ index: 0, ...put, id: pieces[0].id, function: { name: "put", arguments: "" } }, { index: 0, function: { arguments: put.function.arguments } }]);
const flat = tools.map(({ function: f }) => ({ type: "function", ...f }));
const item = await respond({ ...random, tools: flat, tool_choice: { type: "function", name: "put" }, max_output_tokens: 60 });
assert.deepEqual(item.output.map((o) => [o.type, o.name, o.arguments]), [["function_call", "put", called.choices[0].message.tool_calls[0].function.arguments]]);
const calling = client.responses.stream({ ...random, input: "hi", tools: flat, tool_choice: { type: "function", name: "put" }, max_output_tokens: 60 });
assert.deepEqual(bare(await calling.finalResponse()), bare(item));

// Any of two: said in the final channel, which one it is being part of the answer.
const any = await ask({ ...random, tools, tool_choice: "required", max_tokens: 100 });
assert.ok(["get", "put"].includes(any.choices[0].message.tool_calls[0].function.name));
// Arguments that were cut off are told as a text, since they are no call.
const short = await ask({ ...named, max_tokens: 2 });
assert.deepEqual([short.choices[0].finish_reason, short.choices[0].message.tool_calls], ["length", undefined]);
assert.ok(short.choices[0].message.content.startsWith("{"));
console.log("openai client: channels ok");
