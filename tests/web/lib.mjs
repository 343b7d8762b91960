// A browser before real nodes: pages that fail the test when they say an error, and a worker that is stopped and goes on.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

export const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP node.example 127.0.0.1, MAP evil.example 127.0.0.1"];

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

// Its errors, and what its policy refused, in `page.faults`; `expected` are those that a test is about.
export async function open(browser, { width = 1280, height = 900, expected = null, ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, ...more });
  const page = await context.newPage();
  page.faults = [];
  const fault = (text) => expected?.test(text) || page.faults.push(text);
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && fault(`console: ${m.text()} (${m.location().url})`));
  page.on("pageerror", (e) => fault(`error: ${e.stack}`));
  page.on("dialog", (d) => { fault(`dialog: ${d.message()}`); d.dismiss(); });
  page.setDefaultTimeout(40000); // on a machine that is busy with other tests, too
  return page;
}

export async function close(page, what) {
  assert.deepEqual(page.faults, [], what);
  await page.context().close();
}

export async function api(base, path, body) {
  const r = await fetch(base + path, body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {});
  assert.ok(r.ok, `${path}: ${r.status} ${r.ok ? "" : await r.text()}`);
  return r.json();
}

// Another part of the same address is no load: the page that was there is marked, so that it is not taken for the new one.
export const goTo = async (page, base, hash) => {
  if (page.url() === `${base}/${hash}`) await page.reload();
  else {
    await page.evaluate(() => document.querySelector(".page")?.setAttribute("data-old", ""));
    await page.goto(`${base}/${hash}`);
  }
  await page.locator(".page:not([data-old]):not([aria-busy])").waitFor();
};

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, fn, ms = 15000) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(20)) {
    const value = await fn();
    if (value) return value;
  }
  assert.fail(`waited in vain: ${what}`);
}
