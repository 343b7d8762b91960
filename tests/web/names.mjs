// Strangers choose the names of models, memos and questions. One that is a tag is shown as what it is.
import assert from "node:assert/strict";
import { api, close, goTo, open, until } from "./lib.mjs";

export default async function names(browser, { base, asker, root, address, hostile }) {
  const page = await open(browser);
  const isText = async (where) => {
    await page.getByText(hostile).first().waitFor({ state: "attached" });
    assert.equal(await page.locator("main img:not(.qr), main script, main [onerror]").count(), 0, where);
    assert.equal(await page.evaluate(() => globalThis.harmed), undefined, where);
  };
  await until("a payout", async () => (await api(base, "/kith/v1/earnings")).payouts > 0, 60000);
  for (const hash of ["#/home", "#/models", `#/models/${root}`, "#/share", "#/earnings", `#/wallet/${address}`]) {
    await goTo(page, base, hash);
    await isText(hash);
  }
  await goTo(page, base, "#/earnings");
  await page.locator(".plot canvas").waitFor();
  await goTo(page, asker, "#/chat");
  await page.getByLabel("Your question").fill(hostile);
  await page.keyboard.press("Enter");
  await until("the question is in the list", () => page.locator(".talks a", { hasText: hostile }).count(), 40000);
  await isText("a question");
  await goTo(page, base, "#/explorer/" + encodeURIComponent(hostile));
  await goTo(page, base, "#/" + encodeURIComponent(hostile));
  await page.getByText("There is no such page").waitFor();
  await close(page, "names");
}
