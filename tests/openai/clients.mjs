// Other clients that people point at an API of OpenAI's form: Vercel's AI SDK and LangChain, and what the official one does by itself
// (retries, parsing, tools that run). Any surprise is a failure.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool as chainTool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAI as ChainCompletion, OpenAIEmbeddings } from "@langchain/openai";
import { Output, embedMany, generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

globalThis.AI_SDK_LOG_WARNINGS = false;
const base = process.argv[2], question = "What is Kith?";
const Answer = z.object({ topic: z.string().max(20), sure: z.number().min(0).max(1), tags: z.array(z.string().max(5)).max(2), kind: z.enum(["a", "b"]).nullable() });
const City = z.object({ city: z.enum(["Rome", "Oslo"]) });
const isAnswer = (v) => assert.ok(Answer.safeParse(v).success, JSON.stringify(v));

// The official client: answers parsed by a schema, tools that it runs, and an answer that is asked for again when the node is full.
const client = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 8 });
const messages = [{ role: "user", content: question }];
const plain = (await client.chat.completions.create({ model: "default", messages, temperature: 0, max_tokens: 30 })).choices[0].message.content;
const sampled = { model: "default", temperature: 1, seed: 2 };
isAnswer((await client.chat.completions.parse({ ...sampled, messages, max_tokens: 200, response_format: zodResponseFormat(Answer, "answer") })).choices[0].message.parsed);
isAnswer((await client.responses.parse({ ...sampled, input: question, max_output_tokens: 200, text: { format: zodTextFormat(Answer, "answer") } })).output_parsed);
const asked = [];
const weather = { type: "function", function: { name: "weather", parse: JSON.parse, function: ({ city }) => { asked.push(city); return "rain"; },
  parameters: { type: "object", properties: { city: { enum: ["Rome"] } }, required: ["city"], additionalProperties: false } } };
await client.chat.completions.runTools({ model: "default", messages, tools: [weather], tool_choice: { type: "function", function: { name: "weather" } }, max_tokens: 60 }, { maxChatCompletions: 2 }).done();
assert.ok(asked.length > 0 && asked.every((city) => city === "Rome"));
const crowd = await Promise.all(Array.from({ length: 9 }, () => client.chat.completions.create({ model: "default", messages, n: 128, max_tokens: 30, temperature: 2 })));
assert.ok(crowd.every((r) => r.choices.length === 128), "who is told to come again (429, Retry-After) is answered then");

// Vercel's.
const kith = createOpenAICompatible({ name: "kith", baseURL: base, apiKey: "none", includeUsage: true, supportsStructuredOutputs: true });
const ask = { model: kith("default"), prompt: question, maxOutputTokens: 30, temperature: 0, maxRetries: 0 };
const whole = await generateText(ask);
assert.deepEqual([whole.text, whole.finishReason], [plain, "stop"]);
assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0);
const stream = streamText(ask);
let text = "";
for await (const part of stream.textStream) text += part;
assert.deepEqual([text, await stream.finishReason, (await stream.usage).totalTokens], [plain, "stop", whole.usage.totalTokens]);
isAnswer((await generateText({ ...ask, temperature: 1, seed: 3, maxOutputTokens: 200, output: Output.object({ schema: Answer }) })).output);
const tools = { weather: tool({ description: "of a city", inputSchema: City, execute: async ({ city }) => `rain in ${city}` }) };
const called = await generateText({ ...ask, tools, toolChoice: "required", stopWhen: stepCountIs(1), maxOutputTokens: 80 });
assert.equal(called.finishReason, "tool-calls");
assert.equal(called.toolResults[0].output, `rain in ${called.toolCalls[0].input.city}`);
const parts = [];
for await (const part of streamText({ ...ask, tools, toolChoice: { type: "tool", toolName: "weather" }, stopWhen: stepCountIs(2), maxOutputTokens: 80 }).fullStream) parts.push(part.type);
assert.ok(["tool-input-start", "tool-call", "tool-result", "finish"].every((t) => parts.includes(t)) && !parts.includes("error"), parts.join());
assert.ok((await generateText({ ...ask, model: kith.completionModel("default"), prompt: "Kith is", maxOutputTokens: 5 })).text);
assert.deepEqual((await embedMany({ model: kith.textEmbeddingModel("default"), values: ["a", "b"] })).embeddings.map((v) => v.length), [256, 256]);
await assert.rejects(generateText({ ...ask, model: kith("none") }), (e) => e.statusCode === 404 && !e.isRetryable && /none/.test(e.message));
const stop = new AbortController();
setTimeout(() => stop.abort(), 1);
await assert.rejects(generateText({ ...ask, maxOutputTokens: 400, temperature: 2, abortSignal: stop.signal }), (e) => e.name === "AbortError");

// LangChain.
const common = { model: "default", apiKey: "none", configuration: { baseURL: base }, maxRetries: 0 };
const chain = new ChatOpenAI({ ...common, maxTokens: 60, temperature: 0 });
const said = await chain.invoke(question);
assert.equal(said.content, plain);
assert.equal(said.usage_metadata.total_tokens, whole.usage.totalTokens);
let streamed = "", usage;
for await (const part of await chain.stream(question)) { streamed += part.content; usage = part.usage_metadata ?? usage; }
assert.deepEqual([streamed, usage.total_tokens], [plain, whole.usage.totalTokens]);
const drawing = new ChatOpenAI({ ...common, maxTokens: 200, temperature: 1, modelKwargs: { seed: 3 } });
for (const method of ["jsonSchema", "functionCalling"]) isAnswer(await drawing.withStructuredOutput(Answer, { name: "answer", method }).invoke(question));
const bound = chainTool(async () => "rain", { name: "weather", description: "of a city", schema: City });
const call = await chain.bindTools([bound], { tool_choice: "weather" }).invoke(question);
assert.ok(City.safeParse(call.tool_calls[0].args).success);
assert.ok((await chain.bindTools([bound]).invoke([new HumanMessage(question), call, new ToolMessage({ tool_call_id: call.tool_calls[0].id, content: "rain" })])).content);
const later = new ChatOpenAI({ ...common, maxTokens: 60, temperature: 0, useResponsesApi: true });
assert.equal((await later.invoke(question)).text, plain);
let heard = "";
for await (const part of await later.stream(question)) heard += part.text;
assert.equal(heard, plain);
assert.ok(await new ChainCompletion({ ...common, maxTokens: 5 }).invoke("Kith is"));
assert.deepEqual((await new OpenAIEmbeddings(common).embedDocuments(["a", "b\nc"])).map((v) => v.length), [256, 256]);
console.log("other clients: ai, langchain, and what openai does by itself ok");
