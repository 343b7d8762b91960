"""Asks many jobs of a private network while its processes are killed and stopped, all drawn from one seed; then checks
that every job ended, that answers are the model's own, and that both sides agree about the money. See docs/assurance.md."""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

PRICES = {"cheap": (800, 4000), "middle": (1000, 5000), "dear": (1500, 6000)}  # KITH for a million tokens
PROVIDERS, REQUESTERS = list(PRICES), ["ann", "ben", "eve"]
CLIENTS = 3  # of each requester, at once
MOTE = 10**9
END_S = 100  # from the last blow until every job has ended
QUESTIONS = ["What is Kith?", "Who earns?", "How is an answer checked?", "What is a mote?", "What does a provider do?",
             "Tell me about audits, at length.", "How do I lend my machine?", "What is a receipt?", "ÄÖÜ? 日本"]
STOPS = [["."], ["Kith"], [",", "the "], ["\n"]]


class Storm:
    def __init__(self, args):
        self.a = args
        self.rng = random.Random(args.seed)
        self.problems = []
        self.jobs = {n: set() for n in REQUESTERS}  # ids
        self.bodies = {}  # id -> what was asked
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.counts = {}
        self.killed = set()  # pids that the storm ended
        self.sizes = {}  # name -> pid -> [(memory, descriptors)]

    def problem(self, text):
        with self.lock:
            self.problems.append(text)
            print("storm: FAILED:", text, file=sys.stderr)

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + n

    # -- nodes --

    def file(self, name):
        with open(os.path.join(self.a.net, name), encoding="utf-8") as f:
            return f.read().strip()

    def pid(self, name):
        return int(self.file(name + ".pid"))

    def http(self, name, path, body=None, timeout=20):
        """Status and decoded body; status 0: the daemon did not answer."""
        url = "http://127.0.0.1:%s%s" % (self.file(name + ".http"), path)
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"}),
                                        timeout=timeout) as r:
                return r.status, json.loads(r.read())
        except urllib.error.HTTPError as e:
            try:
                return e.code, json.loads(e.read())
            except (OSError, ValueError):
                return 0, {}
        except (OSError, ValueError):
            return 0, {}

    def patiently(self, name, path, body=None, seconds=30):
        end = time.time() + seconds
        while True:
            status, reply = self.http(name, path, body)
            if 200 <= status < 300:
                return reply
            if time.time() > end:
                raise RuntimeError("%s does not answer %s: %s %s" % (name, path, status, reply))
            time.sleep(0.3)

    def kith(self, name, *words, **options):
        env = dict(os.environ, KITH_PASSWORD_FILE=os.path.join(self.a.net, "password"))
        return subprocess.Popen([self.a.kith, "--home", os.path.join(self.a.net, name), *words], env=env,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def run_kith(self, name, *words, timeout=60):
        p = self.kith(name, *words)
        try:
            out, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            return -1, b"", b"took too long"
        return p.returncode, out, err

    # -- asking --

    def draw_body(self, rng):
        params = {"tokens": rng.choice([1, 3, 8, 9, 16, 17, 24, 40, 64, 120])}
        if rng.random() < 0.6:
            params["temp"] = rng.choice([0.0, 0.7, 1.0, 1.3])
        if rng.random() < 0.5:
            params["seed"] = "%064x" % rng.getrandbits(256)
        if rng.random() < 0.3:
            params["stop"] = rng.choice(STOPS)
        body = {"model": self.a.root, "messages": [{"role": "user", "content": rng.choice(QUESTIONS)}],
                "params": params, "route": "network", "key": "%016x" % rng.getrandbits(64)}
        if rng.random() < 0.15:
            body["max_cost"] = str(rng.choice([1, 20_000, 60_000, 150_000, 400_000]))
        return body

    def post(self, name, body):
        """The job's id, once the daemon has it for certain: asked again with the key until it says so."""
        end = time.time() + 60
        while time.time() < end:
            status, reply = self.http(name, "/kith/v1/jobs", body)
            if status == 201:
                with self.lock:
                    self.jobs[name].add(reply["job"])
                    self.bodies[reply["job"]] = body
                return reply["job"]
            if 400 <= status < 500 and status != 429:
                self.problem("%s refused a job: %s %s" % (name, status, reply))
                return None
            time.sleep(0.2)
        self.problem("%s took no job for a minute" % name)
        return None

    def follow(self, name, job, leave=None):
        """Joins the events' texts, over as many connections as it takes; None if left or not over in time."""
        seen, text, end = 0, "", time.time() + 240
        url = "http://127.0.0.1:%s/kith/v1/jobs/%s/events?from=" % (self.file(name + ".http"), job)
        while time.time() < end:
            try:
                with urllib.request.urlopen(url + str(seen), timeout=15) as r:
                    kind = None
                    for line in r:
                        line = line.decode().rstrip("\n")
                        if line.startswith("event: "):
                            kind = line[7:]
                        if not line.startswith("data: "):
                            continue
                        data = json.loads(line[6:])
                        if kind == "token" and data["i"] >= seen:
                            text += data["text"]
                            seen = data["i"] + 1
                        elif kind == "note":
                            self.count("notes")
                        elif kind == "done":
                            return text
                        elif kind == "failed":
                            return None
                        if leave and leave():
                            return None
            except (OSError, ValueError):
                time.sleep(0.2)
        self.problem("%s: job %s shows no end in its events" % (name, job[:16]))
        return None

    def watch(self, name, job):
        text = self.follow(name, job)
        if text is None:
            return
        view = self.patiently(name, "/kith/v1/jobs/" + job)
        if view["text"] != text:
            self.problem("%s: job %s streamed %r and kept %r" % (name, job[:16], text, view["text"]))

    def ask_api(self, name, rng):
        job = self.post(name, self.draw_body(rng))
        if job:
            self.watch(name, job)

    def ask_twice(self, name, rng):
        body, ids = self.draw_body(rng), [None, None]
        posts = [threading.Thread(target=lambda i=i: ids.__setitem__(i, self.post(name, body))) for i in range(2)]
        for p in posts:
            p.start()
        for p in posts:
            p.join()
        if ids[0] != ids[1]:
            self.problem("%s: one key gave the jobs %s" % (name, ids))
        if ids[0]:
            self.watch(name, ids[0])

    def ask_cancel(self, name, rng):
        job, wait = self.post(name, self.draw_body(rng)), rng.random() ** 3 * 3
        if job:
            self.over.wait(wait)
            self.patiently(name, "/kith/v1/jobs/%s/cancel" % job, {})

    def ask_leave(self, name, rng):
        """A reader that goes away in the middle; somebody else shows the answer from its start."""
        job = self.post(name, self.draw_body(rng))
        if job:
            self.follow(name, job, leave=lambda: rng.random() < 0.4)
            self.chat(name, "chat", "--resume", job, "--json")

    def chat(self, name, *words):
        rc, out, err = self.run_kith(name, *words, timeout=240)
        if rc == 0 and "--json" in words:
            reply = json.loads(out)
            with self.lock:
                self.jobs[name].add(reply["job"])
            view = self.patiently(name, "/kith/v1/jobs/" + reply["job"])
            if view["state"] == "done" and view["text"] != reply["text"]:
                self.problem("%s: chat showed %r and the job has %r" % (name, reply["text"], view["text"]))
        elif rc not in (0, 1, 2, 4) or not (out or err):
            self.problem("%s: kith %s ended with %d and said %r" % (name, " ".join(words)[:200], rc, err[-300:]))
        self.count("chat ended with %d" % rc)

    def ask_chat(self, name, rng):
        words = ["chat", self.a.root, "--route", "network", "-m", rng.choice(QUESTIONS), "--tokens",
                 str(rng.choice([4, 16, 33, 80])), "--temp", str(rng.choice([0, 0.8]))]
        if rng.random() < 0.5:
            words.append("--json")
        self.chat(name, *words)

    def ask_resume(self, name, rng):
        """chat is killed in the middle, and taken up again."""
        key = "%x" % rng.getrandbits(64)
        words = ["chat", self.a.root, "--route", "network", "-m", rng.choice(QUESTIONS), "--tokens", "60", "--key", key]
        p = self.kith(name, *words)
        time.sleep(rng.random() * 1.5)
        p.kill()
        p.communicate()
        self.chat(name, *words, "--json")

    def ask_openai(self, name, rng):
        stream = rng.random() < 0.5
        body = {"model": self.a.root, "messages": [{"role": "user", "content": rng.choice(QUESTIONS)}],
                "max_tokens": rng.choice([4, 20, 50]), "temperature": rng.choice([0, 1]), "stream": stream,
                "kith": {"route": "network"}}
        url = "http://127.0.0.1:%s/v1/chat/completions" % self.file(name + ".http")
        try:
            request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=240) as r:
                with self.lock:
                    self.jobs[name].add(r.headers["Kith-Job"])
                answer = r.read().decode()
            if stream and not answer.rstrip().endswith("[DONE]") and '"error"' not in answer:
                self.count("openai streams cut")  # its daemon was killed
        except urllib.error.HTTPError as e:
            self.count("openai %d" % e.code)
        except OSError:
            self.count("openai connections lost")

    def client(self, name, number):
        rng = random.Random("%s %s %d" % (self.a.seed, name, number))
        kinds = [self.ask_api] * 4 + [self.ask_twice, self.ask_cancel, self.ask_cancel, self.ask_leave, self.ask_chat,
                                      self.ask_chat, self.ask_resume, self.ask_openai, self.ask_openai]
        while not self.over.is_set():
            kind = rng.choice(kinds)
            try:
                kind(name, rng)
            except (RuntimeError, OSError, ValueError) as e:
                self.problem("%s %s: %r" % (name, kind.__name__, e))
            self.count(kind.__name__)
            self.over.wait(rng.random() * 0.5)

    # -- blows --

    def kill(self, pid, what):
        try:
            os.kill(pid, signal.SIGKILL)
            self.killed.add(pid)
            self.count("killed a " + what)
        except ProcessLookupError:
            pass

    def workers_of(self, name):
        try:
            with open("/proc/%d/task/%d/children" % (self.pid(name), self.pid(name)), encoding="ascii") as f:
                return [int(p) for p in f.read().split()]
        except (OSError, ValueError):
            return []

    def share(self, name, price_in, price_out):
        words = ["share", "start", "--model", self.a.root, "--price-in", str(price_in), "--price-out", str(price_out)]
        for _ in range(60):
            if self.run_kith(name, *words, *(["--audit"] if name == "dear" else []))[0] == 0:
                return
            time.sleep(0.5)
        self.problem("%s cannot share again" % name)

    def stop_for(self, name, seconds):
        pid = self.pid(name)
        try:
            os.kill(pid, signal.SIGSTOP)
            self.count("stopped a node")
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def blow(self, rng):
        what = rng.random()
        if what < 0.25:
            self.kill(self.pid(rng.choice(PROVIDERS)), "provider")
        elif what < 0.45:
            self.kill(self.pid(rng.choice(REQUESTERS)), "requester")
        elif what < 0.62:
            workers = self.workers_of(rng.choice(PROVIDERS + REQUESTERS))
            if workers:
                self.kill(rng.choice(workers), "worker")
        elif what < 0.69:
            self.kill(self.pid("v1"), "validator")
        elif what < 0.79:
            self.stop_for(rng.choice(PROVIDERS), rng.choice([1, 3, 7]))
        elif what < 0.90:
            name = rng.choice(PROVIDERS)
            self.run_kith(name, "share", "stop")
            self.count("stopped sharing")
            time.sleep(rng.random() * 3)
            factor = rng.choice([0.5, 1, 1, 1.5])
            self.share(name, *(int(p * factor) for p in PRICES[name]))
        else:
            self.run_kith(rng.choice(PROVIDERS), "settle")
            self.count("settled")

    def blows(self, number):
        rng = random.Random("%s blows %d" % (self.a.seed, number))
        while not self.over.wait(rng.random() * 3):
            self.blow(rng)

    def measure(self):
        """Memory and descriptors of each process that lives long, in time."""
        for name in ["v1"] + PROVIDERS + REQUESTERS:
            try:
                pid = self.pid(name)
                with open("/proc/%d/statm" % pid, encoding="ascii") as f:
                    pages = int(f.read().split()[1])
                self.sizes.setdefault(name, {}).setdefault(pid, []).append(
                    (pages * 4, len(os.listdir("/proc/%d/fd" % pid))))
            except (OSError, ValueError):
                pass

    # -- afterwards --

    def view(self, name, job):
        return self.patiently(name, "/kith/v1/jobs/" + job)

    def wait_for_ends(self):
        end = time.time() + END_S
        left = [(n, j) for n in REQUESTERS for j in self.jobs[n]]
        while left and time.time() < end:
            left = [(n, j) for n, j in left if self.view(n, j)["state"] in ("queued", "running")]
            time.sleep(0.5)
        for n, j in left:
            v = self.view(n, j)
            self.problem("%s: job %s is %s after %d s, %d tokens: %s" % (n, j[:16], v["state"], END_S, v["tokens_out"],
                                                                         v.get("note")))

    def calm(self):
        """Each requester asks each provider once: what a blow left open between the two is settled by that."""
        for p in PROVIDERS:
            for other in PROVIDERS:
                if other != p:
                    self.run_kith(other, "share", "stop")
            self.share(p, *PRICES[p])
            for r in REQUESTERS:
                end = time.time() + 60
                while True:
                    models = self.patiently(r, "/kith/v1/models")["offers"]
                    free = [o for o in models if o["provider"] == self.file(p + ".id")]
                    if free or time.time() > end:
                        break
                    time.sleep(0.3)
                job = self.post(r, {"model": self.a.root, "messages": [{"role": "user", "content": "What is Kith?"}],
                                    "params": {"tokens": 12}, "route": "network",
                                    "key": "calm %s %s %d" % (r, p, self.a.seed)})
                if not job:
                    continue
                while self.view(r, job)["state"] in ("queued", "running") and time.time() < end + 60:
                    time.sleep(0.2)
                v = self.view(r, job)
                if v["state"] != "done" or v["provider"] != self.file(p + ".id"):
                    self.problem("calm: %s asked %s: %s by %s, %s" % (r, p, v["state"], v["provider"][:8], v["error"]))

    def check_answers(self):
        """Every finished answer against one that this machine makes of the same request, and by replay."""
        digests = 0
        for n in REQUESTERS:
            rc, _, err = self.run_kith(n, "model", "pull", self.a.root)
            if rc != 0:
                self.problem("%s cannot pull the model: %r" % (n, err[-200:]))
                continue
            for j in sorted(self.jobs[n]):
                v = self.view(n, j)
                limit = int(self.bodies.get(j, {}).get("max_cost", MOTE))
                if int(v["cost"]) > limit:
                    self.problem("%s: job %s costs %s, more than %d" % (n, j[:16], v["cost"], limit))
                self.count(v["state"] + (" " + v["error"]["code"] if v["error"] else ""))
                if v["state"] == "failed":
                    self.check_reason(n, j, v)
                if v["state"] != "done":
                    continue
                if int(v["cost"]) < v["tokens_in"] * 400 // 1000 + v["tokens_out"] * 2000 // 1000:
                    self.problem("%s: job %s was too cheap: %s" % (n, j[:16], v["cost"]))
                if not v["receipt"]:
                    self.problem("%s: job %s is done without a receipt" % (n, j[:16]))
                task = self.patiently(n, "/kith/v1/jobs/%s/verify" % j, {})["task"]
                for _ in range(60):
                    t = self.patiently(n, "/kith/v1/tasks/%s?wait=5" % task)
                    if t["state"] != "running":
                        break
                if t["state"] != "done" or not t["result"]["same"]:
                    self.problem("%s: job %s is not the model's own: %s" % (n, j[:16], t))
                digests += 1
        self.count("answers replayed", digests)

    def check_texts(self):
        """Text and digest of some finished answers against those of the same request on this machine."""
        for n in REQUESTERS:
            done = [v for v in (self.view(n, j) for j in sorted(self.jobs[n])) if v["state"] == "done" and
                    v["job"] in self.bodies]
            self.rng.shuffle(done)
            for v in done[:40]:
                body = dict(self.bodies[v["job"]], route="local", key="again " + v["job"])
                body["params"] = dict(body["params"], seed=v["seed"])
                job = self.patiently(n, "/kith/v1/jobs", body)["job"]
                again = self.patiently(n, "/kith/v1/jobs/%s?wait=30" % job)
                if again["text"] != v["text"] or again["digest"] != v["digest"] or again["stop"] != v["stop"]:
                    self.problem("%s: job %s is %r here, was %r" % (n, v["job"][:16], again["text"], v["text"]))
                self.count("texts compared")

    REASONS = re.compile(r"the budget is|max_cost|no provider|cannot be reached|ended the job|stalled|cancelled")

    def check_reason(self, name, job, v):
        text = v["error"]["message"]
        if len(text) < 20 or not self.REASONS.search(text):
            self.problem("%s: job %s failed and says %r" % (name, job[:16], text))
        elif "the budget is" not in text and "max_cost" not in text:
            self.problem("%s: job %s failed though somebody could have answered: %r" % (name, job[:16], text))

    def channels(self, name, side):
        return [c for c in self.patiently(name, "/kith/v1/channels")["channels"] if c["side"] == side]

    def check_money(self):
        owed = {}  # provider -> what all payers promised
        for r in REQUESTERS:
            mine = {c["channel"]: c for c in self.channels(r, "payer")}
            cost = sum(int(self.view(r, j)["cost"]) for j in self.all_jobs(r))
            promised = sum(int(c["promised"]) for c in mine.values())
            if cost != promised:
                self.problem("%s: jobs cost %d, and %d is promised" % (r, cost, promised))
            for p in PROVIDERS:
                held = {c["channel"]: c for c in self.channels(p, "provider") if c["peer"] == self.file(r + ".id")}
                for cid, c in mine.items():
                    if c["peer"] != self.file(p + ".id"):
                        continue
                    h = held.get(cid, {"promised": "0", "receipts": 0, "root": None})
                    owed[p] = owed.get(p, 0) + int(h["promised"])
                    if int(c["promised"]) > int(c["funded"]):
                        self.problem("%s promised %s of %s" % (r, c["promised"], c["funded"]))
                    if h["promised"] != c["promised"] or h["receipts"] != c["receipts"]:
                        self.problem("%s owes %s %s over %d receipts, who holds %s over %d" % (
                            r, p, c["promised"], c["receipts"], h["promised"], h["receipts"]))
        return owed

    def all_jobs(self, name):
        return [j["job"] for j in self.patiently(name, "/kith/v1/jobs?limit=100000")["jobs"] if j["route"] == "network"]

    def check_settled(self, owed):
        end = time.time() + 60
        for p in PROVIDERS:
            settled = -1
            while settled != owed.get(p, 0) and time.time() < end:
                self.run_kith(p, "settle")
                time.sleep(0.7)
                settled = sum(int(c["settled"]) for c in self.channels(p, "provider"))
            if settled != owed.get(p, 0):
                self.problem("%s holds vouchers over %d and settled %d" % (p, owed.get(p, 0), settled))
        info = self.patiently("v1", "/kith/v1/chain/info")["supply"]
        s = {k: int(v) for k, v in info.items()}
        if s["balances"] + s["locked"] + s["funds"] + s["burned"] != s["genesis"] + s["issued"]:
            self.problem("the supply does not add up: %s" % s)

    def check_paid(self):
        """Every settlement is paid in the end: no honest provider is blamed."""
        end, last = time.time() + 120, None
        while time.time() < end:
            last = self.patiently("v1", "/kith/v1/settlements")["settlements"]
            if last and all(s["state"] in ("paid", "forfeited") for s in last):
                break
            time.sleep(1)
        for s in last or []:
            if s["state"] != "paid":
                self.problem("a settlement of %s is %s" % (s["provider"][:8], s["state"]))
            for d in s["audits"]:
                if d["verdict"] not in (None, "match"):
                    self.problem("an auditor said %s of %s" % (d["verdict"], s["provider"][:8]))
        self.count("settlements paid", len(last or []))

    BAD = re.compile(r" broken | PROTOCOL|spoke against the protocol|ERROR: AddressSanitizer|runtime error|"
                     r"CHECK failed|ERROR: LeakSanitizer|misbehaved|is not over what was delivered|not in order|"
                     r"verdict=(mismatch|withheld)")

    def check_logs(self):
        for name in ["v1"] + PROVIDERS + REQUESTERS:
            for kind in (".log", ".out"):
                path = os.path.join(self.a.net, name + kind)
                if not os.path.exists(path):
                    continue
                with open(path, encoding="utf-8", errors="replace") as f:
                    for line in f:
                        if self.BAD.search(line):
                            self.problem("%s%s: %s" % (name, kind, line.strip()[:300]))
                        died = re.search(r"worker.*died.*signal=(\d+)", line)
                        if died and died.group(1) not in ("9", "0"):
                            self.problem("%s: a worker died by itself: %s" % (name, line.strip()[:200]))

    def check_ends(self):
        """A daemon that ended without a blow crashed."""
        for name in ["v1"] + PROVIDERS + REQUESTERS:
            path = os.path.join(self.a.net, name + ".ends")
            if os.path.exists(path):
                for pid, status in (line.split() for line in self.file(name + ".ends").splitlines()):
                    if int(pid) not in self.killed:
                        self.problem("%s (%s) ended by itself with status %s" % (name, pid, status))

    def check_sizes(self):
        for name, pids in self.sizes.items():
            for pid, at in pids.items():
                if len(at) < 40:
                    continue
                early, late = at[len(at) // 4: len(at) // 2], at[-len(at) // 4:]
                memory = [sum(x[0] for x in part) / len(part) for part in (early, late)]
                files = [max(x[1] for x in part) for part in (early, late)]
                if memory[1] > memory[0] * 1.5 + 16384:
                    self.problem("%s (%d) grew from %d to %d KiB" % (name, pid, *memory))
                if files[1] > files[0] + 24:
                    self.problem("%s (%d) has %d descriptors, had %d" % (name, pid, files[1], files[0]))

    def run(self):
        clients = [threading.Thread(target=self.client, args=(n, i)) for n in REQUESTERS for i in range(CLIENTS)]
        blows = [threading.Thread(target=self.blows, args=(i,)) for i in range(2)]
        for t in clients + blows:
            t.start()
        end = time.time() + self.a.seconds
        while time.time() < end:
            self.measure()
            time.sleep(0.5)
        self.over.set()
        for t in blows:
            t.join()
        for p in PROVIDERS:
            self.share(p, *PRICES[p])
        for t in clients:
            t.join()
        self.wait_for_ends()
        self.calm()
        owed = self.check_money()
        self.check_settled(owed)
        self.check_paid()
        self.check_answers()
        self.check_texts()
        self.check_logs()
        self.check_ends()
        self.check_sizes()


def main():
    p = argparse.ArgumentParser()
    for name in ("net", "kith", "root"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--seconds", type=float, default=120)
    p.add_argument("--seed", type=int, default=1)
    storm = Storm(p.parse_args())
    start = time.time()
    storm.run()
    print("storm: seed %d: %s" % (storm.a.seed, ", ".join("%s %d" % c for c in sorted(storm.counts.items()))))
    if storm.problems:
        print("storm: FAILED: seed %d: %d problems" % (storm.a.seed, len(storm.problems)))
        sys.exit(1)
    print("storm: ok: seed %d, %d s, %d jobs, %.0f s in all" % (
        storm.a.seed, storm.a.seconds, sum(len(j) for j in storm.jobs.values()), time.time() - start))


if __name__ == "__main__":
    main()
