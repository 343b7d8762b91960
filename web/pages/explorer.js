// The ledger as it is: blocks, transactions, accounts, settlements, and a search that takes a height, an id or an address.
import {showAccount} from "../account.js";
import {add, el, fill, link, place} from "../dom.js";
import {count, isZero, time} from "../format.js";
import {account, amount, block, facts, id, notice, section, state, table, tx, when} from "../parts.js";

const BLOCKS_SHOWN = 12;
const AMOUNTS = /^(amount|fee|price|price_in|price_out|bond|stake|funded|cumulative|terms_amount)$/;

// -- search --

// Where a text leads. A long number may be the id of several things: they are tried in turn.
async function find(view, text) {
    if (/^\d+$/.test(text) && text.length < 16)
        return ["explorer", "block", text];
    if (!/^[0-9a-f]{64}$/i.test(text))
        return ["explorer", "account", text];
    const hex = text.toLowerCase();
    for (const [path, parts] of [[`/kith/v1/tx/${hex}`, ["explorer", "tx", hex]], [`/kith/v1/models/${hex}`, ["models", hex]],
                                 [`/kith/v1/jobs/${hex}`, ["jobs", hex]], [`/kith/v1/grants/${hex}`, ["data"]]])
        try {
            await view.get(path);
            return parts;
        } catch (e) {
            if (e.status !== 404 && e.status !== 403)
                throw e;
        }
    return ["explorer", "account", hex];
}

function search(view) {
    const input = el("input", {id: "find", type: "search", placeholder: "Height, id or address", spellcheck: "false", autocomplete: "off"});
    const trouble = el("div", {role: "status"});
    const form = el("form", {class: "find", role: "search"}, el("label", {for: "find"}, el("span", {class: "hidden"}, "Height, id or address"), input),
                    el("button", {type: "submit"}, "Find"));
    view.listen(form, "submit", async (event) => {
        event.preventDefault();
        const text = input.value.trim();
        if (!text)
            return;
        try {
            location.hash = "#/" + (await find(view, text)).map(encodeURIComponent).join("/");
        } catch (e) {
            if (!view.signal.aborted)
                fill(trouble, notice("bad", e.message));
        }
    });
    return [form, trouble];
}

// -- the newest --

function blocks(list) {
    return table("Blocks", ["Height", "When", "Transactions", "Round", "Proposer"],
                 list.map((b) => [block(b.height), when(b.time_ms), count(b.txs.length), count(b.round), id(b.proposer)]));
}

function settlements(list) {
    return table("Settlements", ["Settlement", "Block", "State", "Amount", "Provider", "Audits"],
                 list.map((s) => [tx(s.tx), block(s.height), state(s.state), amount(s.amount, 6), id(s.provider),
                                  s.audits.map((a) => [state(a.verdict ?? "asked"), " "])]), "None is open.");
}

async function overview(view) {
    const newest = place(), open = place();
    let known = [];
    add(view.root, section("Blocks", newest), section("Settlements", open));
    const look = async () => {
        const {height} = await view.get("/kith/v1/chain/info");
        const from = Math.max(1, height - BLOCKS_SHOWN + 1), before = new Map(known.map((b) => [b.height, b]));
        const wanted = Array.from({length: Math.max(0, height - from + 1)}, (_, i) => height - i);
        known = (await Promise.all(wanted.map(async (h) => before.get(h) ?? view.get(`/kith/v1/chain/blocks/${h}`).catch((e) => {
            if (e.status === 404) // dropped, or before a snapshot
                return null;
            throw e;
        })))).filter(Boolean);
        newest.show(known, blocks);
        open.show((await view.get("/kith/v1/settlements")).settlements.slice(-20).reverse(), settlements);
        return height;
    };
    await view.every(3000, look, {kinds: ["block"]});
}

// -- one of them --

async function showBlock(view, height) {
    const b = await view.get(`/kith/v1/chain/blocks/${encodeURIComponent(height)}`);
    add(view.root, section(`Block ${count(b.height)}`,
        facts([["Id", el("code", null, b.id)], ["Time", el("span", null, time(b.time_ms))], ["Proposer", el("code", null, b.proposer)],
               ["Round", count(b.round)], ["State root", el("code", null, b.state_root)], ["Root of transactions", el("code", null, b.txs_root)]]),
        el("p", {class: "row"}, b.height > 1 ? link(["explorer", "block", b.height - 1], "Block before") : null, link(["explorer", "block", b.height + 1], "Block after"))),
        section("Transactions", table("Transactions", ["Id", "Kind", "Signer", "Fee", "Result"],
            b.txs.map((t) => [tx(t.id), t.kind.replaceAll("_", " "), account(t.signer), amount(t.fee, 6), t.ok ? state("ok") : [state("failed"), " ", t.error]]), "None.")));
}

const fields = (object) => facts(Object.entries(object).map(([name, v]) => [name.replaceAll("_", " "), value(name, v)]));

// Whatever a kind of transaction has: pages need not know each of them.
function value(name, v) {
    if (v === null || v === undefined || v === "")
        return "–";
    if (typeof v === "string" && AMOUNTS.test(name) && /^\d+$/.test(v))
        return amount(v);
    if (typeof v === "string" && /^[0-9a-f]{64}$/.test(v))
        return isZero(v) ? "–" : el("code", null, v);
    if (Array.isArray(v))
        return v.length ? v.map((one) => el("div", null, value(name, one))) : "–";
    if (typeof v === "object")
        return fields(v);
    return typeof v === "string" && /^[0-9a-f]{32,}$/.test(v) ? el("code", null, v) : String(v);
}

// By its key, which the account's page takes as well as an address.
const accountOrCode = (key) => link(["explorer", "account", key], el("code", null, key));

async function showTx(view, hex) {
    const t = await view.get(`/kith/v1/tx/${encodeURIComponent(hex)}`);
    const body = t.tx ?? {};
    add(view.root, section(`Transaction: ${(body.kind ?? "?").replaceAll("_", " ")}`,
        facts([["Id", el("code", null, t.id)], ["State", state(t.state)], ["Block", t.height ? block(t.height) : null],
               ["Result", t.state !== "included" ? null : t.ok ? state("ok") : [state("failed"), " ", t.error]],
               ["Signer", body.signer ? accountOrCode(body.signer) : null], ["Nonce", body.nonce ?? null], ["Fee", body.fee ? amount(body.fee) : null]])),
        section("What it says", fields(body.body ?? {})));
}

export async function show(view, [what, which]) {
    add(view.root, search(view));
    if (what === "block" && which)
        await showBlock(view, which);
    else if (what === "tx" && which)
        await showTx(view, which);
    else if (what === "account" && which) {
        const at = el("div");
        add(view.root, at);
        await showAccount(view, at, which);
    } else
        await overview(view);
}
