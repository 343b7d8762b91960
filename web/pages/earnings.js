// What came in, over time and by reason: for answers, royalties of models and data, audits.
import {add, el, fill, link} from "../dom.js";
import {kithNumber} from "../format.js";
import {amount, facts, notice, section, table} from "../parts.js";
import {plot} from "../plot.js";

const REASONS = {provider: "Answers given", publisher: "Royalties of models", parent: "Royalties of models made from yours", data: "Royalties of data", auditor: "Audits"};
const SPANS = [["day", "A day", 86400e3], ["week", "A week", 7 * 86400e3], ["month", "30 days", 30 * 86400e3], ["all", "All", Infinity]];
const PAGES_MAX = 8, PAGE = 500; // of the history, newest first: what is older is said to be left out

async function payouts(view, address, since) {
    const list = [];
    let before = "";
    for (let i = 0; i < PAGES_MAX; i++) {
        const page = await view.get(`/kith/v1/accounts/${encodeURIComponent(address)}/history?limit=${PAGE}${before && "&before=" + encodeURIComponent(before)}`);
        list.push(...page.entries.filter((e) => e.what === "payout" && e.time_ms >= since));
        if (!page.next || page.entries.at(-1).time_ms < since)
            return {list: list.reverse(), isWhole: true};
        before = page.next;
    }
    return {list: list.reverse(), isWhole: false};
}

const sum = (list) => list.reduce((all, e) => all + BigInt(e.amount), 0n);

// The sums so far at each payout, a line a reason.
function lines(list) {
    const reasons = Object.keys(REASONS).filter((r) => list.some((e) => e.code === r));
    const so_far = Object.fromEntries(reasons.map((r) => [r, 0n]));
    const values = reasons.map(() => []), times = [];
    for (const e of list) {
        so_far[e.code] += BigInt(e.amount);
        const t = e.time_ms / 1000;
        if (times.at(-1) === t) // several in one block: one point
            values.forEach((v) => v.pop());
        else
            times.push(t);
        reasons.forEach((r, i) => values[i].push(kithNumber(so_far[r])));
    }
    return {times, lines: reasons.map((r, i) => ({name: REASONS[r], values: values[i]}))};
}

function byName(list) {
    const names = new Map();
    for (const e of list) {
        const name = e.name ?? e.subject ?? "";
        names.set(name, (names.get(name) ?? 0n) + BigInt(e.amount));
    }
    return table("By model or data", ["Model or data", "Amount"], [...names].sort((a, b) => (a[1] < b[1] ? 1 : -1)).slice(0, 50).map(([name, mote]) => [name || "–", amount(mote.toString(), 6)]));
}

async function draw(view, at, address, [, label, ms]) {
    const {list, isWhole} = await payouts(view, address, ms === Infinity ? 0 : Date.now() - ms);
    const total = amount(sum(list).toString());
    const chart = el("div");
    fill(at, section(`${label}: what came in`, el("p", {class: "big"}, total), isWhole ? null : notice("", "There is more than is added up here: the oldest is left out."),
                     facts(Object.entries(REASONS).map(([r, name]) => [name, amount(sum(list.filter((e) => e.code === r)).toString())]))),
         list.length ? [section("Over time", chart), section("From what", byName(list))] : el("p", null, "Nothing came in. ", link(["share"], "Share"), " says how to lend this machine."));
    if (list.length > 1) {
        const {times, lines: series} = lines(list);
        await plot(view, chart, times, series, (v) => v.toPrecision(3).replace(/\.?0+$/, ""), `KITH that came in, added up over time: ${total.textContent} in all`);
    } else
        fill(chart, el("p", {class: "small"}, "A plot needs two payouts."));
}

export async function show(view, [chosen, wanted]) {
    const [status, share] = await Promise.all([view.get("/kith/v1/status"), view.get("/kith/v1/share")]);
    const address = wanted || share.owner || status.address;
    const period = SPANS.find(([name]) => name === chosen) ?? SPANS[1];
    const at = el("div");
    const tabs = SPANS.map(([name, label]) => {
        const a = link(["earnings", name, ...wanted ? [wanted] : []], label);
        if (name === period[0])
            a.setAttribute("aria-current", "true");
        return a;
    });
    add(view.root, el("p", {class: "row tabs", role: "group", "aria-label": "Since"}, tabs),
        el("p", {class: "small"}, share.owner ? "Of the owner of this node, " : "Of this node's own account, ", link(["explorer", "account", address], address)), at);
    await draw(view, at, address, period);
}
