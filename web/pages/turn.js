// A question and its answer, as it is asked, streamed, and afterwards: what it cost, who gave it, whether it is the
// model's own.
//
//     asked -> followed, from the token that is not here yet, over lost connections -> over
//
// Leaving the page stops the following; the job goes on, and is followed again from its beginning.
import * as api from "../api.js";
import {add, el, fill, link} from "../dom.js";
import {count, isZero, kith, short, span} from "../format.js";
import {Markdown} from "../markdown.js";
import {copyButton} from "../parts.js";

const RETRY_MS = 1000, RETRY_MAX_MS = 15000, NEAR_END_PX = 160;
const OVER = ["done", "failed", "cancelled"];

const STOPS = {length: "cut at its limit of tokens", numeric: "the model ran out of numbers", schema: "cut by its schema"};

export class Turn {
    constructor(view, talk, question) {
        this.view = view;
        this.talk = talk;
        this.question = question;
        this.said = "";
        this.thought = el("div", {class: "as-it-is"});
        this.thoughts = el("details", {class: "thought", hidden: true}, el("summary", null, "Thoughts"), this.thought);
        this.text = el("div", {class: "answer"});
        this.shown = new Markdown(this.text);
        this.meta = el("div", {class: "meta"});
        this.node = el("article", {class: "turn"}, el("h3", {class: "hidden"}, "You"), el("div", {class: "question"}, question),
                       el("h3", {class: "hidden"}, "Answer"), this.thoughts, this.text, this.meta);
        this.job = null;
        this.isStopped = false;
    }

    static ofJob(view, talk, question, job) {
        const turn = new Turn(view, talk, question);
        turn.job = job;
        if (turn.isRunning())
            return turn;
        turn.setWords(job);
        turn.showMeta();
        return turn;
    }

    static ofQuestion(view, talk, question, body, onAgain) {
        const turn = new Turn(view, talk, question);
        turn.body = body;
        turn.onAgain = onAgain;
        return turn;
    }

    isRunning() {
        return this.job !== null && !OVER.includes(this.job.state);
    }

    isPrivate() {
        return Boolean(this.job?.private || this.body?.private);
    }

    isAnswered() {
        return this.job !== null && (this.job.state === "done" || (this.job.state === "cancelled" && this.said !== ""));
    }

    answer() {
        return this.said;
    }

    setWords({thought, said}) {
        this.said = said;
        this.thoughts.hidden = thought === "";
        if (this.thought.textContent !== thought)
            this.thought.textContent = thought;
        this.shown.show(said);
    }

    // To its end. Errors are shown where the answer would be.
    async run() {
        this.isStopped = false;
        this.text.setAttribute("aria-busy", "true");
        this.setWords({thought: "", said: ""});
        this.isWaiting = true;
        fill(this.meta, "Waiting for the first words…");
        this.talk.say("Asking.");
        try {
            if (!this.job) {
                const {job} = await this.view.post("/kith/v1/jobs", this.body);
                this.job = {job, state: "queued"};
                this.body = {private: this.body.private}; // it holds all that was said before
                history.replaceState(null, "", "#/chat/" + this.talk.id); // a reload comes back to it
                if (this.isStopped)
                    await this.stop();
            }
            await this.follow();
            this.job = await this.view.get(`/kith/v1/jobs/${this.job.job}`);
            this.setWords(this.job);
            this.showMeta();
            this.talk.say(this.job.state === "done" ? "The answer is complete." : "The answer ended early.");
        } catch (e) {
            if (!this.view.signal.aborted)
                this.showFailure(e);
        } finally {
            this.text.removeAttribute("aria-busy");
        }
    }

    async follow() {
        let next = 0, pause = RETRY_MS, isOver = false;
        const on = (name, data) => {
            pause = RETRY_MS;
            if (name === "token") {
                next = data.i + 1;
                this.grow(data);
            } else if (name === "note")
                fill(this.meta, data.text);
            else
                isOver = true;
        };
        while (!isOver) {
            try {
                await api.events(`/kith/v1/jobs/${this.job.job}/events?from=${next}`, on, {signal: this.view.signal});
            } catch (e) {
                if (this.view.signal.aborted || e.status >= 400)
                    throw e;
            }
            if (isOver)
                return;
            fill(this.meta, "The connection to the node is lost: trying again. The answer goes on without it.");
            if (!await this.view.sleep(pause))
                throw new DOMException("left", "AbortError");
            pause = Math.min(pause * 2, RETRY_MAX_MS);
        }
    }

    grow({thought, said}) {
        if (this.isWaiting || (said !== "" && this.said === ""))
            fill(this.meta, said === "" ? "Thinking…" : "Answering…");
        this.isWaiting = false;
        if (thought !== "") {
            this.thoughts.hidden = false;
            this.thought.append(thought);
        }
        if (said === "")
            return;
        this.said += said;
        const isAtEnd = innerHeight + scrollY > document.documentElement.scrollHeight - NEAR_END_PX;
        this.shown.grow(said, () => {
            if (isAtEnd && !this.view.signal.aborted)
                scrollTo(0, document.documentElement.scrollHeight);
        });
    }

    // Also before there is a job to stop.
    async stop() {
        this.isStopped = true;
        if (!this.isRunning())
            return;
        try {
            await this.view.post(`/kith/v1/jobs/${this.job.job}/cancel`);
        } catch (e) {
            if (!this.view.signal.aborted)
                fill(this.meta, e.message);
        }
    }

    showFailure(e) {
        const again = this.onAgain && !this.job ? el("button", {type: "button", class: "quiet", onclick: this.onAgain}, "Ask again") : null;
        fill(this.meta, el("span", {class: "state bad"}, "failed"), e.message, again);
        this.talk.say("The question failed: " + e.message);
    }

    showMeta() {
        const j = this.job;
        const failed = j.state === "failed" || j.state === "cancelled";
        const cost = j.route === "local" ? "free" : kith(j.cost, 6);
        this.verdict = el("span", {role: "status"}, j.verified ? el("span", {class: "state good"}, "verified") : null);
        fill(this.meta, failed ? [el("span", {class: "state bad"}, j.state), j.state === "cancelled" ? "stopped" : j.error?.message] : null,
             el("span", null, j.model.name.length > 40 ? short(j.model.name) : j.model.name),
             el("span", null, j.route === "local" ? (j.private ? "private, on this machine" : "on this machine") : ["by ", el("code", {title: j.provider}, short(j.provider))]),
             el("span", null, `${count(j.tokens_out)} tokens`), el("span", null, cost), STOPS[j.stop] ?? null,
             isZero(j.receipt) ? null : el("span", null, "receipt ", el("code", {title: j.receipt}, short(j.receipt))), this.verdict,
             j.state === "done" && !j.verified ? this.verifyButton() : null, link(["jobs", j.job], "details"),
             this.said ? copyButton(() => this.said, "the answer") : null);
    }

    verifyButton() {
        const button = el("button", {type: "button", class: "quiet", onclick: async () => {
            button.disabled = true;
            fill(this.verdict, "replaying…");
            try {
                const {task} = await this.view.post(`/kith/v1/jobs/${this.job.job}/verify`);
                const r = await api.task(task, null, {signal: this.view.signal});
                fill(this.verdict, el("span", {class: r.same ? "state good" : "state bad"}, r.same ? "verified" : "not the model's own"),
                     r.same ? ` the same bits again, in ${r.replay_ms < 1000 ? r.replay_ms + " ms" : span(r.replay_ms)}` : r.cut ? " its tokens are, but the model does not end there" : ` it differs at token ${r.position}`);
                button.remove();
            } catch (e) {
                if (this.view.signal.aborted)
                    return;
                fill(this.verdict, e.message);
                button.disabled = false;
            }
        }}, "Verify");
        return button;
    }
}
