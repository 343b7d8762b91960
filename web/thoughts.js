// What a model thought before it spoke, apart from what it says. Two ways to write that are known: <think>...</think> in front of the
// answer, and the channels of gpt-oss (base/harmony.h). A text in neither is all answer. For a text that is not over, what is
// said so far begins what will be said, except where a text turns out to be one of these.
const HEAD = /^\s*(?:to=[^\s<]+ *)?<\|channel\|>/, THINK = /^\s*<think>/, END = /<\|(?:start|end|call|return|channel)\|>/;
const MESSAGE = "<|message|>";

function inChannels(text) {
    const thoughts = [], said = [];
    for (let at = 0, body; (body = text.indexOf(MESSAGE, at)) >= 0;) {
        const head = text.slice(at, body), rest = text.slice(body + MESSAGE.length), length = END.exec(rest)?.index ?? rest.length;
        const to = /to=([^\s<]+)/.exec(head)?.[1], part = rest.slice(0, length);
        if (to?.startsWith("functions."))
            said.push("`" + to.slice("functions.".length).replaceAll("`", "") + "` is called with `" + part.replaceAll("`", "") + "`");
        else if (!to && !head.includes("<|channel|>analysis"))
            said.push(part);
        else
            thoughts.push(part);
        at = body + MESSAGE.length + length;
        const mark = END.exec(text.slice(at))?.[0];
        at += mark ? mark.length : 0;
        if (mark === "<|channel|>")
            at -= mark.length; // the next head's
    }
    return {thought: thoughts.join("\n\n"), answer: said.join("\n\n")};
}

export function partsOf(text) {
    if (HEAD.test(text))
        return inChannels(text);
    const think = THINK.exec(text);
    if (!think)
        return {thought: "", answer: text};
    const end = text.indexOf("</think>");
    return end < 0 ? {thought: text.slice(think[0].length), answer: ""}
                   : {thought: text.slice(think[0].length, end).trim(), answer: text.slice(end + "</think>".length).trimStart()};
}
