// /openapi.json is a valid description, and what the API takes and answers is as it says.
import assert from "node:assert/strict";
import SwaggerParser from "@apidevtools/swagger-parser";
import Ajv from "ajv/dist/2020.js";

const base = process.argv[2].replace(/\/v1$/, "");
const doc = await (await fetch(base + "/openapi.json")).json();
await SwaggerParser.validate(structuredClone(doc));

const ajv = new Ajv({ strict: false });
ajv.addSchema({ $id: "api", ...doc });
const check = (name, value) => {
  const valid = ajv.getSchema(`api#/components/schemas/${name}`);
  assert.ok(valid(value), `${name}: ${JSON.stringify(valid.errors)}\n${JSON.stringify(value).slice(0, 500)}`);
};
const post = async (path, request, body) => {
  check(request, body);
  return fetch(base + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
};
const frames = async (r) => (await r.text()).split("\n\n").filter((f) => f && f !== "data: [DONE]").map((f) => JSON.parse(f.replace(/^(event: .*\n)?data: /, "")));

const messages = [{ role: "user", content: [{ type: "text", text: "What is Kith?" }] }];
const tools = [{ type: "function", function: { name: "now" } }];
const forced = { tools, tool_choice: { type: "function", function: { name: "now" } }, parallel_tool_calls: false };
for (const more of [{}, { n: 2, logprobs: true, top_logprobs: 2, stop: ["zz"], seed: 1 }, { max_tokens: 60, ...forced },
  { response_format: { type: "json_object" }, kith: { route: "local", max_cost: "1" } }]) {
  const body = { model: "default", messages, max_tokens: 6, ...more };
  check("ChatCompletion", await (await post("/v1/chat/completions", "ChatRequest", body)).json());
  const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
  for (const f of await frames(await post("/v1/chat/completions", "ChatRequest", streamed))) check("ChatChunk", f);
}
for (const more of [{}, { logprobs: 2, prompt: [[1, 2], "a"], n: 2 }, { prompt: [1, 2], logprobs: 0 }, { echo: true, logprobs: 2 }, { echo: true, max_tokens: 0, logprobs: 0 }]) {
  const body = { model: "default", prompt: "Kith is", max_tokens: 4, ...more };
  check("Completion", await (await post("/v1/completions", "CompletionRequest", body)).json());
  for (const f of await frames(await post("/v1/completions", "CompletionRequest", { ...body, stream: true }))) check("Completion", f);
}
const now = [{ type: "function", name: "now" }], call = { type: "function_call", call_id: "a", name: "now", arguments: "{}" };
const turns = [{ role: "user", content: [{ type: "input_text", text: "When?" }] }, call, { type: "function_call_output", call_id: "a", output: "late" }];
for (const more of [{}, { input: turns, instructions: "Be brief.", store: true, metadata: { a: "b" }, user: "ada" },
  { tools: now, tool_choice: { type: "function", name: "now" }, parallel_tool_calls: false },
  { include: ["message.output_text.logprobs"], top_logprobs: 2, seed: 1, stop: ["zz"], temperature: 0.7 },
  { text: { format: { type: "json_object" } }, max_output_tokens: 5, kith: { route: "local" } }]) {
  const body = { model: "default", input: "What is Kith?", max_output_tokens: 60, ...more };
  check("Response", await (await post("/v1/responses", "ResponseRequest", body)).json());
  for (const f of await frames(await post("/v1/responses", "ResponseRequest", { ...body, stream: true }))) check("ResponseEvent", f);
}
for (const encoding_format of ["float", "base64"])
  check("EmbeddingList", await (await post("/v1/embeddings", "EmbeddingRequest", { model: "default", input: ["a", "b"], encoding_format })).json());
check("ModelList", await (await fetch(base + "/v1/models")).json());
check("Model", await (await fetch(base + "/v1/models/default")).json());
check("State", await (await fetch(base + "/health")).json());
check("Error", await (await fetch(base + "/v1/none")).json());
check("Error", await (await post("/v1/chat/completions", "ChatRequest", { model: "none", messages })).json());
console.log("openapi.json: valid, and true");
