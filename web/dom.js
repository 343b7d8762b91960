// Elements are made here and nowhere else. Names of models, peers and memos are strangers' texts: what is shown is always
// a text node, and what becomes an attribute is set as one, so that no text can become a tag or a script.

// el("p", {class: "small", onclick: fn}, "text", child, [more], null): nulls are left out.
export function el(tag, props, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props ?? {})) {
        if (value === null || value === undefined || value === false)
            continue;
        if (typeof value === "function")
            node.addEventListener(name.slice(2), value);
        else if (name === "value")
            node.value = value;
        else
            node.setAttribute(name, value === true ? "" : String(value));
    }
    return add(node, ...children);
}

export function add(node, ...children) {
    for (const child of children.flat(Infinity))
        if (child !== null && child !== undefined && child !== false)
            node.append(child instanceof Node ? child : String(child));
    return node;
}

export function fill(node, ...children) {
    node.replaceChildren();
    return add(node, ...children);
}

// A link within the pages: each part is encoded, so that it stays one.
export function link(parts, ...children) {
    return el("a", {href: "#/" + parts.map(encodeURIComponent).join("/")}, ...children);
}

// One place that is filled again and again: untouched while nothing changed, so that a focus, a selection or a
// screen reader in it is not disturbed.
export function place(tag = "div", props = {}) {
    const node = el(tag, props);
    let shown;
    node.show = (data, make) => {
        const now = JSON.stringify(data);
        if (now === shown)
            return;
        shown = now;
        fill(node, make(data));
    };
    return node;
}
