// Every page: it loads without an error, at a desk and on a phone, in light and dark, has names for what can be used, and all of
// them are reached by keyboard.
import assert from "node:assert/strict";
import { api, close, goTo, open } from "./lib.mjs";

const PAGES = ["Home", "Chat", "Share", "Earnings", "Jobs", "Models", "Data", "Wallet", "Network", "Explorer", "Health"];

// What a screen reader would find nameless, and headings that leave out a level.
const unnamed = () => {
  const name = (e) => e.getAttribute("aria-label") || e.labels?.[0]?.textContent || (e.labels ? "" : e.textContent) || e.querySelector?.("img")?.alt || e.textContent;
  const seen = [...document.querySelectorAll("a, button, input, select, textarea")].filter((e) => e.checkVisibility());
  const bad = seen.filter((e) => !name(e)?.trim()).map((e) => e.outerHTML);
  for (const img of document.images) if (!img.hasAttribute("alt")) bad.push(img.outerHTML);
  const levels = [...document.querySelectorAll("h1, h2, h3")].filter((h) => !h.closest("dialog")).map((h) => Number(h.tagName[1]));
  levels.forEach((l, i) => { if (l > (levels[i - 1] ?? 0) + 1 && l !== 3) bad.push(`h${l} behind h${levels[i - 1]}`); });
  if (document.querySelectorAll("main, h1").length !== 2) bad.push("main and h1 are not one each");
  return bad;
};

async function everyPage(browser, { base, address, job, root }) {
  const deep = [`#/jobs/${job}`, `#/models/${root}`, "#/explorer/block/1", `#/explorer/account/${address}`, `#/wallet/${address}`, "#/earnings/all"];
  await Promise.all([[1280, 900, "light"], [390, 844, "dark"]].map(async ([width, height, colorScheme]) => {
    const page = await open(browser, { width, height, colorScheme, reducedMotion: "reduce" });
    for (const hash of [...PAGES.map((p) => "#/" + p.toLowerCase()), ...deep]) {
      await goTo(page, base, hash);
      await page.waitForTimeout(60);
      assert.equal(await page.locator(".notice.bad").count(), 0, `${hash}: ${await page.locator(".notice.bad").allTextContents()}`);
      for (const narrow of width === 390 ? [390, 360] : [width]) {
        await page.setViewportSize({ width: narrow, height });
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), narrow, `${hash} scrolls sideways at ${narrow}`);
      }
      assert.deepEqual(await page.evaluate(unnamed), [], hash);
      if (hash.split("/").length === 2) assert.equal((await page.locator("h1").textContent()).toLowerCase(), hash.slice(2));
    }
    await close(page, `${width}`);
  }));
}

async function byKeyboard(browser, { base }) {
  const page = await open(browser);
  await goTo(page, base, "");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  for (const title of PAGES) {
    await page.evaluate(() => document.querySelector(".brand a").focus());
    for (let i = 0; (await page.evaluate(() => document.activeElement.textContent)) !== title; i++) {
      assert.ok(i < 20, `${title} is not reached by Tab`);
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("Enter");
    await page.locator("h1", { hasText: title }).waitFor();
    const main = page.locator("main");
    assert.ok(await main.evaluate((m) => m.contains(document.activeElement)), `${title}: the focus is not on the page`);
    assert.equal(await page.locator("nav a[aria-current=page]").textContent(), title);
  }
  await close(page, "keyboard");

  const phone = await open(browser, { width: 390, height: 844 });
  await goTo(phone, base, "");
  assert.equal(await phone.locator("nav a").first().isVisible(), false);
  await phone.locator("#menu").focus();
  await phone.keyboard.press("Enter");
  assert.equal(await phone.locator("#menu").getAttribute("aria-expanded"), "true");
  await phone.getByRole("link", { name: "Explorer" }).press("Enter");
  await phone.locator("h1", { hasText: "Explorer" }).waitFor();
  assert.equal(await phone.locator("nav a").first().isVisible(), false, "the menu closes behind a choice");
  await close(phone, "menu");
}

// Search leads to blocks, transactions and accounts, and says what it does not find.
async function search(browser, { base, address }) {
  const page = await open(browser, { expected: /404|400/ });
  const find = async (text) => {
    await goTo(page, base, "#/explorer");
    await page.getByLabel("Height, id or address").fill(text);
    await page.keyboard.press("Enter");
  };
  await find("1");
  await page.locator("h2", { hasText: "Block 1" }).waitFor();
  const hex = (await api(base, "/kith/v1/chain/blocks/1")).txs[0]?.id;
  if (hex) {
    await find(hex);
    await page.locator("h2", { hasText: "Transaction" }).waitFor();
  }
  await find(address);
  await page.getByText("Balance").waitFor();
  await find("no such thing");
  await page.locator(".notice.bad").waitFor();
  await close(page, "search");
}

// A page that is left asks for nothing more; a hidden tab neither.
async function quiet(browser, { base }) {
  const page = await open(browser);
  const asked = [];
  await goTo(page, base, "#/explorer");
  await goTo(page, base, "#/network");
  await page.waitForTimeout(300);
  await page.goto(base + "/#/models");
  await page.locator("h1", { hasText: "Models" }).waitFor();
  page.on("request", (r) => asked.push(r.url().slice(base.length)));
  await page.waitForTimeout(5600);
  const others = asked.filter((path) => !/^\/kith\/v1\/(status|models|events)$/.test(path));
  assert.deepEqual(others, [], "requests of pages that were left");
  assert.ok(asked.length >= 2, "the page that is shown is kept up to date");
  await close(page, "quiet");
}

export default async function look(browser, world) {
  await Promise.all([everyPage(browser, world), byKeyboard(browser, world), search(browser, world), quiet(browser, world)]);
}
