// Models that think between marks, with the official client: what was thought stands apart from what is said, whole and in streams,
// in both APIs; where it ends, how it is counted, and how it comes back.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];
const ask = (params) => client.chat.completions.create({ model: "think", messages, temperature: 0, seed: 7, ...params });
const respond = (params) => client.responses.create({ model: "think", input: "hi", temperature: 0, seed: 7, ...params });
const fails = (promise, param) => assert.rejects(promise, (e) => { assert.deepEqual([e.status, e.param], [400, param], e.message); return true; });
const told = (c) => [c.message.content, c.message.reasoning_content, c.finish_reason];
const both = ["It is four.", "Two and two.", "stop"];

// A chat: the model opens its thought, or the template does; the marks are nowhere.
const chat = await ask({});
assert.deepEqual(told(chat.choices[0]), both);
assert.deepEqual(chat.usage.completion_tokens_details, { reasoning_tokens: 5 });
assert.equal(chat.usage.completion_tokens, 9);
const opened = await ask({ chat_template_kwargs: { opens: true } });
assert.deepEqual(told(opened.choices[0]), both);
assert.deepEqual([opened.usage.completion_tokens, opened.usage.completion_tokens_details.reasoning_tokens], [8, 4]);
const closed = await ask({ reasoning_effort: "none" });
assert.deepEqual([told(closed.choices[0]), closed.usage.completion_tokens_details.reasoning_tokens], [["It is four.", undefined, "stop"], 0]);

// A stream of it: thoughts, then what is said, each only once.
async function stream(params) {
  const all = { thought: "", said: "", order: [] };
  for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true }, ...params })) {
    const delta = chunk.choices[0]?.delta ?? {};
    for (const [name, field] of [["thought", "reasoning_content"], ["said", "content"]])
      if (delta[field]) {
        all[name] += delta[field];
        if (all.order.at(-1) !== name) all.order.push(name);
      }
    all.usage = chunk.usage ?? all.usage;
    all.finish = chunk.choices[0]?.finish_reason ?? all.finish;
  }
  return all;
}
for (const params of [{}, { chat_template_kwargs: { opens: true } }]) {
  const s = await stream(params);
  assert.deepEqual([s.thought, s.said, s.order, s.finish], ["Two and two.", "It is four.", ["thought", "said"], "stop"]);
  assert.equal(s.usage.completion_tokens_details.reasoning_tokens, params.chat_template_kwargs ? 4 : 5);
}

// As it was written, or not at all, by the names that other servers have for it.
const raw = "<think>\nTwo and two.\n</think>\n\nIt is four.";
assert.deepEqual(told((await ask({ reasoning_format: "none" })).choices[0]), [raw, undefined, "stop"]);
const rest = raw.slice("<think>".length);
assert.deepEqual(told((await ask({ reasoning_format: "none", chat_template_kwargs: { opens: true } })).choices[0]), [rest, undefined, "stop"]);
assert.equal((await stream({ reasoning_format: "none" })).said, raw);
for (const reasoning_format of ["auto", "deepseek"]) assert.deepEqual(told((await ask({ reasoning_format })).choices[0]), both);
const hidden = await ask({ include_reasoning: false });
assert.deepEqual([told(hidden.choices[0]), hidden.usage.completion_tokens_details.reasoning_tokens], [["It is four.", undefined, "stop"], 5]);
assert.deepEqual((await stream({ reasoning_format: "hidden" })).order, ["said"]);
await fails(ask({ reasoning_format: "some" }), "reasoning_format");
await fails(ask({ include_reasoning: "no" }), "include_reasoning");

// The same bits, however they are told; and a completion, which is a text, keeps its marks.
for (const other of [await ask({ reasoning_format: "none" }), hidden, { kith: (await respond({})).kith }]) assert.equal(other.kith.digest, chat.kith.digest);
const text = await client.completions.create({ model: "think", prompt: "assistant", temperature: 0, max_tokens: 20 });
assert.equal(text.choices[0].text, raw);

// Cut by the limit, or by a stop text, within the thought: nothing was said. Several choices, and logprobs of all tokens.
const cut = await ask({ max_tokens: 3 });
assert.deepEqual([told(cut.choices[0]), cut.usage.completion_tokens_details.reasoning_tokens], [["", "Two and two.", "length"], 3]);
assert.deepEqual(told((await ask({ stop: [" and"] })).choices[0]), ["", "Two", "stop"]);
assert.equal((await stream({ max_tokens: 3 })).said, "");
const two = await ask({ n: 2, logprobs: true });
assert.deepEqual([told(two.choices[0]), told(two.choices[1])], [both, both]);
assert.equal(two.usage.completion_tokens_details.reasoning_tokens, 10);
assert.equal(two.choices[0].logprobs.content.map((l) => l.token).join(""), raw);

// An answer to a schema has no thought, also where the template would open one.
const format = { type: "json_schema", json_schema: { name: "n", schema: { type: "object", properties: { a: { type: "integer" } } } } };
const kept = await ask({ response_format: format, max_tokens: 4, chat_template_kwargs: { opens: true } });
assert.equal(kept.choices[0].message.reasoning_content, undefined);
assert.ok(kept.choices[0].message.content.startsWith("{"), kept.choices[0].message.content);

// Responses: an item of its own, whole and streamed.
const whole = await respond({});
const items = (r) => r.output.map((o) => [o.type, o.status, o.content[0].type, o.content[0].text]);
const wanted = [["reasoning", "completed", "reasoning_text", "Two and two."], ["message", "completed", "output_text", "It is four."]];
assert.deepEqual([items(whole), whole.output_text], [wanted, "It is four."]);
assert.equal(whole.usage.output_tokens_details.reasoning_tokens, 5);
const helper = client.responses.stream({ model: "think", input: "hi", temperature: 0 });
const deltas = [];
helper.on("response.reasoning_text.delta", (e) => deltas.push(e.delta));
assert.deepEqual(items(await helper.finalResponse()), wanted);
assert.equal(deltas.join(""), "Two and two.");
const short = await respond({ max_output_tokens: 2 });
assert.deepEqual([short.status, items(short)], ["incomplete", [["reasoning", "incomplete", "reasoning_text", "Two"]]]);
assert.deepEqual(items(await respond({ reasoning_format: "none" })), [["message", "completed", "output_text", raw]]);

// What was thought comes back to the template, by either API and by either name.
const length = async (turn) => (await ask({ messages: [messages[0], turn, messages[0]], max_tokens: 1 })).usage.prompt_tokens;
const plain = await length({ role: "assistant", content: "ok" });
const marks = 2;
assert.equal(await length({ role: "assistant", content: "ok", reasoning_content: "hm" }), plain + marks + 2);
assert.equal(await length({ role: "assistant", content: "ok", reasoning: "hm" }), plain + marks + 2);
const again = await respond({ input: [messages[0], ...whole.output, messages[0]], max_output_tokens: 1 });
assert.equal(again.usage.input_tokens, plain + marks + "Two and two.".length - "ok".length + "It is four.".length);
// Calls behind a thought: parameters in tags get the types of the tool's schema; marks that are control tokens are nowhere.
const tools = [["put", { n: { type: "integer" }, text: { type: "string" } }], ["get", { a: { type: "integer" } }]]
  .map(([name, properties]) => ({ type: "function", function: { name, parameters: { type: "object", properties } } }));
const calls = { tags: [["I look.\n", "Hm.", "tool_calls"], "put", { n: 12, text: "12" }], bracket: [[null, "Hm.", "tool_calls"], "get", { a: 1 }] };
for (const [model, [message, name, args]] of Object.entries(calls)) {
  const asked = { model, tools };
  const one = (await ask(asked)).choices[0];
  assert.deepEqual([told(one), one.message.tool_calls.map((c) => [c.type, c.function.name, JSON.parse(c.function.arguments)])],
    [message, [["function", name, args]]]);
  const call = one.message.tool_calls[0], deltas = [];
  let said = "", thought = "";
  for await (const chunk of await ask({ ...asked, stream: true })) {
    said += chunk.choices[0].delta.content ?? "";
    thought += chunk.choices[0].delta.reasoning_content ?? "";
    deltas.push(...(chunk.choices[0].delta.tool_calls ?? []));
  }
  assert.deepEqual([said, thought], [message[0] ?? "", "Hm."]);
  assert.equal(deltas.length, 2);
  assert.deepEqual([deltas[0].index, deltas[0].type, deltas[0].function], [0, "function", { name, arguments: "" }]);
  assert.deepEqual(deltas[1], { index: 0, function: { arguments: call.function.arguments } });
  const flat = tools.map(({ function: f }) => ({ type: "function", ...f }));
  const types = (await respond({ model, tools: flat })).output.map((o) => o.type);
  assert.deepEqual(types, ["reasoning", ...(message[0] ? ["message"] : []), "function_call"]);
  // the client's own loop calls the tool, sends back what was thought and called, and its result
  const seen = [];
  const run = client.chat.completions.runTools({ model, messages, temperature: 0, stream: true,
    tools: tools.map((t) => ({ type: "function", function: { ...t.function, parse: JSON.parse, function: (a) => { seen.push(a); return "done"; } } })) },
    { maxChatCompletions: 2 });
  await run.done().catch(() => {});
  assert.deepEqual(seen, [args, args]);
}
// Of tools that the request has not, a call is text; and so is one that the limit cut.
const other = (await ask({ model: "tags", tools: [tools[1]] })).choices[0];
assert.ok(other.message.content.startsWith("I look.\n<tool_call>") && other.finish_reason === "stop" && !other.message.tool_calls);
assert.equal((await ask({ model: "tags", tools, max_tokens: 9 })).choices[0].message.tool_calls, undefined);
console.log("openai client: thoughts ok");
