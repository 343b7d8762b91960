// The shell: which page the address names, the row of pages, the node's pulse, and the question for a key.
import * as api from "./api.js";
import {add, el, fill} from "./dom.js";
import {ago} from "./format.js";
import {notice} from "./parts.js";
import {View} from "./view.js";

const PAGES = [["home", "Home"], ["chat", "Chat"], ["share", "Share"], ["earnings", "Earnings"], ["jobs", "Jobs"], ["models", "Models"],
               ["data", "Data"], ["wallet", "Wallet"], ["network", "Network"], ["explorer", "Explorer"], ["health", "Health"]];
const PULSE_MS = 5000;

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const menu = document.getElementById("menu");
let leave = new AbortController();

// -- which page --

function parts() {
    try {
        return location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
    } catch {
        return [""]; // a percent sign that encodes nothing
    }
}

function openMenu(open) {
    menu.setAttribute("aria-expanded", String(open));
    nav.classList.toggle("open", open);
}

function mark(name) {
    for (const a of nav.querySelectorAll("a"))
        if (a.dataset.page === name)
            a.setAttribute("aria-current", "page");
        else
            a.removeAttribute("aria-current");
}

function explain(error, view) {
    const again = el("button", {type: "button", onclick: () => show()}, "Try again");
    const key = error.status === 401 || error.status === 403
        ? el("button", {type: "button", onclick: async () => { if (await askKey(error.message)) show(); }}, "Enter a key") : null;
    add(view.root, notice("bad", error.message), el("p", {class: "row"}, key, again));
}

async function show(isFirst = false) {
    leave.abort();
    api.mayAsk();
    leave = new AbortController();
    const {signal} = leave;
    let [name, ...rest] = parts();
    if (name === "")
        name = "home";
    const page = PAGES.find(([known]) => known === name);
    const root = el("div", {class: "page page-" + (page ? name : "none")});
    const view = new View(root, signal);
    const title = page ? page[1] : "There is no such page";
    const heading = el("h1", {tabindex: "-1"}, title);
    mark(name);
    openMenu(false);
    document.title = title + " · Kith";
    add(root, heading);
    fill(main, root);
    if (!isFirst) {
        heading.focus({preventScroll: true});
        scrollTo(0, 0);
    }
    if (!page)
        return add(root, el("p", null, "The pages are in the list."));
    root.setAttribute("aria-busy", "true");
    try {
        const module = await import(`./pages/${name}.js`);
        if (!signal.aborted)
            await module.show(view, rest);
    } catch (error) {
        if (!signal.aborted)
            explain(error, view);
    }
    root.removeAttribute("aria-busy");
}

// -- the key --

function askKey(why) {
    const dialog = document.getElementById("key"), input = document.getElementById("key-text");
    const cancel = document.getElementById("key-cancel");
    fill(document.getElementById("key-why"), why);
    input.value = "";
    const over = new AbortController();
    return new Promise((resolve) => {
        const on = (target, name, fn) => target.addEventListener(name, fn, {signal: over.signal});
        const end = (key) => {
            over.abort();
            if (key)
                api.setKey(key);
            dialog.close();
            input.value = "";
            resolve(Boolean(key));
        };
        on(dialog.querySelector("form"), "submit", (event) => {
            event.preventDefault();
            const text = input.value.trim();
            if (/^[!-~]+$/.test(text))
                return end(text);
            // It could stand in no header, and nothing could be asked with it, not even for another.
            fill(document.getElementById("key-why"), "A key is plain letters, digits and _: copy all that kith key new printed.");
            input.select();
        });
        on(cancel, "click", () => end(null));
        on(dialog, "cancel", (event) => { event.preventDefault(); end(null); });
        dialog.showModal();
    });
}

// -- the pulse: how the node is, on every page --

async function pulse() {
    const text = document.getElementById("pulse");
    const view = new View(text, new AbortController().signal);
    let shown = "", locked;
    const say = (now) => {
        if (now !== shown)
            text.textContent = shown = now;
    };
    await view.every(PULSE_MS, async () => {
        if (locked !== undefined && locked === api.currentKey())
            return; // it would be refused again
        try {
            locked = undefined;
            const s = await api.get("/kith/v1/status", {quiet: true});
            say(`${s.chain.name}, block ${s.chain.height}${s.chain.syncing ? ", catching up" : ""}, ` +
                `${s.peers} ${s.peers === 1 ? "peer" : "peers"}`);
        } catch (e) {
            if (e.status === 401 || e.status === 403)
                locked = api.currentKey();
            say(e.code === "unreachable" ? "The node does not answer." : "");
        }
        for (const t of main.querySelectorAll("time"))
            t.textContent = ago(Date.parse(t.dateTime));
    }, {kinds: ["block", "peer"]});
}

api.whenLocked(askKey);
add(nav.querySelector("ul"), PAGES.map(([name, title]) => el("li", null, el("a", {href: "#/" + name, "data-page": name}, title))));
menu.addEventListener("click", () => openMenu(menu.getAttribute("aria-expanded") !== "true"));
nav.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.getAttribute("aria-expanded") === "true") {
        openMenu(false);
        menu.focus();
    }
});
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
addEventListener("hashchange", () => show());
show(true);
pulse();
