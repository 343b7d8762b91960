// What happens to the node, told to the pages as it happens (api.md, Events): one stream for the tab, while it is seen and somebody
// listens. A listener hears that something of its kinds happened, and asks for what it shows; what it missed it is told as well.
import * as api from "./api.js";

const RETRY_MS = 2000, RETRY_MAX_MS = 30000;

const listeners = new Set();
let stream = null; // the AbortController of the one that is open, or being opened
let isUp = false;
let refused;       // the key that may not listen
let last = "";     // the id of the latest event
let timer;

// Whether somebody who listens need not ask by himself.
export const isLive = () => isUp;

function tell(kind) {
    for (const l of [...listeners])
        if (kind === null || l.kinds.includes(kind))
            l.fn();
}

function up(now) {
    if (isUp === now)
        return;
    isUp = now;
    tell(null); // what it asks for from now on, and how often, is another matter
}

async function follow() {
    const mine = stream = new AbortController();
    let pause = RETRY_MS;
    while (stream === mine) {
        try {
            await api.events("/kith/v1/events", (name, data, id) => {
                last = id || last;
                pause = RETRY_MS;
                if (name === "missed")
                    tell(null);
                else if (name)
                    tell(name);
                else
                    up(true); // it says where it is when it begins
            }, {signal: mine.signal, quiet: true, last});
        } catch (e) {
            if (e.status >= 400)
                last = ""; // an id that the node does not take, or no right to listen
            if (e.status === 401 || e.status === 403)
                refused = {key: api.currentKey()};
        }
        if (stream !== mine)
            return;
        up(false);
        if (refused)
            break;
        await new Promise((resolve) => { timer = setTimeout(resolve, pause); });
        pause = Math.min(2 * pause, RETRY_MAX_MS);
    }
    if (stream === mine)
        stream = null;
}

// Opened or closed, as it should be now.
function decide() {
    if (refused && refused.key !== api.currentKey())
        refused = undefined;
    const wanted = listeners.size > 0 && !document.hidden && !refused;
    if (wanted && !stream)
        follow();
    else if (!wanted && stream) {
        stream.abort();
        stream = null;
        clearTimeout(timer);
        up(false);
    }
}

// fn is called when something of these kinds happened, or may have, until the signal.
export function listen(kinds, fn, signal) {
    const l = {kinds, fn};
    if (signal.aborted)
        return;
    listeners.add(l);
    signal.addEventListener("abort", () => { listeners.delete(l); decide(); }, {once: true});
    decide();
}

document.addEventListener("visibilitychange", decide);
