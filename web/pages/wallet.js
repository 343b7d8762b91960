// What accounts hold and where they receive. Keys of owners never reach the node, let alone a page: what is signed is
// signed by `kith`, and here is what to type.
import * as api from "../api.js";
import {showAccount} from "../account.js";
import {add, el, fill, link} from "../dom.js";
import {short} from "../format.js";
import {command, copyButton, facts, section} from "../parts.js";

const SEEN = "kith.addresses", SEEN_MAX = 6;

// Addresses that were looked at here, in this browser: they are public, and nothing else is kept.
function seen() {
    try {
        const list = JSON.parse(localStorage.getItem(SEEN) ?? "[]");
        return Array.isArray(list) ? list.filter((a) => typeof a === "string").slice(0, SEEN_MAX) : [];
    } catch {
        return [];
    }
}

function remember(address) {
    try {
        localStorage.setItem(SEEN, JSON.stringify([address, ...seen().filter((a) => a !== address)].slice(0, SEEN_MAX)));
    } catch { // a browser that keeps nothing
    }
}

// Through fetch, since a picture's own request carries no key.
async function code(view, address) {
    const svg = await api.text(`/kith/v1/accounts/${encodeURIComponent(address)}/qr`, {signal: view.signal});
    return el("img", {class: "qr", alt: "The address as a QR code", src: "data:image/svg+xml," + encodeURIComponent(svg)});
}

async function chooser(view, current) {
    const [status, share] = await Promise.all([view.get("/kith/v1/status"), view.get("/kith/v1/share")]);
    const known = [[status.address, "this node"]];
    if (share.owner && share.owner !== status.address)
        known.push([share.owner, "owner of this node"]);
    for (const a of seen())
        if (!known.some(([b]) => a === b))
            known.push([a, "looked at"]);
    const input = el("input", {id: "address", type: "search", placeholder: `${status.chain.prefix}1…`, spellcheck: "false", autocomplete: "off"});
    const form = el("form", {class: "find", role: "search"}, el("label", {for: "address"}, el("span", {class: "hidden"}, "Address of another account"), input),
                    el("button", {type: "submit"}, "Show"));
    view.listen(form, "submit", (event) => {
        event.preventDefault();
        if (input.value.trim())
            location.hash = "#/wallet/" + encodeURIComponent(input.value.trim());
    });
    const address = current || share.owner || status.address;
    const list = facts(known.map(([a, what]) => [what, a === address ? el("strong", null, short(a)) : link(["wallet", a], short(a))]));
    return {address, node: status.address, list, form};
}

const send = () => section("Send, receive, keep",
    el("p", null, "Keys stay in your wallet's file, and these commands ask for its password:"),
    command("kith tx send ADDRESS AMOUNT"), command("kith wallet receive"), command("kith wallet balance"), command("kith wallet backup"));

const fund = (address) => section("This node's own account",
    el("p", null, "It pays for the questions that are asked through this node, up to what it holds. To give it some:"), command(`kith tx send ${address} 5`));

export async function show(view, [current]) {
    const {address, node, list, form} = await chooser(view, current);
    const at = el("div"), receive = el("div");
    add(view.root, form, section("Accounts", list), at);
    const a = await showAccount(view, at, address, receive);
    if (current)
        remember(a.address);
    add(view.root, send(), a.address === node ? fund(node) : null);
    fill(receive, await code(view, a.address), el("p", null, copyButton(a.address, "the address")));
}
