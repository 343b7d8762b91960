// Conversations with models. The node keeps them: a conversation is the jobs that were asked for with its id, so that it
// is there in any browser, and an answer goes on while nobody looks (turn.js follows it).
import * as api from "../api.js";
import {add, el, fill, link} from "../dom.js";
import {notice, sureButton} from "../parts.js";
import {Turn} from "./turn.js";

const TALKS_SHOWN = 100, COST_MAX = 1000000;

// -- the list of conversations --

async function showTalks(view, at, current) {
    const {chats} = await view.get(`/kith/v1/chats?limit=${TALKS_SHOWN}`);
    fill(at, chats.map((c) => {
        const a = link(["chat", c.chat], c.title || "(no words)");
        if (c.chat === current)
            a.setAttribute("aria-current", "page");
        return el("li", null, a);
    }));
    if (chats.length === 0)
        add(at, el("li", {class: "small"}, "None yet."));
}

// -- what may be asked --

// Models of this machine first; those that only others have are asked over the network.
async function modelChoice(view, wanted) {
    const {local, offers} = await view.get("/kith/v1/models");
    const names = new Map();
    const isShadowed = (root, name) => [...local, ...offers].some((m) => m.name === name && (m.root ?? m.model) !== root);
    for (const m of [...local, ...offers]) {
        const root = m.root ?? m.model;
        if (!names.has(root))
            names.set(root, {value: m.name && !isShadowed(root, m.name) ? m.name : root, label: m.name || root.slice(0, 12), here: Boolean(m.root)});
    }
    const select = el("select", {id: "model"}, [...names.values()].map((m) =>
        el("option", {value: m.value}, m.here ? m.label : `${m.label} (network)`)));
    if (names.size === 0)
        add(select, el("option", {value: "default"}, "default"));
    const values = [...select.options].map((o) => o.value);
    select.value = [wanted, "default"].find((name) => values.includes(name)) ?? values[0];
    return select;
}

function settings() {
    const where = el("select", {id: "where"}, el("option", {value: "auto"}, "Here if the model is, else a provider"),
                     el("option", {value: "private"}, "Private: this machine only"), el("option", {value: "network"}, "A provider of the network"));
    const tokens = el("input", {id: "tokens", type: "number", min: 1, max: 1000000, placeholder: "as there is room for", inputmode: "numeric"});
    const cost = el("input", {id: "cost", type: "number", min: 0, max: COST_MAX, step: "any", value: 1, inputmode: "decimal"});
    const temp = el("input", {id: "temp", type: "number", min: 0, max: 5, step: 0.1, value: 0, inputmode: "decimal"});
    const field = (label, input) => el("div", null, el("label", {for: input.id}, label), input);
    return {
        node: el("details", null, el("summary", null, "Where, how long, at what cost"), el("div", {class: "settings"},
            field("Where", where), field("At most, tokens", tokens), field("At most, KITH", cost), field("Temperature", temp)),
            el("p", {class: "small"}, "What this machine answers costs nothing. Whoever computes an answer sees the question and what was said before it; private is seen by nobody, and a conversation stays so.")),
        keepPrivate: () => { where.value = "private"; where.disabled = true; },
        read: () => ({route: where.value === "network" ? "network" : "auto", private: where.value === "private",
                      max_cost: mote(Math.min(Math.max(Number(cost.value) || 0, 0), COST_MAX)), params: {...tokens.value ? {tokens: Number(tokens.value)} : {}, temp: Number(temp.value) || 0}}),
    };
}

// 1.5 KITH as mote.
function mote(kith) {
    const [whole, part] = kith.toFixed(9).split(".");
    return (BigInt(whole) * 1000000000n + BigInt(part)).toString();
}

// -- one conversation --

class Talk {
    constructor(view, id) {
        this.view = view;
        this.id = id;
        this.turns = [];
        this.log = el("div", {class: "log", role: "log", "aria-label": "Conversation"});
        this.status = el("p", {class: "hidden", role: "status"});
    }

    say(text) {
        this.status.textContent = text;
    }

    // What the next question goes with: questions that were answered, and their answers.
    messages(question) {
        const before = this.turns.filter((t) => t.isAnswered()).flatMap((t) => [{role: "user", content: t.question}, {role: "assistant", content: t.answer()}]);
        return [...before, {role: "user", content: question}];
    }

    // What was said to nobody must not go along with a later question that others answer.
    isPrivate() {
        return this.turns.some((t) => t.isPrivate());
    }

    add(turn) {
        this.turns.push(turn);
        add(this.log, turn.node);
    }

    last() {
        return this.turns.at(-1);
    }
}

async function load(view, talk) {
    const chat = await view.get(`/kith/v1/chats/${encodeURIComponent(talk.id)}`);
    document.title = (chat.title || "Chat") + " · Kith";
    if (!chat.whole)
        add(talk.log, notice("", "This conversation is long: its first questions are not shown, and are not sent with the next one."));
    for (const t of chat.turns)
        talk.add(Turn.ofJob(view, talk, t.question, t.job));
    return chat.turns.at(-1)?.job.model.name;
}

function composer(view, talk, model, onAsked) {
    const more = settings();
    const box = el("textarea", {id: "question", rows: 2, placeholder: "Ask something", enterkeyhint: "send", autocomplete: "off"});
    const send = el("button", {type: "submit"}, "Send"), stop = el("button", {type: "button", class: "quiet", hidden: true}, "Stop");
    const form = el("form", {class: "ask", novalidate: true}, el("label", {for: "question", class: "hidden"}, "Your question"), box,
                    el("div", {class: "row"}, el("label", {for: "model", class: "hidden"}, "Model"), model, el("span", {class: "row"}, stop, send)), more.node,
                    el("p", {class: "small hint"}, "Enter sends, Shift+Enter begins a new line."));
    const busy = (on) => {
        if (talk.isPrivate())
            more.keepPrivate();
        send.disabled = on;
        if (!on && document.activeElement === stop)
            box.focus();
        stop.hidden = !on;
    };
    const go = async (turn) => {
        busy(true);
        try {
            await turn.run();
        } finally {
            busy(false);
        }
        onAsked();
    };
    const ask = (question) => {
        const body = {model: model.value, messages: talk.messages(question), chat: talk.id, key: api.draw(), ...more.read()};
        const turn = Turn.ofQuestion(view, talk, question, body, () => go(turn));
        talk.intro?.remove();
        talk.add(turn);
        scrollTo(0, document.documentElement.scrollHeight);
        return go(turn);
    };
    view.listen(form, "submit", (event) => {
        event.preventDefault();
        const question = box.value.trim();
        if (!question || send.disabled)
            return;
        box.value = "";
        ask(question);
    });
    view.listen(box, "keydown", (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing)
            return;
        event.preventDefault();
        form.requestSubmit();
    });
    view.listen(stop, "click", () => talk.last()?.stop());
    busy(false);
    return {form, box, go};
}

export async function show(view, [id]) {
    const talk = new Talk(view, id || api.draw());
    const talks = el("ul"), remove = el("p");
    const previous = id ? await load(view, talk) : null;
    const model = await modelChoice(view, previous);
    const offerRemoval = () => fill(remove, sureButton("Forget this conversation", "Forget it for good?", async () => {
        try {
            await view.post(`/kith/v1/chats/${talk.id}/remove`);
            location.hash = "#/chat";
        } catch (e) {
            if (!view.signal.aborted)
                fill(remove, notice("bad", e.message));
        }
    }));
    const {form, box, go} = composer(view, talk, model, async () => {
        if (view.signal.aborted)
            return;
        history.replaceState(null, "", "#/chat/" + talk.id);
        offerRemoval();
        await showTalks(view, talks, talk.id).catch(() => {});
    });
    if (id)
        offerRemoval();
    else
        add(talk.log, talk.intro = el("p", {class: "small"}, "Ask the default model, or choose another below. The conversation is kept by your node, not by this browser."));
    add(view.root, el("div", {class: "chat"},
        el("aside", {class: "talks", "aria-label": "Conversations"}, el("a", {class: "button", href: "#/chat"}, "New conversation"),
           el("details", {open: matchMedia("(min-width: 761px)").matches}, el("summary", null, "Conversations"), talks)),
        el("div", null, talk.log, talk.status, form, remove)));
    await showTalks(view, talks, id);
    if (talk.last())
        scrollTo(0, document.documentElement.scrollHeight);
    const last = talk.last();
    if (last?.isRunning())
        go(last);
    else
        box.focus({preventScroll: true});
}
