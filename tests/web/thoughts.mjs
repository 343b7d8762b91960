// What is thought streams in where it folds, apart from what is said, and is there again after a reload. The model (tests/talker)
// thinks for as long as there is room where nothing is left to chance.
import assert from "node:assert/strict";
import { execSync } from "node:child_process";
import { answer, ask, isBusy, jobOf, letters, said, worker } from "./chat.mjs";
import { close, goTo, open, until } from "./lib.mjs";

export default async function thoughts(browser, { base, workers }) {
  execSync(process.env.IMPORT);
  const page = await open(browser);
  const thought = page.locator(".thought").last(), words = async () => thought.locator("div").textContent();
  await goTo(page, base, "#/chat");
  await page.getByLabel("Model").selectOption("toss");
  await page.getByText("Where, how long, at what cost").click();
  await page.getByLabel("At most, tokens").fill("3");
  await ask(page, "Throw it"); // a first question loads the model
  await page.getByText("details").waitFor();
  assert.equal(await said(answer(page)), "");
  await page.getByLabel("At most, tokens").fill("");
  const w = worker(await workers(2));
  try {
    w.stop();
    await ask(page, "And again throw it");
    for (let k = 0; k < 400 && (await words()) === ""; k++) await w.step();
    const half = await words();
    assert.match(half, /^Toss:/);
    assert.ok((await isBusy(page)) && (await thought.isVisible()), "it streams");
    assert.equal(await thought.locator("div").isVisible(), false, "it is folded");
    await thought.getByText("Thoughts").click();
    assert.ok(await thought.locator("div").isVisible());
    assert.equal(await said(answer(page)), "");
    await page.reload();
    await until("the thought so far is there again", async () => (await words()).startsWith(half));
    w.go();
    await page.getByText("details").nth(1).waitFor();
    assert.equal(await words(), (await jobOf(base, page)).thought);
    assert.ok((await words()).length > half.length);
  } finally {
    w.go();
  }
  await goTo(page, base, "#/chat");
  await page.getByLabel("Model").selectOption("toss");
  await page.getByText("Where, how long, at what cost").click();
  await page.getByLabel("Temperature").fill("1"); // it has enough some time, mostly before there is no more room
  let job = null;
  for (let i = 0; i < 5 && !job?.said; i++) {
    await ask(page, "Throw it");
    await page.getByText("details").nth(i).waitFor();
    job = await jobOf(base, page);
  }
  assert.equal(await said(answer(page)), letters(job.said));
  assert.equal(await words(), job.thought);
  assert.ok(job.said && job.thought && !job.thought.includes("think>") && job.text.startsWith("<think>"), JSON.stringify(job));
  await close(page, "thoughts");
}
