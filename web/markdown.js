// Answers of models as they are meant: Markdown. What comes is a stranger's text, so no markup is ever made of it: markdown-it
// (web/vendor) says what its parts are, and each becomes an element of ours with the text in a text node. HTML in it is text; an
// image is its name and its address, and loads nothing; a link goes where it says that it goes, and to nothing but the web or a letter.
//
// While an answer streams in, only its last blocks are read again: what comes later changes nothing before them, since
// references, which could, are not read. How often follows from how long that took.
import {add, el} from "./dom.js";
import {copyButton} from "./parts.js";
import MarkdownIt from "./vendor/markdown-it/markdown-it.esm.min.mjs";

const TEXT_MAX = 1 << 18;      // characters of an answer; longer ones are shown as they are
const TOKENS_MAX = 20000;      // of one block: a table of a hundred thousand cells is shown as it is
const LISTS_MAX = 24;          // blocks within blocks
const OPEN_BLOCKS = 2;         // that may still become others: "2" behind a list is its next entry once the dot is there
const SOON_MS = 40, SHARE = 8; // pause between readings, and how much longer than the last reading it is

const reader = new MarkdownIt("commonmark", {html: false, linkify: false, maxNesting: LISTS_MAX}).enable(["table", "strikethrough"])
    .disable(["reference", "html_block", "html_inline"]);

const TAGS = {paragraph: "p", blockquote: "blockquote", bullet_list: "ul", ordered_list: "ol", list_item: "li", table: "table", thead: "thead",
              tbody: "tbody", tr: "tr", th: "th", td: "td", strong: "strong", em: "em", s: "s"};

const ALIGN = /text-align:(left|right|center)/;

// Where a link may lead, or null.
function address(href) {
    try {
        const url = new URL(href);
        return ["http:", "https:", "mailto:"].includes(url.protocol) ? url : null;
    } catch {
        return null; // a path would be one of this node's
    }
}

// With the host in words where the text does not say it.
function link(token) {
    const href = token.attrGet("href"), url = address(href);
    if (!url)
        return {node: el("span"), end: ` (${href})`};
    return {node: el("a", {href: url.href, target: "_blank", rel: "noopener noreferrer nofollow", title: url.href}), end: ` (${url.host || url.pathname})`};
}

function code(text, language) {
    const name = /^[\w+#.-]{1,30}/.exec(language ?? "")?.[0];
    return el("figure", {class: "code"}, el("figcaption", null, el("span", null, name ?? "code"), copyButton(text, "the code")),
              el("pre", {tabindex: "0", dir: "ltr"}, el("code", null, text)));
}

function open(token) {
    const kind = token.type.slice(0, -"_open".length);
    if (kind === "heading") // below the page's own
        return {node: el("h" + Math.min(3 + Number(token.tag[1]), 6), {dir: "auto"})};
    if (kind === "link")
        return link(token);
    const align = ALIGN.exec(token.attrGet("style") ?? "")?.[1];
    const start = kind === "ordered_list" ? token.attrGet("start") : null;
    const node = el(TAGS[kind] ?? "span", {start, class: align && align !== "left" ? align : null, dir: ["paragraph", "list_item", "th", "td"].includes(kind) ? "auto" : null});
    return kind === "table" ? {node, outer: el("div", {class: "wide-answer", tabindex: "0"}, node)} : {node};
}

const LEAVES = {
    text: (t) => t.content,
    code_inline: (t) => el("code", null, t.content),
    softbreak: () => el("br"),
    hardbreak: () => el("br"),
    hr: () => el("hr"),
    fence: (t) => code(t.content, t.info),
    code_block: (t) => code(t.content),
    image: (t) => `[${t.content || "image"}: ${t.attrGet("src").slice(0, 200)}]`,
};

// Tokens in their order as nodes into `root`.
function build(root, tokens) {
    const path = [{node: root}];
    for (const t of tokens) {
        const at = path.at(-1).node;
        if (t.type === "inline")
            build(at, t.children);
        else if (t.nesting > 0 && t.hidden)
            path.push({node: at}); // a paragraph of a list whose entries stand close
        else if (t.nesting > 0) {
            const opened = open(t);
            add(at, opened.outer ?? opened.node);
            path.push(opened);
        } else if (t.nesting < 0) {
            const {node, end} = path.pop();
            if (end && !node.textContent.includes(end.slice(2, -1)))
                add(path.at(-1).node, end);
        } else
            add(at, (LEAVES[t.type] ?? LEAVES.text)(t));
    }
    return root;
}

// The blocks of a text: the tokens of each, and the line that it begins on.
function blocks(text) {
    const list = [];
    for (const t of reader.parse(text, {})) {
        if (t.level === 0 && t.nesting >= 0)
            list.push({line: t.map[0], end: t.map[1], tokens: []});
        list.at(-1).tokens.push(t);
    }
    return list;
}

function lineAt(text, line) {
    let at = 0;
    for (; line > 0; line--)
        at = text.indexOf("\n", at) + 1;
    return at;
}

const plain = (text) => el("div", {class: "as-it-is"}, text);

function nodes(text, list) {
    return list.flatMap(({line, end, tokens}) => {
        const size = tokens.reduce((n, t) => n + 1 + (t.children?.length ?? 0), 0);
        return size > TOKENS_MAX ? [plain(text.slice(lineAt(text, line), lineAt(text, end) || undefined))] : [...build(document.createDocumentFragment(), tokens).childNodes];
    });
}

// One answer in its place, whole or as it grows.
export class Markdown {
    constructor(root) {
        this.root = root;
        this.clear();
    }

    clear() {
        clearTimeout(this.timer);
        this.timer = undefined;
        this.tail = ""; // what is read again
        this.open = []; // the nodes of it
        this.size = 0;
        this.cost = 0;
        this.root.replaceChildren();
    }

    // All of it, at once.
    show(text) {
        this.clear();
        add(this.root, text.length > TEXT_MAX ? plain(text) : nodes(text, blocks(text)));
    }

    // `onShown` is called when it can be seen, a moment later.
    grow(text, onShown = () => {}) {
        this.tail += text;
        this.size += text.length;
        this.timer ??= setTimeout(() => {
            this.timer = undefined;
            const since = performance.now();
            this.read();
            this.cost = performance.now() - since;
            onShown();
        }, Math.max(SOON_MS, SHARE * this.cost));
    }

    read() {
        for (const node of this.open)
            node.remove();
        if (this.size > TEXT_MAX) {
            this.open = [plain(this.tail)];
        } else {
            this.tail = this.tail.replaceAll("\r", "");
            const list = blocks(this.tail), settled = list.slice(0, -OPEN_BLOCKS), rest = list.slice(-OPEN_BLOCKS);
            add(this.root, nodes(this.tail, settled));
            this.open = nodes(this.tail, rest);
            if (settled.length)
                this.tail = this.tail.slice(lineAt(this.tail, rest[0].line));
        }
        add(this.root, this.open);
    }
}
