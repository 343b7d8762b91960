// Models that are here, and those that others offer; one of them with its licence and what it was made from.
import {add, el, link, place} from "../dom.js";
import {bytes, count, percent, short} from "../format.js";
import {account, amount, block, command, facts, id, model, section, state, table, tx} from "../parts.js";

const million = (mote) => [amount(mote, 6)];

function local(list) {
    return table("Models on this machine", ["Name", "State", "Size", "Form", "Context", "On the ledger"],
                 list.map((m) => [model(m.root, m.name), [state(m.state), m.why ? [" ", m.why] : null], bytes(m.size),
                                  m.architecture ? `${m.architecture} ${m.format}` : "not loaded yet", m.context ? count(m.context) : "–", m.published ? "yes" : "no"]),
                 "None. Fetch one by name or root, or import a GGUF file:");
}

function offers(list) {
    return table("Offers", ["Model", "Per million tokens read", "written", "Context", "Tokens a second", "Free", "Provider"],
                 list.map((o) => [model(o.model, o.name), million(o.price_in), million(o.price_out), count(o.context), count(Math.round(o.speed)),
                                  `${count(o.slots_free ?? o.slots)} of ${count(o.slots)}`, id(o.provider)]),
                 "Nobody offers one now.");
}

function lineage(list) {
    return table("Lineage", ["Made from", "Share", "Paid to"],
                 list.map((l) => [[l.type, " ", l.type === "model" ? model(l.id) : id(l.id)], percent(l.bps), l.to ? el("code", {title: l.to}, short(l.to)) : "–"]),
                 "It was made from nothing that is on the ledger.");
}

function about(m) {
    const p = m.published;
    return [section(m.name || short(m.root), facts([["Root", el("code", null, m.root)], ["Here", m.local ? (m.state ? state(m.state) : "yes") : "no"], ["Size", m.size ? bytes(m.size) : null],
                ["Form", m.architecture ? `${m.architecture} ${m.format ?? ""}` : null], ["Context", m.context ? `${count(m.context)} tokens` : null],
                ["Licence", p?.licence], ["Publisher", p ? account(p.publisher) : "not on the ledger"], ["Royalty", p ? percent(p.royalty_bps) : null],
                ["To be paid by models made from it", p ? percent(p.derive_bps) : null], ["Published", p ? [p.tx ? [tx(p.tx), " "] : "", "in block ", block(p.height)] : null]]),
                m.local ? [el("p", null, "To make room on this machine:"), command(`kith model rm ${m.root}`)] : [el("p", null, "To have it on this machine:"), command(`kith model pull ${m.root}`)]),
            p ? section("Lineage", lineage(p.lineage)) : null,
            section("Offers", offers(m.offers))];
}

async function showOne(view, which) {
    const at = place();
    add(view.root, el("p", null, link(["models"], "All models")), at);
    await view.every(5000, async () => at.show(await view.get(`/kith/v1/models/${encodeURIComponent(which)}`), about));
}

export async function show(view, [which]) {
    if (which)
        return showOne(view, which);
    const here = place(), there = place();
    await view.every(5000, async () => {
        const all = await view.get("/kith/v1/models");
        here.show(all.local, local);
        there.show(all.offers, offers);
        if (!here.isConnected)
            add(view.root, section("On this machine", here, command("kith model pull MODEL"), command("kith model import FILE.gguf")),
                section("On offer", there),
                section("Publish your own", el("p", null, "You earn a royalty each time it is used; your wallet signs:"), command("kith model publish FILE.gguf")));
    });
}
