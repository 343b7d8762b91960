// Lending this machine: whether it does and why, on which terms, what it brought, and the commands that change it.
import {add, el, place} from "../dom.js";
import {bytes, count, span, time} from "../format.js";
import {account, amount, command, facts, id, model, section, state, table} from "../parts.js";

function pause(until) {
    return until === 0 || until === undefined ? null : until === null ? "until it is resumed" : `until ${time(until)}`;
}

function sharing(s) {
    return facts([["State", state(s.state)], ["Why", s.why || null], ["Paused", pause(s.paused_until_ms)], ["Owner", s.owner ? account(s.owner) : "nobody yet"],
                  ["Jobs now", `${count(s.running)} of ${count(s.slots)}`], ["Answers served since the start", count(s.jobs)],
                  ["Earned since the start", amount(s.earned)], ["Not settled yet", amount(s.unsettled)],
                  ["Served", s.models.length ? s.models.map((m) => el("div", null, model(m.root, m.name))) : null]]);
}

function terms({rules: r, ...s}) {
    return facts([["Price of a million tokens read", amount(s.price_in)], ["and written", amount(s.price_out)], ["Jobs at a time", count(s.slots)],
                  ["Hours", r.hours === "any" ? "at any time" : r.hours], ["Only while nobody works here", r.idle_only ? "yes" : "no"], ["Also on battery", r.on_battery ? "yes" : "no"],
                  ["Hottest", r.temperature_max ? `${r.temperature_max} °C` : "any"], ["Memory for models", r.memory_max_mb ? bytes(r.memory_max_mb * 1048576) : "any"]]);
}

// What the last decision was made from; null is unknown.
function machine(m) {
    if (!m)
        return el("p", {class: "small"}, "Looked at while it is lent.");
    return facts([["Power", m.power ?? "unknown"], ["Temperature", m.temperature === null ? "unknown" : `${m.temperature} °C`],
                  ["Last input at a terminal", m.input_s === null ? "unknown, or nobody is logged in" : `${span(m.input_s * 1000)} ago`],
                  ["Processors busy with other work", m.others_permille === null ? "unknown" : `${(m.others_permille / 10).toFixed(0)} %`],
                  ["Memory free", m.memory_free_bytes === null ? "unknown" : bytes(m.memory_free_bytes)]]);
}

// Those in which this node is paid.
function channels(list) {
    return table("Channels", ["Channel", "From", "Model", "Promised", "Settled", "Receipts", "State"],
                 list.filter((c) => c.side === "provider").map((c) => [id(c.channel), id(c.peer), model(c.model), amount(c.promised, 6), amount(c.settled, 6),
                                                                     count(c.receipts), state(c.closed ? "closed" : "open")]), "Nobody pays this node yet.");
}

// Layers of models on other devices of this owner, and those of this one that others have.
function layers({hops, lent}) {
    if (hops.length + lent.length === 0)
        return el("p", {class: "small"}, "A model that is too large for one of your devices can be cut over several: ", el("code", null, "kith help hop"), " says how.");
    const range = (h) => h.first === h.last ? `${h.first}` : `${h.first}–${h.last}`;
    return el("div", null,
        hops.length ? table("Layers elsewhere", ["Model", "Layers", "Device", "State", "Sent", "Received", "Why lost"],
                            hops.map((h) => [model(h.model, h.name), range(h), id(h.node), state(h.used ? "used" : h.state), bytes(h.bytes_out), bytes(h.bytes_in), h.why || null])) : null,
        lent.length ? table("Layers lent", ["Model", "Layers", "To", "State", "Memory", "Batches"],
                            lent.map((t) => [model(t.model, t.name), range(t), id(t.node), state(t.state), bytes(t.memory_bytes), count(t.calls)])) : null);
}

const how = () => section("To change it",
    el("p", null, "Lending puts a bond at stake, which your wallet signs, and it takes this machine, so it is told in a terminal:"),
    command("kith share plan"), command("kith share start"), command("kith share pause 2h"), command("kith share resume"), command("kith share set --hours 22:00-07:00 --idle-only yes"),
    command("kith share finish"), command("kith share stop"), command("kith settle"));

export async function show(view) {
    const top = place(), rules = place(), now = place(), paying = place(), cut = place();
    await view.every(3000, async () => {
        const [{machine: m, ...s}, c, h] = await Promise.all([view.get("/kith/v1/share"), view.get("/kith/v1/channels"), view.get("/kith/v1/share/hops")]);
        top.show(s, sharing);
        rules.show(s, terms);
        now.show(m ?? null, machine);
        paying.show(c.channels, channels);
        cut.show(h, layers);
        if (!top.isConnected)
            add(view.root, section("This machine", top), section("Terms", rules), section("The machine now", now), how(), section("Channels that pay it", paying), section("Models over several devices", cut));
    }, {kinds: ["share", "earned", "hops"]});
}
