// What several pages show alike.
import {el, link} from "./dom.js";
import {ago, isZero, kith, short, time} from "./format.js";

// facts([["Height", 12], ["Id", node]]): entries whose value is null are left out.
export function facts(entries) {
    return el("dl", {class: "facts"}, entries.filter(([, value]) => value !== null && value !== undefined)
        .map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))));
}

// On a narrow screen each row becomes a list of its cells, named by the column (style.css).
export function table(caption, columns, rows, empty = "None yet.") {
    if (rows.length === 0)
        return el("p", {class: "small"}, empty);
    return el("div", {class: "wide"}, el("table", null, el("caption", {class: "hidden"}, caption),
              el("thead", null, el("tr", null, columns.map((name) => el("th", {scope: "col"}, name)))),
              el("tbody", null, rows.map((cells) => el("tr", null, cells.map((cell, i) =>
                  el("td", {"data-name": columns[i]}, cell ?? "–")))))));
}

export function section(title, ...children) {
    return el("section", null, el("h2", null, title), ...children);
}

export const notice = (kind, ...children) => el("p", {class: "notice " + kind, role: kind === "bad" ? "alert" : null}, ...children);

const GOOD = ["on", "ready", "done", "paid", "match", "ok", "included", "connected", "used"];
const BAD = ["failed", "cancelled", "mismatch", "forfeited", "withheld", "caught"];

export function state(word) {
    const kind = GOOD.includes(word) ? "good" : BAD.includes(word) ? "bad" : "idle";
    return el("span", {class: "state " + kind}, word);
}

export const amount = (mote, digits) => el("span", {class: "amount", title: `${mote ?? 0} mote`}, kith(mote, digits));
export const when = (ms) => ms ? el("time", {datetime: new Date(ms).toISOString(), title: time(ms)}, ago(ms)) : "never";

// A long number in short, whole where one points at it; `parts` makes it a link.
export function id(hex, parts) {
    if (isZero(hex))
        return "–";
    const code = el("code", {title: hex}, short(hex));
    return parts ? link(parts, code) : code;
}

export const account = (address) => address ? id(address, ["explorer", "account", address]) : "–";
export const block = (height) => link(["explorer", "block", height], String(height));
export const tx = (hex) => id(hex, ["explorer", "tx", hex]);
export const model = (root, name) => link(["models", root], name || short(root));

async function copy(text) {
    try {
        await navigator.clipboard.writeText(text);
    } catch { // not a place that the browser trusts: plain HTTP to another machine
        const area = el("textarea", {class: "hidden", value: text});
        document.body.append(area);
        area.select();
        const good = document.execCommand("copy");
        area.remove();
        return good;
    }
    return true;
}

export function copyButton(text, what) {
    const button = el("button", {type: "button", class: "quiet copy", "aria-label": `Copy ${what}`, onclick: async () => {
        button.textContent = await copy(typeof text === "function" ? text() : text) ? "Copied" : "Select it and copy";
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
    }}, "Copy");
    return button;
}

// What moves money or the machine is not done from a page: here is what to type.
export function command(text) {
    return el("div", {class: "command"}, el("code", null, text), copyButton(text, "the command"));
}

// A button whose deed takes a second click.
export function sureButton(label, question, deed) {
    let sure = false;
    const button = el("button", {type: "button", class: "quiet", onclick: () => {
        if (sure)
            return deed();
        sure = true;
        button.textContent = question;
        button.classList.add("danger");
    }, onblur: () => {
        sure = false;
        button.textContent = label;
        button.classList.remove("danger");
    }}, label);
    return button;
}
