// An account of the ledger: what it holds and what happened to it. For the wallet, the explorer and earnings.
import {add, el, fill} from "./dom.js";
import {count, time} from "./format.js";
import {account as accountLink, amount, block, facts, notice, section, state, table, tx, when} from "./parts.js";

const PAGE = 50;

const WHAT = {tx: "sent", received: "received", payout: "earned", rest: "rest of a channel", refund: "refund", slashed: "slashed", unbonded: "bond returned"};

export function describe(e) {
    const what = e.what === "tx" || e.what === "payout" || e.what === "unbonded" || e.what === "slashed" ? (e.code ?? "").replaceAll("_", " ") : "";
    return [e.what === "tx" ? what : WHAT[e.what] ?? e.what, e.what !== "tx" && what ? ` as ${what}` : "", e.ok === false ? [" ", state("failed")] : null];
}

function row(e) {
    return [when(e.time_ms), describe(e), e.amount ? amount(e.amount, 6) : "–", e.other ? accountLink(e.other) : "–",
            [e.name, e.memo === e.name ? "" : e.memo].filter(Boolean).join(": ") || "–", e.tx ? tx(e.tx) : block(e.height)];
}

function holdings(a) {
    const bonds = Object.entries(a.bonds ?? {}).filter(([, mote]) => mote !== "0");
    return facts([["Balance", el("strong", null, amount(a.balance))], ...bonds.map(([role, mote]) => [`At stake as ${role}`, amount(mote)]),
                  ...(a.unbonding ?? []).map((u) => [`Coming back (${u.role})`, [amount(u.amount), " on ", time(u.until_ms)]]),
                  ["Transactions sent", count(a.nonce)],
                  a.rule ? [`Signed by ${a.rule.k} of`, a.rule.keys.map((k) => el("div", null, accountLink(k)))] : ["", null],
                  ["Address", el("code", null, a.address)], ["Public key", el("code", null, a.pubkey)]]);
}

// Newest first, more at a button. A node may keep none: its message says so.
async function history(view, address) {
    const at = el("div"), entries = [];
    let before = null, from = 0;
    const more = async () => {
        const page = await view.get(`/kith/v1/accounts/${encodeURIComponent(address)}/history?limit=${PAGE}` + (before ? `&before=${encodeURIComponent(before)}` : ""));
        entries.push(...page.entries);
        before = page.next;
        from = page.from;
        fill(at, table("What happened", ["When", "What", "Amount", "With", "Of", "Where"], entries.map(row)),
             from > 1 ? el("p", {class: "small"}, `This node knows what happened from block ${count(from)} on.`) : null,
             before ? el("button", {type: "button", class: "quiet", onclick: (event) => {
                 event.target.disabled = true;
                 more().catch((e) => view.signal.aborted || add(at, notice("bad", e.message)));
             }}, "Older") : null);
    };
    try {
        await more();
    } catch (e) {
        if (e.status !== 409)
            throw e;
        fill(at, notice("", e.message));
    }
    return at;
}

export async function showAccount(view, at, address, extra = null) {
    const a = await view.get(`/kith/v1/accounts/${encodeURIComponent(address)}`);
    fill(at, section("Account", holdings(a), extra), section("What happened", await history(view, a.address)));
    return a;
}
