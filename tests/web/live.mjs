// What happens is on the page when it happens: by the node's own word, not by asking again and again; and again so once a node that
// was away is back.
import assert from "node:assert/strict";
import { api, close, goTo, open, until } from "./lib.mjs";

export default async function live(browser, { base, root = "default" }) {
  const page = await open(browser, { expected: /ERR_INTERNET_DISCONNECTED/ });
  const asked = [];
  await goTo(page, base, "#/jobs");
  page.on("request", (r) => r.url().endsWith("/kith/v1/jobs?limit=100") && asked.push(Date.now()));
  await page.waitForTimeout(4000);
  assert.ok(asked.length <= 1, `nothing happened, and it asked ${asked.length} times`);
  const rows = () => page.locator("tbody tr").count(), before = await rows();
  const more = async () => api(base, "/kith/v1/jobs", { model: root, prompt: "Kith", params: { tokens: 2 } });
  const since = Date.now();
  await more();
  await until("the job is on the page", async () => (await rows()) > before);
  assert.ok(Date.now() - since < 3000, `it took ${Date.now() - since} ms`);
  await page.context().setOffline(true);
  await page.waitForTimeout(300);
  await more();
  await page.context().setOffline(false);
  await until("what was missed", async () => (await rows()) > before + 1, 30000);
  await close(page, "live");
}
