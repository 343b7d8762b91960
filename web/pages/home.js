// How this node is, and where to go from here.
import {add, link, el, place} from "../dom.js";
import {count} from "../format.js";
import {amount, command, facts, id, model, section, state} from "../parts.js";

const card = (title, value, ...more) => el("section", null, el("h2", null, title), el("p", {class: "big"}, value), more.map((line) => el("p", {class: "small"}, line)));

function cards(s) {
    return [
        card("Ask", link(["chat"], "Open a chat"), `${count(s.jobs.asked)} asked since the start`),
        card("Balance", amount(s.balance, 2), ["of this node's own account, ", link(["wallet"], "Wallet")]),
        card("Sharing", state(s.share.state), s.share.why, [`${count(s.jobs.served)} answers served, `, link(["share"], "Share")]),
        card("Chain", ["Block ", link(["explorer", "block", s.chain.height], count(s.chain.height))], s.chain.syncing ? "catching up" : "up to date",
             [`${s.peers} ${s.peers === 1 ? "peer" : "peers"}, `, link(["network"], "Network")]),
    ];
}

function models(list) {
    if (list.length === 0)
        return el("p", {class: "small"}, "No model is on this machine yet: see what is offered under ", link(["models"], "Models"), ".");
    return facts(list.map((m) => [model(m.root, m.name), state(m.state)]));
}

function node(s) {
    return facts([["Version", s.version], ["Network", s.chain.name], ["Roles", s.roles.join(", ") || "none"],
                  ["Account", id(s.address, ["explorer", "account", s.address])], ["Others reach it at", el("code", null, s.peer)],
                  ["API for programs", el("code", null, `http://${s.http}/v1`)]]);
}

export async function show(view) {
    const top = place("div", {class: "cards"}), own = place(), about = place();
    await view.every(3000, async () => {
        const s = await view.get("/kith/v1/status");
        top.show(s, cards);
        own.show(s.models, models);
        about.show(s, node);
        if (!top.isConnected)
            add(view.root, top, section("Models on this machine", own), section("This node", about),
                section("In a terminal", command("kith chat"), command("kith status"), command("kith help")));
    }, {kinds: ["block", "job", "share", "peer", "pull", "task"]});
}
