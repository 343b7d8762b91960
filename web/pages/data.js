// Data sets on the ledger, what is wanted, and access that was bought or sold.
import {add, place} from "../dom.js";
import {bytes, percent, time} from "../format.js";
import {account, amount, command, id, section, state, table} from "../parts.js";

function sets(list) {
    return table("Data sets", ["Name", "Size", "Licence", "Training", "Share", "Price", "Owner", "Here"],
                 list.map((d) => [d.name, [bytes(d.size), " ", d.format], d.licence, d.train ? "allowed" : "not allowed", percent(d.share_bps),
                                  d.price === "0" ? "not for sale" : amount(d.price, 4), account(d.owner),
                                  d.key ? "and readable" : d.local ? "encrypted" : "no"]));
}

function grants(list) {
    return table("Access", ["Data", "State", "Price", "Buyer", "Seller", "Until", "Key here"],
                 list.map((g) => [g.name || id(g.data), state(g.state), amount(g.price, 4), account(g.buyer), account(g.seller),
                                  g.deadline_ms ? time(g.deadline_ms) : "–", g.secret ? "yes" : "no"]));
}

function bounties(list) {
    return table("Bounties", ["What", "For", "Amount", "State", "Offers", "Until", "By"],
                 list.map((b) => [b.title, b.wants, amount(b.amount, 4), state(b.state), String(b.offers.length), time(b.deadline_ms), account(b.poster)]));
}

export async function show(view) {
    const parts = {data: place(), grants: place(), bounties: place()};
    await view.every(6000, async () => {
        const [d, g, b] = await Promise.all(["/kith/v1/data", "/kith/v1/grants", "/kith/v1/bounties"].map((path) => view.get(path)));
        parts.data.show(d.data, sets);
        parts.grants.show(g.grants, grants);
        parts.bounties.show(b.bounties, bounties);
        if (!parts.data.isConnected)
            add(view.root, section("Data sets", parts.data, command("kith data add FILE"), command("kith data buy NAME")),
                section("Wanted", parts.bounties, command("kith bounty ls")), section("Access", parts.grants));
    });
}
