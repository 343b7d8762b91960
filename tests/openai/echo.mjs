// What evaluations of models ask of /v1/completions: how likely a given text is (`echo`, `logprobs`, `max_tokens` 0 or 1), in texts and in
// tokens, many at once. What is said of a prompt is, to the last digit, what was said when the model wrote it.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const create = (params) => client.completions.create({ model: "default", temperature: 0, ...params });

// A text, without a token more.
const text = "Kith is a network of ordinary devices";
const told = await create({ prompt: text, echo: true, logprobs: 3, max_tokens: 0 });
const [choice] = told.choices, l = choice.logprobs;
assert.equal(choice.text, text);
assert.equal(choice.finish_reason, "length");
assert.deepEqual([told.usage.prompt_tokens, told.usage.completion_tokens], [l.tokens.length, 0]);
assert.equal(told.kith, undefined); // there was no job
assert.match(told.id, /^cmpl-[0-9a-f]{64}$/);
assert.deepEqual([l.token_logprobs.length, l.top_logprobs.length, l.text_offset.length], Array(3).fill(l.tokens.length));
assert.deepEqual([l.token_logprobs[0], l.top_logprobs[0], l.text_offset[0]], [null, null, 0]);
for (let i = 1; i < l.tokens.length; i++) {
  assert.ok(l.token_logprobs[i] < 0);
  const top = Object.values(l.top_logprobs[i]);
  assert.ok(top.length <= 3 && l.token_logprobs[i] <= Math.max(...top));
  assert.equal(text.slice(l.text_offset[i], l.text_offset[i] + l.tokens[i].length), l.tokens[i], "offsets are those of the text");
}

// Prompt and answer: the answer's part is that of the answer alone, and all of it again when it is the prompt.
const plain = await create({ prompt: text, logprobs: 3, max_tokens: 6, seed: 7 });
const both = await create({ prompt: text, echo: true, logprobs: 3, max_tokens: 6, seed: 7 });
assert.equal(both.choices[0].text, text + plain.choices[0].text);
assert.equal(both.kith.digest, plain.kith.digest);
const a = plain.choices[0].logprobs, b = both.choices[0].logprobs;
assert.deepEqual(b.tokens, [...l.tokens, ...a.tokens]);
assert.deepEqual(b.token_logprobs, [...l.token_logprobs, ...a.token_logprobs]);
assert.deepEqual(b.top_logprobs, [...l.top_logprobs, ...a.top_logprobs]);
assert.deepEqual(b.text_offset, [...l.text_offset, ...a.text_offset.map((n) => n + text.length)]);
const again = await create({ prompt: both.choices[0].text, echo: true, logprobs: 3, max_tokens: 0 });
assert.deepEqual(again.choices[0].logprobs, b, "read is as written");

// As lm-evaluation-harness does: lists of tokens, one token more that is cut off, greedy where each is the likeliest.
const list = (await Promise.all(["Kith is", " a network", "the blue"].map((p) => create({ prompt: p, echo: true, logprobs: 0, max_tokens: 0 })))).map((r) => r.usage.prompt_tokens);
const ids = [[1, 75, 100, 45, 260], [1, 88], [301]];
const many = await create({ prompt: ids, echo: true, logprobs: 1, max_tokens: 1, seed: 1234 });
assert.deepEqual(many.choices.map((c) => c.index), [0, 1, 2]);
many.choices.forEach((c, i) => {
  assert.equal(c.logprobs.tokens.length, ids[i].length + 1);
  assert.deepEqual([c.logprobs.token_logprobs[0], c.logprobs.top_logprobs[0]], [null, null]);
  assert.equal(c.logprobs.token_logprobs.at(-1), Math.max(...Object.values(c.logprobs.top_logprobs.at(-1))), "what was written is the likeliest");
  for (let k = 1; k < ids[i].length; k++) assert.ok(c.logprobs.token_logprobs[k] <= Math.max(...Object.values(c.logprobs.top_logprobs[k])));
});
assert.ok(list.every((n) => n >= 1));
const alone = await create({ prompt: ids[0], echo: true, logprobs: 1, max_tokens: 1 });
assert.deepEqual(alone.choices[0].logprobs, many.choices[0].logprobs, "a batch changes nothing");
assert.equal(many.usage.prompt_tokens, 8);
const crowd = await create({ prompt: Array(64).fill(ids[0]), n: 2, echo: true, logprobs: 1, max_tokens: 0 });
assert.equal(crowd.choices.length, 128);
for (const c of crowd.choices) assert.deepEqual(c.logprobs.token_logprobs, alone.choices[0].logprobs.token_logprobs.slice(0, -1));

// Without logprobs, of several, streamed; and no token at all.
const texts = await create({ prompt: ["Kith", "The"], n: 2, echo: true, max_tokens: 2, temperature: 1, seed: 1 });
assert.deepEqual(texts.choices.map((c) => c.text.startsWith(c.index < 2 ? "Kith" : "The")), [true, true, true, true]);
assert.ok(texts.choices.every((c) => c.logprobs === null));
for (const max_tokens of [0, 6]) {
  const whole = await create({ prompt: text, echo: true, logprobs: 2, max_tokens });
  let streamed = "", tokens = [], offsets = [], finish, usage;
  for await (const c of await create({ prompt: text, echo: true, logprobs: 2, max_tokens, stream: true, stream_options: { include_usage: true } })) {
    usage = c.usage ?? usage;
    streamed += c.choices[0]?.text ?? "";
    tokens.push(...c.choices[0]?.logprobs?.tokens ?? []);
    offsets.push(...c.choices[0]?.logprobs?.text_offset ?? []);
    finish = c.choices[0]?.finish_reason ?? finish;
  }
  const w = whole.choices[0];
  assert.deepEqual([streamed, tokens, offsets, finish], [w.text, w.logprobs.tokens, w.logprobs.text_offset, w.finish_reason]);
  assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [whole.usage.prompt_tokens, whole.usage.completion_tokens]);
}
const none = await create({ prompt: text, max_tokens: 0 });
assert.deepEqual([none.choices[0].text, none.choices[0].logprobs, none.usage.completion_tokens], ["", null, 0]);
const umlauts = await create({ prompt: "Grüße, 世界!", echo: true, logprobs: 1, max_tokens: 0 });
assert.equal(umlauts.choices[0].text, "Grüße, 世界!");

// What cannot be.
const fails = (params, status, param, code) => assert.rejects(create(params), (e) => {
  assert.deepEqual([e.status, e.param, e.code], [status, param, code], e.message);
  return true;
});
await fails({ prompt: "x ".repeat(3000), echo: true, logprobs: 1, max_tokens: 0 }, 400, "prompt", "context_length_exceeded");
await fails({ prompt: "x ".repeat(3000), max_tokens: 0 }, 400, "prompt", "context_length_exceeded");
await fails({ prompt: "x", echo: "yes" }, 400, "echo", "bad_request");
await fails({ prompt: "x", echo: true, logprobs: 1, kith: { route: "network" } }, 400, "echo", "bad_request");
await fails({ prompt: [[999999]], echo: true, logprobs: 1, max_tokens: 0 }, 400, null, "bad_request");
await fails({ model: "none", prompt: "x", echo: true, logprobs: 1 }, 404, "model", "model_not_found");
await assert.rejects(client.chat.completions.create({ model: "default", messages: [{ role: "user", content: "x" }], max_tokens: 0 }), (e) => e.status === 400 && e.param === "max_tokens");

// A client that hangs up while its prompts are read leaves the worker well.
const stop = new AbortController();
const left = client.completions.create({ model: "default", prompt: Array(128).fill(Array(400).fill(300)), echo: true, logprobs: 20, max_tokens: 0 }, { signal: stop.signal });
setTimeout(() => stop.abort(), 40);
await assert.rejects(left);
assert.equal((await create({ prompt: text, echo: true, logprobs: 3, max_tokens: 0 })).choices[0].text, text);
console.log("openai client: echo ok");
