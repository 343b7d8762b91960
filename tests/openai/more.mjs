// What else an application asks of the API, with the official client: logprobs, several choices, completions, embeddings.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "What is Kith?" }];

const fails = (params, status) =>
  assert.rejects(client.chat.completions.create({ model: "default", messages, ...params }), (e) => e.status === status);

// Logprobs: a token each, its text, and the likeliest; streamed as in the whole answer.
const asked = { model: "default", messages, temperature: 1, max_tokens: 24, seed: 5, logprobs: true, top_logprobs: 3 };
const told = await client.chat.completions.create(asked);
const tokens = told.choices[0].logprobs.content;
assert.equal(tokens.map((t) => t.token).join("").trim(), told.choices[0].message.content.trim());
for (const t of tokens) {
  assert.ok(t.logprob <= 0 && t.top_logprobs.length === 3);
  assert.ok(t.top_logprobs[0].logprob >= t.top_logprobs[1].logprob);
  assert.ok(t.top_logprobs.every((o) => o.token !== t.token || o.logprob === t.logprob));
  assert.equal(Buffer.from(t.bytes).toString(), t.token);
}
const streamed = [];
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true }))
  streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
assert.deepEqual(streamed, tokens);
const plain = await client.chat.completions.create({ ...asked, logprobs: false, top_logprobs: undefined });
assert.equal(plain.choices[0].message.content, told.choices[0].message.content);
assert.equal(plain.choices[0].logprobs, null);
await fails({ top_logprobs: 3 }, 400);
await fails({ logprobs: true, top_logprobs: 21 }, 400);
await fails({ logprobs: true, kith: { route: "network" } }, 400);

// Several choices: each its own, the first that of one alone; streamed the same; the prompt is counted once.
const many = { model: "default", messages, temperature: 1.5, max_tokens: 24, seed: 11, n: 4 };
const four = await client.chat.completions.create(many);
assert.deepEqual(four.choices.map((c) => c.index), [0, 1, 2, 3]);
const texts = four.choices.map((c) => c.message.content);
assert.ok(new Set(texts).size > 1, "choices differ");
const one = await client.chat.completions.create({ ...many, n: 1 });
assert.equal(one.choices[0].message.content, texts[0]);
assert.equal(one.usage.prompt_tokens, four.usage.prompt_tokens);
const parts = ["", "", "", ""], ends = [0, 0, 0, 0];
for await (const chunk of await client.chat.completions.create({ ...many, stream: true }))
  for (const c of chunk.choices) {
    parts[c.index] += c.delta.content ?? "";
    if (c.finish_reason) ends[c.index]++;
  }
assert.deepEqual(parts, texts);
assert.deepEqual(ends, [1, 1, 1, 1]);
await fails({ n: 0 }, 400);
await fails({ n: 129 }, 400);

// A talk that goes on finds what its earlier turns came to.
const longer = [{ role: "user", content: "Tell me about shares. ".repeat(40) }];
const first = await client.chat.completions.create({ model: "default", messages: longer, temperature: 0, max_tokens: 8 });
longer.push(first.choices[0].message, { role: "user", content: "And then?" });
const second = await client.chat.completions.create({ model: "default", messages: longer, temperature: 0, max_tokens: 8 });
assert.ok(second.usage.prompt_tokens_details.cached_tokens >= 64, "the beginning was known");

// Completions: a text, tokens, several at once.
const complete = (params) => client.completions.create({ model: "default", temperature: 0, max_tokens: 12, ...params });
const c1 = await complete({ prompt: "Kith is" });
assert.equal(c1.object, "text_completion");
assert.ok(c1.choices[0].text.length > 0);
const c2 = await complete({ prompt: ["Kith is", "A model is"], n: 2, logprobs: 2 });
assert.equal(c2.choices.length, 4);
assert.equal(c2.choices[0].text, c1.choices[0].text);
assert.equal(c2.choices[1].text, c1.choices[0].text); // greedy
const lp = c2.choices[2].logprobs;
assert.equal(lp.tokens.length, lp.token_logprobs.length);
assert.equal(lp.tokens.length, lp.text_offset.length);
assert.equal(lp.text_offset[0], 0);
assert.ok(Object.keys(lp.top_logprobs[0]).length === 2);
let completed = "";
for await (const chunk of await complete({ prompt: "Kith is", stream: true })) completed += chunk.choices[0]?.text ?? "";
assert.equal(completed, c1.choices[0].text);
assert.ok((await complete({ prompt: [5, 6, 7] })).usage.prompt_tokens === 3);
for (const bad of [{ suffix: "end" }, { best_of: 3 }, { prompt: [] }, { prompt: [1, "a"] }])
  await assert.rejects(complete({ prompt: "x", ...bad }), (e) => e.status === 400);

// Biases: a token is made certain, or gone; the answer is verified with them; none is as none at all.
const told3 = (params) => complete({ prompt: "Kith is", max_tokens: 3, seed: 7, logprobs: 0, ...params });
const sure = await told3({ logit_bias: { 300: 100 } }), free = await told3({}), none = await told3({ logit_bias: { 300: 0 } });
const [piece] = sure.choices[0].logprobs.tokens;
assert.deepEqual(sure.choices[0].logprobs.tokens, [piece, piece, piece]);
assert.ok(sure.choices[0].logprobs.token_logprobs[0] < -1, "logprobs are the model's own");
assert.deepEqual([none.choices[0].text, none.kith.digest], [free.choices[0].text, free.kith.digest]);
assert.notEqual(free.kith.digest, sure.kith.digest);
const other = await told3({ logit_bias: { 301: 5, 300: 100, 12: -100 } });
assert.equal(other.choices[0].logprobs.tokens[0], piece);
const drawn = await client.chat.completions.create({ model: "default", messages, max_tokens: 3, temperature: 1, logit_bias: { 300: 100 } });
assert.equal(drawn.choices[0].message.content.trim(), (piece + piece + piece).trim());
const root = process.argv[2].replace(/\/v1$/, "/kith/v1");
const post = async (path) => (await fetch(root + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" })).json();
const { task } = await post(`/jobs/${sure.kith.job}/verify`);
let replayed;
do replayed = await (await fetch(`${root}/tasks/${task}?wait=5`)).json(); while (replayed.state === "running");
assert.equal(replayed.result.same, true);

// Embeddings: the client asks for base64 by itself; the same as numbers; of unit length; alike texts are closer.
const embed = (params) => client.embeddings.create({ model: "default", ...params });
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const e1 = await embed({ input: ["What is Kith?", "What is a Kith?", "blue cheese"] });
const e2 = await embed({ input: ["What is Kith?", "What is a Kith?", "blue cheese"], encoding_format: "float" });
assert.deepEqual(e1.data.map((d) => d.index), [0, 1, 2]);
for (let i = 0; i < 3; i++) {
  assert.deepEqual(Array.from(e1.data[i].embedding), e2.data[i].embedding.map(Math.fround));
  assert.ok(Math.abs(dot(e2.data[i].embedding, e2.data[i].embedding) - 1) < 1e-5);
}
assert.ok(e1.usage.prompt_tokens > 3 && e1.usage.total_tokens === e1.usage.prompt_tokens);
assert.ok(dot(e2.data[0].embedding, e2.data[1].embedding) > dot(e2.data[0].embedding, e2.data[2].embedding));
const short = (await embed({ input: "What is Kith?", dimensions: 16, encoding_format: "float" })).data[0].embedding;
assert.equal(short.length, 16);
assert.ok(Math.abs(dot(short, short) - 1) < 1e-5);
assert.deepEqual((await embed({ input: [1, 2, 3] })).data.length, 1);
const batch = await embed({ input: Array.from({ length: 50 }, (_, i) => `text number ${i}`) });
assert.equal(batch.data.length, 50);
assert.deepEqual((await embed({ input: "text number 31" })).data[0].embedding, batch.data[31].embedding);
for (const bad of [{ input: [] }, { input: [1, 2, "x"] }, { input: "x", dimensions: 100000 }, { input: [999999] },
  { input: "x", encoding_format: "hex" }])
  await assert.rejects(embed(bad), (e) => e.status === 400);
console.log("openai client: choices, logprobs, completions, embeddings ok");
