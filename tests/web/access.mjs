// Who gets what: a stranger the pages and nothing in them, whoever has a key what it is for; other pages nothing at all.
import assert from "node:assert/strict";
import http from "node:http";
import { close, goTo, open } from "./lib.mjs";

// From another machine, as far as the node can tell: by a name that is not loopback's.
async function key(browser, { port, key: text }) {
  const base = `http://node.example:${port}`;
  // The name is no place that Chromium trusts, so it says that it leaves out one header.
  const page = await open(browser, { expected: /401|403|Cross-Origin-Opener-Policy/ });
  const urls = [];
  page.on("request", (r) => urls.push(r.url()));
  await page.goto(base + "/#/home");
  await page.locator("#key").waitFor();
  assert.match(await page.locator("#key-why").textContent(), /kith key new/);
  await page.getByLabel("Key", { exact: true }).fill("kith_wrong");
  await page.keyboard.press("Enter");
  await page.locator("#key[open]").waitFor(); // once more
  await page.getByRole("button", { name: "Not now" }).click();
  await page.locator(".notice.bad").waitFor();
  await page.getByRole("button", { name: "Enter a key" }).click();
  await page.getByLabel("Key", { exact: true }).fill(text.slice(0, 12) + "\u2026"); // copied from where it is shown in short
  await page.keyboard.press("Enter");
  await page.locator("#key-why", { hasText: "all that kith key new printed" }).waitFor();
  await page.getByLabel("Key", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
  await page.locator("main h2", { hasText: "This node" }).waitFor();
  await goTo(page, base, "#/health"); // /metrics is read with the key, too
  await page.locator("h2", { hasText: "Counted" }).waitFor();
  await page.reload();
  await page.locator("h2", { hasText: "Counted" }).waitFor();
  assert.ok(urls.every((u) => !u.includes(text)), "the key is in no address");
  assert.deepEqual(await page.evaluate(() => [Object.keys(localStorage).filter((k) => localStorage[k].includes("kith_")), document.cookie]), [[], ""]);
  const another = await page.context().newPage();
  await another.goto(base + "/#/home");
  await another.locator("#key").waitFor(); // a tab of its own knows none
  await close(page, "key");
}

// A page of evil.example, and one on another port of this machine: neither reads, asks, or frames.
async function foreign(browser, { base, port }) {
  const server = http.createServer((q, r) => { r.setHeader("Content-Type", "text/html"); r.end("<!doctype html><title>other</title>"); });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  for (const host of ["evil.example", "127.0.0.1"]) {
    const page = await open(browser, { expected: /./ });
    await page.goto(`http://${host}:${server.address().port}/`);
    const seen = await page.evaluate(async (base) => {
      const tried = {};
      const attempt = async (name, fn) => { try { tried[name] = await fn(); } catch { tried[name] = "refused"; } };
      await attempt("read", async () => (await fetch(base + "/kith/v1/status")).status);
      await attempt("ask", async () => (await fetch(base + "/kith/v1/jobs", { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"prompt":"x"}' })).status);
      await attempt("script", () => new Promise((good, bad) => { const s = document.createElement("script"); s.type = "module"; s.src = base + "/web/format.js"; s.onload = () => good("loaded"); s.onerror = bad; document.head.append(s); }));
      await attempt("image", () => new Promise((good, bad) => { const i = new Image(); i.src = base + "/web/icon.svg"; i.onload = () => good("loaded"); i.onerror = bad; }));
      const frame = document.createElement("iframe");
      frame.src = base + "/";
      await new Promise((resolve) => { frame.onload = resolve; document.body.append(frame); });
      return tried;
    }, base);
    assert.deepEqual(seen, { read: "refused", ask: "refused", script: "refused", image: host === "127.0.0.1" ? seen.image : "refused" }, host);
    for (const f of page.frames().slice(1)) assert.ok(!f.url().startsWith(base), `${host} frames the pages: ${f.url()}`);
    await page.context().close();
  }
  server.close();
  const rebound = await open(browser, { expected: /./ });
  const answer = await rebound.goto(`http://evil.example:${port}/`);
  assert.equal(answer.status(), 403, "a rebound name");
  await rebound.context().close();
}

export default async function access(browser, world) {
  await key(browser, world);
  await foreign(browser, world);
}
