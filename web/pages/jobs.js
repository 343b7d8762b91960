// What was asked through this node: the list, and one job with all that is known of it.
import * as api from "../api.js";
import {add, el, fill, link, place} from "../dom.js";
import {count, isZero, span, time} from "../format.js";
import {amount, block, command, facts, id, model, notice, section, state, table, tx, when} from "../parts.js";

const SHOWN = 100;

function list(jobs) {
    return table("Jobs", ["Job", "When", "Model", "State", "Where", "Tokens in, out", "Cost"],
                 jobs.map((j) => [id(j.job, ["jobs", j.job]), when(j.created_ms), j.model || "–", state(j.state), j.route,
                                  `${count(j.tokens_in)}, ${count(j.tokens_out)}`, j.route === "local" ? "free" : amount(j.cost, 6)]),
                 "Nothing was asked yet.");
}

function settled(j) {
    const s = j.settlement;
    return s ? [state(s.state), " ", tx(s.tx), " in block ", block(s.height)] : isZero(j.receipt) ? null : "not yet";
}

function about(j) {
    return [facts([["State", [state(j.state), j.note ? [" ", j.note] : null]], ["Model", model(j.model.root, j.model.name)],
                   ["Asked", time(j.created_ms)], ["Answered", j.route === "local" ? (j.private ? "on this machine, private" : "on this machine") : ["by ", el("code", null, j.provider)]],
                   ["Tokens", `${count(j.tokens_in)} in, ${count(j.tokens_out)} out`], ["Ended by", j.stop], ["Cost", j.route === "local" ? "free" : amount(j.cost)],
                   ["Receipt", isZero(j.receipt) ? null : el("code", null, j.receipt)], ["Channel", isZero(j.channel) ? null : el("code", null, j.channel)],
                   ["Settlement", settled(j)], ["Audit", j.audit ? [state(j.audit.verdict ?? "asked"), " by ", id(j.audit.auditor)] : null],
                   ["Seed", isZero(j.seed) ? null : el("code", null, j.seed)], ["Digest", isZero(j.digest) ? null : el("code", null, j.digest)],
                   ["Verified", j.verified ? state("ok") : "not on this machine"]]),
            j.error ? notice("bad", j.error.message) : null, j.thought ? el("details", {class: "thought"}, el("summary", null, "Thoughts"), el("div", {class: "as-it-is"}, j.thought)) : null,
            j.said ? [el("h3", null, "Answer"), el("div", {class: "answer"}, j.said)] : null];
}

function verifier(view, job) {
    const said = el("p", {role: "status"});
    const bar = el("progress", {hidden: true, "aria-label": "Tokens replayed"});
    const button = el("button", {type: "button", onclick: async () => {
        button.disabled = true;
        fill(said, "Replaying prompt and answer with the model on this machine…");
        try {
            const {task} = await view.post(`/kith/v1/jobs/${job}/verify`);
            const r = await api.task(task, (done, total) => { bar.hidden = !total; bar.max = total; bar.value = done; }, {signal: view.signal});
            fill(said, r.same ? `The same bits: ${count(r.tokens)} tokens, in ${span(r.replay_ms)}.` :
                 r.cut ? "Its tokens are the model's own, but the model does not end there, or not for the reason that was given." : `Not the model's own: it differs at token ${r.position}.`,
                 r.same ? null : [" Take it to the ledger:", command(`kith job challenge ${job}`)]);
        } catch (e) {
            if (!view.signal.aborted)
                fill(said, e.message);
        }
        bar.hidden = true;
        button.disabled = false;
    }}, "Verify");
    return el("div", null, button, bar, said);
}

async function showOne(view, job) {
    const at = place();
    let isOver = false, canVerify = false;
    add(view.root, el("p", null, link(["jobs"], "All jobs")));
    await view.every(1500, async () => {
        if (isOver)
            return;
        const j = await view.get(`/kith/v1/jobs/${encodeURIComponent(job)}`);
        at.show(j, about);
        if (!at.isConnected)
            add(view.root, section("Job", at));
        if (j.state === "done" && !canVerify)
            add(view.root, section("Is it the model's own?", verifier(view, j.job)));
        canVerify = j.state === "done";
        isOver = ["done", "failed", "cancelled"].includes(j.state) && (isZero(j.receipt) || (j.settlement && j.settlement.state !== "waiting"));
    }, {kinds: ["job", "block"]});
}

export async function show(view, [job]) {
    if (job)
        return showOne(view, job);
    const at = place();
    await view.every(3000, async () => {
        at.show((await view.get(`/kith/v1/jobs?limit=${SHOWN}`)).jobs, list);
        if (!at.isConnected)
            add(view.root, section("Asked through this node", at));
    }, {kinds: ["job"]});
}
