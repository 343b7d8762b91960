"""The data set of kith-guide: reading the hand-written files and varying questions.

facts/*.txt    blocks of lines: "@id", "= answer", then one question a line; '#' starts a comment line;
               "+id" goes on with the questions of a fact given before
unknown/*.txt  questions outside of Kith, one a line; and frames with {word} slots filled from "$word = a, b, c" lines

Questions are varied as people vary them: other openings, capitals, missing marks, politeness, slips of the
keyboard, words left out. Everything is drawn from the random generator that is handed in, so that a training
run repeats.
"""
import glob
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
UNKNOWN_ID = "unknown"
UNKNOWN_ANSWER = "I don't know that. I only know about using Kith."


class Fact:
    def __init__(self, ident, answer, questions):
        self.id, self.answer, self.questions = ident, answer, questions


def load_facts(folder=os.path.join(HERE, "facts")):
    facts, seen = [], set()
    for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
        fact = None
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                line = line.strip()
                if not line or line.startswith("#"):
                    continue
                if line.startswith("@"):
                    fact = Fact(line[1:], None, [])
                    if fact.id in seen:
                        raise ValueError("%s:%d: %s is there twice" % (path, number, fact.id))
                    seen.add(fact.id)
                    facts.append(fact)
                elif line.startswith("+"):
                    fact = next(f for f in facts if f.id == line[1:])
                elif line.startswith("= "):
                    fact.answer = line[2:]
                else:
                    fact.questions.append(line)
    for fact in facts:
        if not fact.answer or not fact.questions:
            raise ValueError("%s: no answer or no question" % fact.id)
    answers = {}
    for fact in facts:
        if fact.answer in answers:
            raise ValueError("%s and %s have one answer" % (fact.id, answers[fact.answer]))
        answers[fact.answer] = fact.id
    return facts


class Unknown:
    """Questions outside of Kith: whole ones, and frames with slots."""

    def __init__(self, folder=os.path.join(HERE, "unknown")):
        self.whole, self.frames, self.slots = [], [], {}
        for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
            with open(path, encoding="utf-8") as f:
                for line in f:
                    line = line.strip()
                    if not line or line.startswith("#"):
                        continue
                    if line.startswith("$"):
                        name, values = line[1:].split("=", 1)
                        self.slots.setdefault(name.strip(), []).extend(v.strip() for v in values.split(","))
                    elif "{" in line:
                        self.frames.append(line)
                    else:
                        self.whole.append(line)

    def draw(self, rng):
        if rng.random() < 0.5:
            return rng.choice(self.whole)
        return re.sub(r"\{(\w+)\}", lambda m: rng.choice(self.slots[m.group(1)]), rng.choice(self.frames))


HOW = [
    "how do i {}", "how can i {}", "how to {}", "how would i {}", "how does one {}", "how do you {}", "how should i {}",
    "what is the way to {}", "what is the command to {}", "which command lets me {}", "what do i type to {}",
    "i want to {}", "i would like to {}", "i need to {}", "i'd like to {}", "i am trying to {}", "help me {}", "show me how to {}",
    "tell me how to {}", "can you explain how to {}", "what do i do to {}", "what must i do to {}", "how could i {}",
    "explain how to {}", "steps to {}", "command to {}", "what's the best way to {}", "how do we {}", "{}", "is there a way to {}",
]
WHAT = [
    "what is {}", "what's {}", "tell me what {} is", "explain {}", "define {}", "can you explain {}", "what exactly is {}",
    "i don't understand {}", "what do you mean by {}", "tell me about {}", "describe {}", "meaning of {}", "{}",
    "what does {} mean", "could you describe {}",
]
CAN = [
    "can i {}", "is it possible to {}", "am i able to {}", "may i {}", "could i {}", "is it allowed to {}", "is there a way to {}",
    "am i allowed to {}",
]
WHERE = ["where is {}", "where's {}", "where can i find {}", "where do i find {}", "in which place is {}", "what is the location of {}",
         "where would i find {}"]
BEFORE = ["please", "hi,", "hello,", "hey,", "so", "quick question:", "i was wondering,", "ok,", "and", "sorry,", "um", "hey there,",
          "excuse me,", "question:", "tell me,", "one more thing:", "now", "but", "well,"]
AFTER = ["please", "thanks", "in kith", "with kith", "thank you", "please?", "exactly", "then", "now", "again", "here", "kith", "for me"]
SAME = """
make|create|set up|produce ; show|display|print|tell me|reveal ; see|view|look at|inspect|look up|find out ; begin|start|launch ; machine|computer|pc|laptop|box|server|device
question|prompt|request|query ; passphrase|password ; money|funds|coins|balance|cash ; get|obtain|fetch|receive|have ; use|work with|employ|apply ; folder|directory
picks|chooses|selects|decides on ; pick|choose|select|decide on ; happens|occurs|goes on|follows ; need|require|have to have ; big|large|huge ; quickly|fast ; wrong|incorrect|mistaken
find|locate|discover ; allowed|permitted|possible ; list|show all|enumerate ; earn|get paid|gain|make money ; chat|talk|converse|conversation ; answer|reply|response|output|result
error|message|failure|problem ; finish|complete|end ; broken|corrupted|damaged|defective ; cost|price|expense ; node|daemon ; share|lend|rent out|provide ; kith|this program|this software|this tool
amount|sum|number ; stop|quit|end|halt|abort ; without|with no|lacking ; send|pay|transfer|pass on|give ; somebody|someone|a friend|a colleague|another person|a stranger ; friend|colleague|neighbour|sister|partner
others|other people|strangers|someone else|everyone ; download|fetch|pull|get hold of ; check|test|verify|examine|confirm|control ; words|phrase|mnemonic ; lost|gone|misplaced|vanished ; forgot|forgotten|can't remember
text|words|sentence|writing ; file|document ; limit|cap|restrict|bound ; maximum|most|largest|highest|upper limit ; minimum|least|smallest|lowest ; longer|more|bigger ; shorter|less|briefer
flag|option|switch|parameter|setting ; command|instruction|subcommand ; which|what ; kind|sort|type ; explain|describe|clarify ; difference|distinction ; replay|repeat|redo|recompute
own|possess ; my|our ; publish|release|register|put out ; model|ai|neural net ; cheat|fraud|dishonest|lie|trick ; punished|penalised|fined ; punish|penalise ; secret|private|hidden|confidential
safe|secure|protected ; crash|power cut|breakdown|failure ; crashes|dies|breaks|fails ; network|net ; connect|link|join ; connected|linked|joined ; peer|other node|another node ; peers|other nodes|neighbours
new|fresh|another ; old|former|previous ; first|initial ; name|title|label|call ; save|store|keep|record ; stored|kept|saved ; change|alter|modify|edit|adjust ; delete|remove|erase|get rid of ; why|for what reason|how come
quick|short|brief ; slow|sluggish ; several|many|multiple|more than one ; whole|entire|full|complete ; time|moment ; install|set up ; run|execute|operate|use ; build|compile ; tests|test suite|checks
at once|immediately|right now|right away ; automatically|by itself|on its own ; wait|pause ; reason|cause|explanation ; meaning|sense|definition ; purpose|point|use|goal ; data|data set|texts|files|collection
train|learn|fine-tune ; permit|allow|let ; forbid|prohibit|prevent|refuse ; refused|rejected|denied|declined|not accepted ; read|see|look into ; wallet|purse|account ; transaction|payment|transfer
address|account number ; app|application|program ; port|socket ; log|logs|log output ; monitor|watch|observe|supervise ; stream|streaming ; library|sdk|client|package ; disk|hard disk|drive|storage
full|out of space ; gpu|graphics card|video card ; offline|without internet|disconnected ; interrupted|broken off|cut off|aborted|dropped ; continue|resume|go on|carry on ; spend|pay|use up
provider|lender|computing node|whoever computes ; requester|payer|customer|asker ; auditor|checker|inspector ; validator|voter|block maker ; publisher|author|maker|creator ; bond|deposit|pledge|stake|collateral
back|returned|again ; locked|frozen|held ; mean|stand for|signify ; possible|feasible ; identical|the same|exactly the same|equal ; different|other|not the same ; hash|fingerprint ; piece|part|chunk ; notice|detect|discover|catch
"""
SWAPS = {}
for _group in re.split(r" ; |\n", SAME.strip()):
    _words = _group.split("|")
    for _word in _words:
        if " " not in _word:
            SWAPS.setdefault(_word, []).extend(w for w in _words if w != _word)
SMALL = set("a an the do does did is are was i me my to of in on for with it this that can you your and or be from at by if".split())
KEYS = {}
for _row in ("qwertyuiop", "asdfghjkl", "zxcvbnm"):
    for _i, _c in enumerate(_row):
        KEYS[_c] = _row[max(0, _i - 1) : _i] + _row[_i + 1 : _i + 2]


def reframe(q, rng):
    """Put the same question with another opening."""
    bare = q.rstrip("?").strip()
    for start in ("how do i ", "how can i ", "how to "):
        if bare.startswith(start):
            return rng.choice(HOW).format(bare[len(start) :])
    if bare.startswith("can i "):
        return rng.choice(CAN).format(bare[6:])
    m = re.match(r"what is ((?:a|an|the|kith) ?.*)", bare)
    if m and len(bare.split()) <= 6:
        return rng.choice(WHAT).format(m.group(1))
    if bare.startswith("where is "):
        return rng.choice(WHERE).format(bare[9:])
    return q


def blend(fact_questions, answer, rng):
    """Words that matter, from two questions for one fact and sometimes from its answer: what a terse asker types."""
    words = rng.choice(fact_questions).split() + rng.choice(fact_questions).split()
    if rng.random() < 0.5:
        words += [w.strip(".,:;`") for w in answer.split()]
    keep = list(dict.fromkeys(w for w in words if w.lower() not in SMALL and len(w) > 1))
    n = min(len(keep), rng.randrange(3, 8))
    return " ".join(keep[i] for i in sorted(rng.sample(range(len(keep)), n)))


def mistype(word, rng):
    i = rng.randrange(1, len(word) - 1)
    kind = rng.random()
    if kind < 0.3:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if kind < 0.6:
        return word[:i] + word[i + 1 :]
    if kind < 0.8:
        return word[:i] + word[i] + word[i:]
    return word[:i] + rng.choice(KEYS.get(word[i].lower(), "") or word[i]) + word[i + 1 :]


def vary(q, rng, known=True):
    """One variation of a question as a person might type it."""
    if rng.random() < 0.08:
        return q
    if rng.random() < 0.5:
        q = reframe(q, rng)
    marks = q[-1:] if q[-1:] in "?.!" else ""
    words = q.rstrip("?.! ").split()
    if rng.random() < 0.5:
        for i, w in enumerate(words):
            if w in SWAPS and rng.random() < 0.35:
                words[i] = rng.choice(SWAPS[w])
    r = rng.random()
    if r < 0.15 and len(words) > 3:
        keep = [w for w in words if w.lower() not in SMALL]
        if len(keep) >= 2:
            words = keep
    elif r < 0.45 and len(words) > 3:
        small = [i for i, w in enumerate(words) if w.lower() in SMALL]
        i = rng.choice(small) if small and rng.random() < 0.6 else rng.randrange(len(words))
        words = words[:i] + words[i + 1 :]
    if rng.random() < 0.04 and len(words) > 3:
        i = rng.randrange(len(words) - 1)
        words[i], words[i + 1] = words[i + 1], words[i]
    if rng.random() < 0.12:
        long = [i for i, w in enumerate(words) if len(w) >= 5 and w.isalpha()]
        if long:
            i = rng.choice(long)
            words[i] = mistype(words[i], rng)
    if rng.random() < 0.12:
        words = rng.choice(BEFORE).split() + words
    if rng.random() < (0.12 if known else 0.10):
        words = words + rng.choice(AFTER).split()
    q = " ".join(words)
    r = rng.random()
    if r < 0.35:
        q = q.lower()
    elif r < 0.37:
        q = q.upper()
    elif r < 0.85:
        q = q[:1].upper() + q[1:]
        q = re.sub(r"\bi\b(?=[ '])", "I", q)
        if rng.random() < 0.5:
            q = re.sub(r"\bkith\b(?! [a-z])", "Kith", q)
    if rng.random() < 0.3:
        q = q.replace("`", "")
    if rng.random() < 0.15:
        q = q.replace("'", "")
    r = rng.random()
    if r < 0.5:
        q += marks or "?"
    elif r < 0.6:
        q += rng.choice([".", "!", "??", " ?", "..."])
    return q
