// A page while it is shown. Everything that goes on for it ends with its signal: requests, timers, listeners.
import * as api from "./api.js";
import {isLive, listen} from "./live.js";

const LIVE_MS = 10000; // between looks at what is told when it changes: for what nobody tells
const SETTLE_MS = 250; // from the first that is told to the look: more comes with it

export class View {
    constructor(root, signal) {
        this.root = root;
        this.signal = signal;
    }

    get(path) {
        return api.get(path, {signal: this.signal});
    }

    post(path, body = {}) {
        return api.post(path, body, {signal: this.signal});
    }

    listen(target, name, fn) {
        target.addEventListener(name, fn, {signal: this.signal});
    }

    // Resolves to false when the page was left meanwhile.
    sleep(ms) {
        return new Promise((resolve) => {
            if (this.signal.aborted)
                return resolve(false);
            const stop = () => { clearTimeout(timer); resolve(false); };
            const timer = setTimeout(() => { this.signal.removeEventListener("abort", stop); resolve(true); }, ms);
            this.signal.addEventListener("abort", stop, {once: true});
        });
    }

    // Resolves when the tab is seen (at once where it is), to false when the page was left.
    seen() {
        return new Promise((resolve) => {
            if (!document.hidden || this.signal.aborted)
                return resolve(!this.signal.aborted);
            const look = () => {
                if (document.hidden && !this.signal.aborted)
                    return;
                document.removeEventListener("visibilitychange", look);
                this.signal.removeEventListener("abort", look);
                resolve(!this.signal.aborted);
            };
            document.addEventListener("visibilitychange", look);
            this.signal.addEventListener("abort", look);
        });
    }

    // A pause of `ms`, or where the node tells of these kinds until something of them happens, also while nobody paused. It resolves
    // to false when the page was left.
    pauses(kinds) {
        let isNews = false, wake = null;
        if (kinds.length)
            listen(kinds, () => { isNews = true; wake?.abort(); }, this.signal);
        return async (ms) => {
            wake = new AbortController();
            if (!isNews)
                await new View(null, AbortSignal.any([this.signal, wake.signal])).sleep(kinds.length && isLive() ? Math.max(LIVE_MS, ms) : ms);
            wake = null;
            if (isNews)
                await this.sleep(SETTLE_MS);
            isNews = false;
            return !this.signal.aborted;
        };
    }

    // fn now, and again `ms` after it is done, or when something of `kinds` happens; not while the tab is hidden. The first failure is
    // the page's own; later ones are told to onTrouble (with null once it is well again), and tried again more slowly, but for those
    // that a key would have to mend.
    async every(ms, fn, {kinds = [], onTrouble = () => {}} = {}) {
        const pause = this.pauses(kinds);
        await fn();
        this.again(ms, fn, pause, onTrouble).catch(() => {});
    }

    async again(ms, fn, pause, onTrouble) {
        let failures = 0;
        while (await (failures ? this.sleep(Math.min(ms * 2 ** failures, 30000)) : pause(ms)) && await this.seen()) {
            try {
                await fn();
                if (failures)
                    onTrouble(null);
                failures = 0;
            } catch (e) {
                if (this.signal.aborted || e.status === 401 || e.status === 403)
                    return;
                failures = Math.min(failures + 1, 4);
                onTrouble(e);
            }
        }
    }
}
