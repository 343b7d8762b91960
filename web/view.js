// A page while it is shown. Everything that goes on for it ends with its signal: requests, timers, listeners.
import * as api from "./api.js";

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

    // fn now, and again `ms` after it is done; not while the tab is hidden. The first failure is the page's own; later
    // ones are told to onTrouble (with null once it is well again), and tried again more slowly, but for those that a key
    // would have to mend.
    async every(ms, fn, onTrouble = () => {}) {
        await fn();
        this.again(ms, fn, onTrouble).catch(() => {});
    }

    async again(ms, fn, onTrouble) {
        let failures = 0;
        while (await this.sleep(Math.min(ms * 2 ** failures, 30000)) && await this.seen()) {
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
