// Whether the node is well: what its own checks say, what it counts, and the processes that have a model loaded.
import * as api from "../api.js";
import {add, el, place} from "../dom.js";
import {bytes, count} from "../format.js";
import {facts, model, section, state, table} from "../parts.js";

// "# HELP name words", then "name value": Prometheus' text, as far as this node writes it.
function metrics(text) {
    const help = new Map(), rows = [];
    for (const line of text.split("\n")) {
        const said = /^# HELP (\S+) (.*)$/.exec(line), value = /^([a-z_]+) (\S+)$/.exec(line);
        if (said)
            help.set(said[1], said[2].replace(/\.$/, ""));
        else if (value)
            rows.push([help.get(value[1]) ?? value[1], shown(value[1], Number(value[2]))]);
    }
    return facts(rows);
}

function shown(name, n) {
    if (name.endsWith("_time_seconds"))
        return n ? new Date(n * 1000).toLocaleString() : "never";
    if (name.endsWith("_bytes"))
        return bytes(n);
    return count(Math.trunc(n)) + (Number.isInteger(n) ? "" : (n % 1).toFixed(4).slice(1));
}

function checks({health, ready}) {
    return facts([["The process answers", health.good ? state("ok") : [state("failed"), " ", health.why]],
                  ["Ready to serve", ready.good ? state("ready") : [state("waits"), " ", ready.why]]]);
}

function workers(list) {
    return table("Workers", ["Model", "State", "For", "Kernels", "Device", "Jobs", "Memory", "Crashes"],
                 list.map((w) => [model(w.root, w.name), state(w.state), w.purpose, w.backend || "–", w.device || "processor", count(w.jobs),
                                  bytes(w.memory_bytes), w.deaths ? [state("failed"), ` ${w.deaths}`] : "none"]),
                 "No model is loaded: one is when it is asked for.");
}

export async function show(view) {
    const top = place(), work = place(), numbers = place();
    await view.every(4000, async () => {
        const [health, ready, list, text] = await Promise.all([
            api.probe("/health", view.signal), api.probe("/ready", view.signal), view.get("/kith/v1/workers"),
            api.text("/metrics", {signal: view.signal})]);
        top.show({health, ready}, checks);
        work.show(list.workers, workers);
        numbers.show(text, metrics);
        if (!top.isConnected)
            add(view.root, section("Checks", top), section("Workers", work), section("Counted", numbers),
                el("p", {class: "small"}, "A monitor reads the same from ", el("code", null, "/health"), ", ", el("code", null, "/ready"),
                   " and ", el("code", null, "/metrics"), "."));
    });
}
