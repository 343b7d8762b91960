// Answers are strangers' texts, shown as Markdown: what it can say it says, and nothing in it becomes markup, loads, or holds up the page.
import assert from "node:assert/strict";
import { close, goTo, open } from "./lib.mjs";

// In the page: a text as it is shown whole, and as it grows in `pieces`.
const show = (page, text, pieces = 0) => page.evaluate(async ([text, pieces]) => {
  const { Markdown } = await import("/web/markdown.js");
  const root = document.createElement("div");
  root.className = "answer";
  document.querySelector("main").replaceChildren(root);
  const shown = new Markdown(root), since = performance.now();
  let busy = 0;
  if (pieces === 0) shown.show(text);
  for (let i = 0; i < pieces; i++) {
    const at = (n) => Math.round((text.length * n) / pieces);
    const before = performance.now();
    shown.grow(text.slice(at(i), at(i + 1)));
    busy += performance.now() - before;
    await new Promise((resolve) => setTimeout(resolve));
  }
  while (shown.timer !== undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  const all = [...root.querySelectorAll("*")];
  return {
    html: root.innerHTML.length < 20000 ? root.innerHTML : "", text: root.textContent, ms: performance.now() - since, busy, n: all.length,
    tags: [...new Set(all.map((e) => e.tagName.toLowerCase()))].sort(),
    attributes: [...new Set(all.flatMap((e) => e.getAttributeNames()))].sort(),
    links: all.filter((e) => e.href).map((e) => [e.textContent, e.href, e.rel]),
    depth: Math.max(0, ...all.map((e) => { let n = 0; for (; e !== root; e = e.parentNode) n++; return n; })),
  };
}, [text, pieces]);

const TAGS = ["a", "blockquote", "br", "button", "code", "div", "em", "figcaption", "figure", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "span", "strong", "table",
  "tbody", "td", "th", "thead", "tr", "ul"];
const ATTRIBUTES = ["aria-label", "class", "dir", "href", "rel", "start", "tabindex", "target", "title", "type"];
const isTame = (r, what) => {
  assert.deepEqual(r.tags.filter((t) => !TAGS.includes(t)), [], what);
  assert.deepEqual(r.attributes.filter((a) => !ATTRIBUTES.includes(a)), [], what);
  for (const [, href, rel] of r.links) {
    assert.match(href, /^(https?:|mailto:)/, what);
    assert.equal(rel, "noopener noreferrer nofollow");
  }
};

const GOOD = `# A title

One line
and the next, with **bold**, *slanted*, ~~struck~~ and \`code <b>\`.

- first
- second
  1. within
  2. again

3. three
4. four

> said before

| left | right |
|:-----|------:|
| a    | 1     |

\`\`\`js
if (a < b) alert("x");
\`\`\`

---

[kith](https://example.org/a) and [https://example.net/](https://example.net/) and <https://example.com>.
`;

async function says(page) {
  const r = await show(page, GOOD);
  isTame(r, "good");
  for (const part of ["<h4 dir=\"auto\">A title</h4>", "One line<br>and the next", "<strong>bold</strong>", "<em>slanted</em>", "<s>struck</s>", "<code>code &lt;b&gt;</code>",
    "<ul><li dir=\"auto\">first</li>", "<ol><li dir=\"auto\">within</li>", "<ol start=\"3\">", "<blockquote><p dir=\"auto\">said before</p>", "<th dir=\"auto\">left</th>",
    "<th class=\"right\" dir=\"auto\">right</th>", "<span>js</span>", "if (a &lt; b) alert(\"x\");", "<hr>", ">kith</a> (example.org)"])
    assert.ok(r.html.includes(part), `${part} is not in ${r.html}`);
  assert.deepEqual(r.links.map((l) => l[1]), ["https://example.org/a", "https://example.net/", "https://example.com/"]);
  assert.ok(!r.text.includes("(example.net)"), "a host that is there is not said twice");
  for (const pieces of [GOOD.length, 37, 3]) assert.equal((await show(page, GOOD, pieces)).html, r.html, `in ${pieces} pieces it is the same`);
  await page.locator("figure button").click();
  await page.getByText("Copied").waitFor();
  assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trim(), 'if (a < b) alert("x");');
}

async function harmless(page) {
  const hostile = ["<img src=x onerror=globalThis.harmed=1>", "<script>globalThis.harmed=1</script>", "<svg/onload=globalThis.harmed=1>", "<iframe src=//evil.example></iframe>",
    "<style>*{display:none}</style>", "[a](javascript:globalThis.harmed=1)", "[a](JaVaScRiPt:globalThis.harmed=1)", "[a](&#106;avascript:globalThis.harmed=1)",
    "[a](data:text/html,<script>globalThis.harmed=1</script>)", "[a](vbscript:x)", "[a](file:///etc/passwd)", "[a](/kith/v1/keys)", "[a](//evil.example/x)", "[a](\\\\evil.example)",
    "<javascript:globalThis.harmed=1>", "![i](https://evil.example/i.png)", "![i](data:image/svg+xml,<svg>)", "![i](javascript:1)", "[![i](https://evil.example/i.png)](https://evil.example)",
    "[a](https://evil.example \"onmouseover=1\")", "[kith.example](https://evil.example)", "```\" onclick=\"globalThis.harmed=1\nx\n```", "|a|\n|-|\n|<img src=x onerror=globalThis.harmed=1>|",
    "[x]: javascript:1\n\n[x]", "*<b onmouseover=1>*", "&lt;script&gt;globalThis.harmed=1&lt;/script&gt;", "<!-- <b> -->", "<?php x ?>", "<![CDATA[<b>]]>", "a\u202Eb\u0000c"];
  for (const text of hostile) {
    const r = await show(page, text);
    isTame(r, text);
    isTame(await show(page, text, text.length), text);
    for (const [, href] of r.links) assert.equal(new URL(href).protocol, "https:", text);
  }
  assert.ok((await show(page, "[kith.example](https://evil.example)")).text.includes("(evil.example)"), "where a link goes is said");
  assert.ok((await show(page, "![a cat](https://evil.example/i.png)")).text.includes("[a cat: https://evil.example/i.png]"));
  assert.equal((await show(page, "<b>a</b>")).text, "<b>a</b>");
  assert.equal(await page.evaluate(() => globalThis.harmed), undefined);
}

// However large and odd: shown within seconds, not deeply nested, and with no more elements than the text has parts.
async function bounded(page) {
  const times = (text, n) => text.repeat(n);
  const odd = { "a megabyte of backticks": times("`", 1 << 20), backticks: times("`", 250000), apart: times("` ", 30000), "more and more": Array.from({ length: 700 }, (_, i) => times("`", i)).join(" "),
    quotes: times(">", 65536), "quoted lists": times("> - ", 8192), lists: Array.from({ length: 300 }, (_, i) => times("  ", i) + "- a").join("\n"), brackets: times("[", 65536),
    links: times("[a](", 16384), stars: times("*a **a ", 16384), underscores: times("a_", 32768), "a wide table": `|${times("a|", 2000)}\n|${times("-|", 2000)}\n${times("|x\n", 1000)}`,
    "a long table": `|a|b|\n|-|-|\n${times("|x|y|\n", 8192)}`, entities: times("&amp", 65536), "one line": times("word ", 50000), "no end": times("x", 262144), tags: times("<a", 65536) };
  for (const [name, text] of Object.entries(odd)) {
    const r = await show(page, text);
    isTame(r, name);
    assert.ok(r.ms < 8000, `${name}: ${r.ms} ms`);
    assert.ok(r.depth < 60, `${name}: ${r.depth} deep`);
    assert.ok(r.n < 70000, `${name}: ${r.n} elements`);
  }
  // A long answer as it streams: what is settled is not read again.
  const long = times(GOOD, 60), r = await show(page, long, 600), whole = await show(page, long);
  assert.equal(r.text, whole.text);
  assert.ok(r.ms < 30000 && r.busy < 1000, `a long stream: ${r.ms} ms, ${r.busy} ms in calls`);
  assert.equal((await show(page, times("a *b* ", 60000), 50)).tags.length, 1, "what is too long is shown as it is");
}

export default async function markdown(browser, { base }) {
  const page = await open(browser, { permissions: ["clipboard-read", "clipboard-write"] });
  const foreign = [];
  page.on("request", (r) => r.url().startsWith(base) || foreign.push(r.url()));
  await goTo(page, base, "#/home");
  await says(page);
  await harmless(page);
  await bounded(page);
  assert.deepEqual(foreign, [], "nothing is loaded from elsewhere");
  await close(page, "markdown");
}
