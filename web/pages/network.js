// Who this node is connected to, and the chain as it grows: the height is waited for, not asked for over and over.
import {add, el, place} from "../dom.js";
import {count, span} from "../format.js";
import {amount, block, command, facts, id, section, state, table, when} from "../parts.js";

function chain(info) {
    return facts([["Network", info.name], ["Chain", id(info.id)], ["Height", block(info.height)], ["Last block", when(info.time_ms)],
                  ["Validators", count(info.validators)], ["State root", id(info.state_root)],
                  ["Price of a byte", amount(info.fees.per_byte)], ["Price of a unit of work", amount(info.fees.per_work)]]);
}

function supply(s) {
    return facts([["At genesis", amount(s.genesis, 2)], ["Issued since", amount(s.issued, 2)], ["In accounts", amount(s.balances, 2)],
                  ["In bonds, channels, escrow", amount(s.locked, 2)], ["In funds", amount(s.funds, 2)], ["Burned", amount(s.burned, 2)]]);
}

function peers(list) {
    return table("Peers", ["Node", "At", "State", "Roles", "Height", "Round trip", "For"],
                 list.map((p) => [id(p.node), el("code", null, p.endpoint), [state(p.up ? "connected" : "away"), " ", p.direction],
                                  p.roles.join(", ") || "none", count(p.height), p.up ? `${p.rtt_ms} ms` : "–", p.up ? span(p.connected_ms) : "–"]),
                 "No peers. A chain of one (kithd dev) has none; otherwise give kithd one with --peer KEY@HOST:PORT.");
}

export async function show(view) {
    const head = place(), money = place(), list = place();
    await view.every(4000, async () => {
        const info = await view.get("/kith/v1/chain/info");
        head.show(info, chain);
        money.show(info.supply, supply);
    }, {kinds: ["block"]});
    add(view.root, section("Chain", head), section("Peers", list, command("kith peer add PUBKEY@HOST:PORT"), command("kith net check")), section("Money", money));
    await view.every(4000, async () => list.show((await view.get("/kith/v1/peers")).peers, peers), {kinds: ["peer", "block"]});
}
