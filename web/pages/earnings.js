// What came in, by day and by reason: for answers, royalties of models and data, audits.
import {add, el, fill, link} from "../dom.js";
import {count, kithNumber} from "../format.js";
import {account as accountLink, amount, command, facts, id, model, notice, section, table} from "../parts.js";
import {bars} from "../plot.js";

const REASONS = {provider: "Answers given", publisher: "Royalties of models", parent: "Royalties of models made from yours", data: "Royalties of data",
                 auditor: "Audits", grant: "Data sold", bounty: "Bounties"};
const DAY_MS = 86400e3, DAYS_MAX = 366;
const SPANS = [["week", "7 days", 7], ["month", "30 days", 30], ["all", "All", null]];

// All days from the first to today, those without anything too: as bars they would else stand too close.
function byDay(days, span, now) {
    const today = Math.floor(now / DAY_MS), found = new Map(days.map((d) => [Math.floor(d.start_ms / DAY_MS), d.reasons]));
    const first = span ? today - span + 1 : Math.max(Math.min(...found.keys()), today - DAYS_MAX + 1);
    const list = Array.from({length: today - first + 1}, (_, i) => first + i);
    const reasons = Object.keys(REASONS).filter((r) => days.some((d) => d.reasons[r] && d.reasons[r] !== "0"));
    return {times: list.map((day) => day * DAY_MS / 1000), lines: reasons.map((r) => ({name: REASONS[r], values: list.map((day) => kithNumber(found.get(day)?.[r]))}))};
}

function byName(list) {
    return table("From what", ["Model or data", "Amount", "Payouts"], list.slice(0, 50).map((m) => [m.name ? model(m.root, m.name) : id(m.root, ["models", m.root]), amount(m.amount, 6), count(m.payouts)]));
}

function sums(e, label) {
    const more = Object.keys(e.reasons).filter((r) => !REASONS[r]);
    return section(`${label}: what came in`, el("p", {class: "big"}, amount(e.total)),
        e.complete ? null : notice("", `This node knows what was paid from block ${count(e.from)} on: earlier payouts are not in these sums.`),
        facts([...Object.entries(REASONS), ...more.map((r) => [r, r])].filter(([r]) => e.reasons[r] !== undefined).map(([r, name]) => [name, amount(e.reasons[r])])),
        el("p", {class: "small"}, "On its way, before royalties: ", amount(e.unsettled), " not settled yet, ", amount(e.in_audit), " in audit."));
}

export async function show(view, [chosen, wanted]) {
    const [name, label, span] = SPANS.find(([known]) => known === chosen) ?? SPANS[0];
    const since = span ? (Math.floor(Date.now() / DAY_MS) - span + 1) * DAY_MS : 0;
    const e = await view.get(`/kith/v1/earnings?since=${since}` + (wanted ? `&account=${encodeURIComponent(wanted)}` : ""));
    const tabs = SPANS.map(([known, text]) => {
        const a = link(["earnings", known, ...wanted ? [wanted] : []], text);
        if (known === name)
            a.setAttribute("aria-current", "true");
        return a;
    });
    const chart = el("div");
    add(view.root, el("p", {class: "row tabs", role: "group", "aria-label": "Since"}, tabs), el("p", {class: "small"}, "Account ", accountLink(e.address)),
        sums(e, label), e.days.length ? [section("By day", chart), section("From what", byName(e.models))]
            : el("p", null, "Nothing was paid in that time. ", link(["share"], "Share"), " says how to lend this machine."),
        section("In a terminal", command("kith earn --since 7d")));
    if (e.days.length === 0)
        return;
    const {times, lines} = byDay(e.days, span, Math.max(Date.now(), e.days[0].start_ms));
    try {
        await bars(view, chart, times, lines, `KITH that came in by day: ${e.days.slice(0, 31).map((d) => `${d.day} ${kithNumber(d.total)}`).join(", ")}`);
    } catch (error) {
        if (!view.signal.aborted)
            fill(chart, notice("bad", error.message));
    }
}
