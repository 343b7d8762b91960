// The node's API, as any other client has it (docs/api.md). The key, where one is needed, is in the tab's own storage and
// in the header Authorization: never in an address, which browsers remember.
const KEY = "kith.key";

export class ApiError extends Error {
    constructor(status, code, message) {
        super(message);
        this.status = status;
        this.code = code;
    }
}

let onLocked = async () => false;
let asking = null;
let declined; // the key that was in use when the question for another was waved away: not asked again by itself

// `fn(why)` asks for a key and answers whether there is a new one.
export function whenLocked(fn) {
    onLocked = fn;
}

export function setKey(text) {
    if (text)
        sessionStorage.setItem(KEY, text);
    else
        sessionStorage.removeItem(KEY);
}

export const currentKey = () => sessionStorage.getItem(KEY);

// Somebody turned to a page: that may ask.
export function mayAsk() {
    declined = undefined;
}

// Many requests meet a 401 at the same time; the question is asked once.
function unlock(why) {
    const key = currentKey();
    if (!asking && declined === key)
        return false;
    asking ??= onLocked(why).then((isNew) => {
        if (!isNew)
            declined = key;
        return isNew;
    }).finally(() => { asking = null; });
    return asking;
}

async function failure(response) {
    try {
        const {error} = await response.json();
        return new ApiError(response.status, error.code, error.message);
    } catch {
        return new ApiError(response.status, "unknown", `the node answered with status ${response.status}`);
    }
}

async function send(path, {signal, body, quiet, last} = {}) {
    for (;;) {
        const key = currentKey();
        const headers = key ? {Authorization: "Bearer " + key} : {};
        if (last)
            headers["Last-Event-ID"] = last;
        if (body)
            headers["Content-Type"] = "application/json";
        let response;
        try {
            response = await fetch(path, {method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body),
                                          cache: "no-store", credentials: "omit", redirect: "error"});
        } catch (e) {
            if (e.name === "AbortError")
                throw e;
            throw new ApiError(0, "unreachable", "the node does not answer: is kithd running?");
        }
        if (response.ok)
            return response;
        const error = await failure(response);
        // Another question may have brought one meanwhile.
        if (error.status !== 401 || quiet || (currentKey() === key && !await unlock(error.message)))
            throw error;
    }
}

export const get = async (path, options) => (await send(path, options)).json();
export const text = async (path, options) => (await send(path, options)).text();
export const post = async (path, body, options) => (await send(path, {...options, body})).json();

// {status, body} also where the status is an error: for /ready, which says so.
export async function probe(path, signal) {
    try {
        return {good: true, body: await get(path, {signal, quiet: true})};
    } catch (e) {
        if (e.name === "AbortError")
            throw e;
        return {good: false, why: e.message};
    }
}

// Server-sent events: calls on(name, data, id) for each, without a name where there is only an id, and returns when the stream
// ends. The browser's own EventSource cannot send a key.
export async function events(path, on, options = {}) {
    const response = await send(path, options);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
        const {done, value} = await reader.read();
        if (done)
            return;
        const frames = (rest + value).split("\n\n");
        rest = frames.pop();
        for (const frame of frames) {
            const field = (name) => new RegExp(`^${name}: (.*)$`, "m").exec(frame)?.[1];
            const name = field("event"), data = field("data"), id = field("id");
            if (name && data)
                on(name, JSON.parse(data), id);
            else if (id)
                on(undefined, undefined, id);
        }
    }
}

// A task until it is over; its result, or its error thrown.
export async function task(id, onProgress, {signal} = {}) {
    for (;;) {
        const t = await get(`/kith/v1/tasks/${encodeURIComponent(id)}?wait=20`, {signal});
        if (t.state === "done")
            return t.result;
        if (t.state === "failed")
            throw new ApiError(0, t.error.code, t.error.message);
        onProgress?.(t.done, t.total);
    }
}

export const draw = () => Array.from(crypto.getRandomValues(new Uint8Array(32)), (b) => b.toString(16).padStart(2, "0")).join("");
