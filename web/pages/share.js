// Lending this machine: what is served, at which price, what it brought, and the commands that change it.
import {add, el, place} from "../dom.js";
import {count} from "../format.js";
import {account, amount, command, facts, id, model, section, state, table} from "../parts.js";

function sharing(s) {
    return [facts([["State", [state(s.state), s.why ? [" ", s.why] : null]], ["Owner", s.owner ? account(s.owner) : "nobody yet"],
                   ["Answers served", count(s.jobs)], ["Earned since the start", amount(s.earned)], ["Not settled yet", amount(s.unsettled)],
                   ...s.state === "off" ? [] : [["Price of a million tokens read", amount(s.price_in)], ["and written", amount(s.price_out)]]]),
            s.models.length ? [el("h3", null, "Served"), el("ul", null, s.models.map((m) => el("li", null, model(m.root, m.name))))] : null];
}

// Those in which this node is paid.
function channels(list) {
    return table("Channels", ["Channel", "From", "Model", "Promised", "Settled", "Receipts", "State"],
                 list.filter((c) => c.side === "provider").map((c) => [id(c.channel), id(c.peer), model(c.model), amount(c.promised, 6), amount(c.settled, 6),
                                                                     count(c.receipts), state(c.closed ? "closed" : "open")]), "Nobody pays this node yet.");
}

const how = () => section("To change it",
    el("p", null, "Lending puts a bond at stake, which your wallet signs, so it is begun in a terminal:"),
    command("kith share start"), command("kith share stop"), command("kith settle"));

export async function show(view) {
    const top = place(), paying = place();
    await view.every(3000, async () => {
        const [s, c] = await Promise.all([view.get("/kith/v1/share"), view.get("/kith/v1/channels")]);
        top.show(s, sharing);
        paying.show(c.channels, channels);
        if (!top.isConnected)
            add(view.root, section("This machine", top), how(), section("Channels that pay it", paying));
    });
}
