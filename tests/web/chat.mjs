// Conversations: what streams in is the API's answer, a reload in its middle loses nothing, stop stops, the node keeps it all, and
// forgets it when told.
import assert from "node:assert/strict";
import { api, close, goTo, open, sleep, until } from "./lib.mjs";

export const answer = (page) => page.locator(".answer").last();
export const isBusy = (page) => answer(page).evaluate((e) => e.getAttribute("aria-busy") === "true");

// An answer is shown as Markdown: of what it says, the letters.
export const letters = (text) => text.replace(/Copy|[^\p{L}]/gu, "");
export const said = async (locator) => letters(await locator.textContent());

export async function ask(page, question) {
  await page.getByLabel("Your question").fill(question);
  await page.keyboard.press("Enter");
  await page.locator(".question", { hasText: question }).last().waitFor();
}

export const jobOf = async (base, page) => {
  const chat = await api(base, "/kith/v1/chats/" + /#\/chat\/([0-9a-f]{64})$/.exec(page.url())[1]);
  return chat.turns.at(-1).job;
};

async function plain(browser, { base }) {
  const page = await open(browser);
  const began = [];
  page.on("request", (r) => /\/events\?/.test(r.url()) && began.push(r.url()));
  await goTo(page, base, "#/chat");
  await page.getByLabel("Your question").fill("What is");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("Kith?");
  assert.equal(await page.getByLabel("Your question").inputValue(), "What is\nKith?");
  await page.keyboard.press("Enter");
  await page.getByText("details").waitFor();
  const job = await jobOf(base, page);
  assert.equal(job.state, "done");
  assert.equal(await said(answer(page)), letters(job.text));
  assert.ok(job.text.length > 20);
  assert.equal((await api(base, "/kith/v1/chats")).chats.find((c) => c.job === job.job).title, "What is Kith?");
  assert.equal(began.length, 1, "it was streamed");
  assert.match(await page.locator(".meta").last().textContent(), /on this machine.*tokens.*free/);
  assert.equal(await page.locator(".log").getAttribute("role"), "log");

  await ask(page, "And what is a receipt?");
  await page.getByText("details").nth(1).waitFor();
  const second = await jobOf(base, page);
  assert.ok(second.tokens_in > job.tokens_in, "what came before goes with the next question");
  await page.getByRole("button", { name: "Verify" }).last().click();
  await page.getByText("the same bits again").waitFor();

  await page.reload();
  await page.getByText("details").nth(1).waitFor();
  assert.deepEqual((await page.locator(".answer").allTextContents()).map(letters), [job.text, second.text].map(letters), "the node keeps it");
  assert.ok(await page.locator(".talks a[aria-current]").isVisible());
  await page.getByRole("button", { name: "Forget this conversation" }).click();
  await page.getByRole("button", { name: "Forget it for good?" }).click();
  await page.waitForURL(/#\/chat$/);
  await until("the conversation is gone", async () => (await api(base, "/kith/v1/chats")).chats.every((c) => c.job !== second.job));
  await close(page, "chat");
}

// The worker stands still while `stopped`, and gets as far as a few milliseconds take it in a step.
export const worker = (pid) => ({ stop: () => process.kill(pid, "SIGSTOP"), go: () => process.kill(pid, "SIGCONT"),
  async step() { this.go(); await sleep(2); this.stop(); await sleep(30); } });

async function slowly(page, base) {
  await goTo(page, base, "#/chat");
  await page.getByText("Where, how long, at what cost").click();
  await page.getByLabel("Temperature").fill("5"); // the default model says little otherwise
}

// To a turn of which something is there, and something is to come.
async function inTheMiddle(page, base, w) {
  for (let i = 0; i < 8; i++) {
    await slowly(page, base);
    w.stop();
    await ask(page, "Tell me everything about Kith, and then some.");
    for (let k = 0; k < 400 && (await said(answer(page))) === ""; k++) await w.step();
    await sleep(150);
    if (await isBusy(page)) return said(answer(page));
    w.go();
  }
  assert.fail("every answer was over before it could be looked at");
}

async function reloaded(browser, { base, workers }) {
  const page = await open(browser);
  await goTo(page, base, "#/chat"); // a first question loads the model
  await ask(page, "What is Kith?");
  await page.getByText("details").waitFor();
  const w = worker(await workers());
  try {
    const half = await inTheMiddle(page, base, w);
    assert.ok(half.length > 0);
    await page.reload();
    await until("the answer so far is there again", async () => (await said(answer(page))) === half);
    assert.ok(await isBusy(page), "and goes on");
    assert.ok(await page.getByRole("button", { name: "Stop" }).isVisible());
    w.go();
    await page.getByText("details").waitFor();
    const job = await jobOf(base, page);
    assert.equal(job.state, "done");
    assert.equal(await said(answer(page)), letters(job.text));
    assert.ok(letters(job.text).startsWith(half) && letters(job.text).length > half.length);

    await inTheMiddle(page, base, w);
    await page.getByRole("button", { name: "Stop" }).click();
    w.go();
    await page.getByText("stopped").waitFor();
    const stopped = await jobOf(base, page);
    assert.equal(stopped.state, "cancelled");
    const listed = await (await fetch(`${base}/kith/v1/jobs`)).json(), talks = await (await fetch(`${base}/kith/v1/chats`)).json();
    assert.equal(listed.jobs.find((j) => j.job === stopped.job).state, "cancelled", "in the list of jobs, too");
    assert.equal(talks.chats.find((c) => c.job === stopped.job).state, "cancelled", "and of conversations");
    assert.equal(await page.getByRole("button", { name: "Stop" }).isVisible(), false);
  } finally {
    w.go();
  }
  await close(page, "reload");
}

// A private conversation stays so, also after a reload: what comes next takes what came before along.
async function kept(browser, { base }) {
  const page = await open(browser);
  const where = page.getByLabel("Where", { exact: true });
  const isKept = async () => (await where.inputValue()) === "private" && where.isDisabled();
  await goTo(page, base, "#/chat");
  await page.getByText("Where, how long, at what cost").click();
  assert.equal(await where.inputValue(), "auto");
  await where.selectOption("private");
  await ask(page, "What is Kith?");
  await page.getByText("details").waitFor();
  assert.equal((await jobOf(base, page)).private, true);
  assert.ok(await isKept());
  await page.reload();
  await page.getByText("details").waitFor();
  await page.getByText("Where, how long, at what cost").click();
  assert.ok(await isKept());
  await ask(page, "And a receipt?");
  await page.getByText("details").nth(1).waitFor();
  assert.equal((await jobOf(base, page)).private, true);
  await close(page, "private");
}

// The API's own words, and what to do: nothing was asked, so it can be asked again.
async function refused(browser, { base }) {
  const page = await open(browser);
  await slowly(page, base);
  await page.getByLabel("Temperature").fill("0");
  await page.getByLabel("At most, tokens").fill("100000");
  await ask(page, "Is that too much?");
  await page.getByText("do not fit the model's context").waitFor();
  await close(page, "refused");
}

// Over the network: what it cost, and who answered.
async function paid(browser, { asker }) {
  const page = await open(browser);
  await goTo(page, asker, "#/chat");
  await ask(page, "What is Kith?");
  await page.getByText("details").waitFor({ timeout: 40000 });
  const job = await jobOf(asker, page), meta = await page.locator(".meta").last().textContent();
  assert.equal(job.route, "network");
  assert.equal(await said(answer(page)), letters(job.text));
  assert.ok(BigInt(job.cost) > 0n);
  assert.ok(meta.includes("KITH") && meta.includes(job.provider.slice(0, 8)) && meta.includes(job.receipt.slice(0, 8)), meta);
  await close(page, "paid");
}

export default async function chat(browser, world) {
  const overNetwork = paid(browser, world);
  await plain(browser, world);
  await reloaded(browser, world);
  await kept(browser, world);
  await refused(browser, world);
  await overNetwork;
}
