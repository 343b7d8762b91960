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
        if rng.random() < 0.7:
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
makes|creates|produces|generates ; making|creating|producing|generating ; made|created|produced|generated
shows|displays|prints|reveals ; showing|displaying|printing ; starts|begins|launches
starting|beginning|launching|booting ; started|begun|launched ; stops|ends|quits|halts ; stopping|ending|quitting
stopped|ended|halted|shut down ; uses|employs|works with ; using|employing|working with ; used|employed|utilised
gets|obtains|receives|fetches ; getting|obtaining|receiving ; sends|transfers|pays ; sending|transferring|paying
running|executing|operating ; runs|executes|operates|works ; works|functions|operates ; working|functioning|operating
work|function|operate ; needs|requires ; needed|required|necessary|mandatory|essential
checks|tests|verifies|examines ; checking|testing|verifying|examining ; checked|tested|verified|examined|inspected
confirm|make sure|ascertain|prove ; proof|evidence|confirmation ; prove|demonstrate|show
machines|computers|pcs|devices|laptops|servers ; models|ais ; answers|replies|responses|outputs
questions|prompts|requests|queries ; files|documents ; commands|instructions|subcommands
flags|options|switches|parameters ; options|flags|settings|switches ; prices|costs|rates|fees ; price|rate|charge|fee
fee|charge|cost ; fees|charges|costs ; coins|funds|money ; coin|currency|cryptocurrency
wallets|accounts|purses ; addresses|account numbers ; transactions|payments|transfers ; blocks|records
nodes|daemons|machines ; providers|lenders ; errors|messages|failures|problems|mistakes ; mistake|error|slip|fault
says|tells|reports|states ; said|told|reported ; tells|says|informs ; tell|inform|let know ; told|informed
reads|processes|looks at ; writes|puts out|generates ; writing|generating|producing ; written|generated|put out
earns|makes|gains|gets paid ; earning|making money|gaining ; earned|gained|made
earnings|income|revenue|profit|rewards ; income|earnings|revenue|profit|proceeds ; reward|pay|payout|compensation
paid|rewarded|compensated ; lends|shares|rents out ; lending|sharing|renting out ; sharing|lending|renting out
shared|lent|rented out ; customers|payers|clients ; customer|client|buyer|user ; user|person|customer
users|people|customers ; publishing|releasing|registering|uploading ; published|released|registered|uploaded
upload|publish|release ; uploading|publishing ; register|publish|record|enrol ; registered|recorded|entered
downloading|fetching|pulling ; downloaded|fetched|pulled ; downloads|pulls|fetches ; stores|keeps|saves|holds
storing|keeping|saving ; saved|stored|kept|recorded ; keep|retain|hold|store ; keeps|retains|holds
kept|held|stored|retained ; changes|alters|modifies|affects ; changing|altering|modifying
changed|altered|modified|edited ; affect|influence|change|alter ; influence|affect|change ; deleting|removing|erasing
deleted|removed|erased|wiped ; losing|misplacing ; lose|misplace|be without ; loses|forfeits
forgetting|not remembering ; recover|restore|rescue|get back|bring back ; recovered|restored|rescued
restore|recover|bring back|rebuild ; restoring|recovering ; damaged|corrupted|broken|corrupt ; corrupt|damaged|broken
corrupted|damaged|altered ; fail|break|not work|go wrong ; fails|breaks|does not work|goes wrong
failed|broke|did not work|went wrong ; failing|breaking ; crashed|died|broke down ; kill|terminate|end|stop
killed|terminated|ended ; restart|reboot|start again ; restarted|started again ; reboot|restart
dead|gone|down|unreachable ; offline|disconnected|down|unreachable ; reachable|available|accessible|online
available|on offer|obtainable|there ; online|connected|reachable ; unreachable|not reachable|down
reach|contact|get to|access ; access|reach|use|get to ; contact|reach|talk to ; connects|links|joins
connecting|linking|joining ; connection|link ; connections|links ; disconnected|cut off|offline
joining|entering|connecting to ; enter|type|put in|give ; type|enter|write|key in ; typed|entered|wrote
give|provide|supply|hand over|pass ; gives|provides|supplies|hands ; giving|providing|supplying
given|provided|supplied|passed ; put|place|set|store ; set|choose|configure|define|specify
setting|configuring|choosing ; configure|set up|adjust|set ; configuration|settings|setup
settings|configuration|options|preferences ; specify|give|state|name|set ; define|specify|set ; adjust|tune|change|set
tune|adjust|tweak ; default|standard|preset|usual ; usual|normal|common|typical ; normal|usual|ordinary|regular
ordinary|normal|common|plain ; common|usual|frequent ; typical|usual ; special|particular|specific
particular|specific|certain|given ; specific|particular|certain ; limited|capped|bounded|restricted
limits|caps|bounds ; maximal|maximum|greatest ; allowed|permitted|able ; allows|permits|lets ; lets|allows|permits
enable|turn on|activate|switch on ; enabled|turned on|active ; disable|turn off|switch off|deactivate
disabled|turned off|switched off ; activate|enable|turn on ; avoid|prevent|escape|get around
prevent|avoid|stop|keep from ; prevents|stops|avoids ; protect|secure|guard|defend
protected|guarded|secured|shielded ; protects|guards|secures ; attack|hack|assault ; attacker|hacker|criminal|thief
hacker|attacker|intruder ; malicious|evil|harmful|hostile|bad ; dangerous|risky|unsafe|harmful ; risk|danger|hazard
risks|dangers ; risky|dangerous|unsafe ; harm|damage|hurt ; trust|believe|rely on ; trustworthy|reliable|honest
reliable|dependable|trustworthy ; honest|truthful|fair ; dishonest|cheating|fraudulent ; cheats|lies|deceives|tricks
cheating|fraud|lying|dishonesty ; cheated|lied|tricked|deceived ; cheater|fraudster|liar ; fake|forged|false|bogus
faked|forged|made up ; forge|fake|counterfeit ; steal|rob|take ; stolen|taken|robbed
penalty|punishment|fine|sanction ; punishment|penalty|sanction|consequence ; consequence|result|effect|outcome
consequences|results|effects ; effect|result|impact|influence ; caught|detected|discovered|found out
detected|noticed|found|caught ; detects|notices|finds|catches ; found|located|discovered ; finds|locates|discovers
looking|searching|hunting ; search|look|hunt ; determine|find out|work out|establish ; decide|determine|settle|choose
decides|determines|chooses|settles ; decided|determined|chosen|settled ; chosen|picked|selected
selects|picks|chooses ; selection|choice ; choice|selection|pick ; know|learn|find out|be told
knows|understands|is aware of ; understand|grasp|follow|get ; understanding|grasping ; explanation|description|account
explains|describes|says ; explained|described ; description|explanation|summary
summary|overview|digest|short account ; overview|summary|survey ; details|particulars|information|specifics
information|details|data|facts ; info|information|details ; documentation|docs|manual|guide
docs|documentation|manual ; manual|documentation|handbook ; instructions|directions|steps|guidance
guide|manual|introduction ; tutorial|guide|introduction|walkthrough ; example|sample|instance ; help|assist|support
assistance|help|support ; beginner|newcomer|novice|starter ; newcomer|beginner|newbie|novice
expert|specialist|professional ; developer|programmer|coder ; programmer|developer|coder ; developers|programmers
code|source|program text ; source|code ; sources|code|source code ; program|application|app|software|tool
programs|applications|apps|tools|binaries ; binary|executable|program ; binaries|executables|programs
software|program|application ; tool|program|utility ; script|program|batch file ; scripts|programs|automation
shell|terminal|console|command line ; terminal|console|shell|command line ; screen|display|terminal ; window|terminal
console|terminal ; directory|folder|path ; directories|folders ; path|location|place ; location|place|path|whereabouts
place|location|spot ; located|stored|found|placed ; lives|sits|resides ; live|reside|sit|lie ; lie|sit|reside
space|room|capacity ; storage|disk space|space ; memory|ram ; ram|memory ; processor|cpu|chip ; cpu|processor
cores|threads|processors ; threads|cores|workers ; hardware|equipment|machine ; graphics|video ; cards|boards
windows|microsoft windows ; linux|debian|unix ; speed|pace|rate|performance ; performance|speed
faster|quicker|speedier ; slower|less quick ; slowly|sluggishly ; speedy|fast|quick ; duration|time|length
long|lengthy|extended ; length|size|duration ; size|bulk|volume ; sized|big ; huge|very large|enormous|giant
tiny|very small|little ; small|little|tiny|compact ; smaller|littler|more compact ; larger|bigger|greater
bigger|larger|greater ; largest|biggest|greatest ; smallest|tiniest|least ; high|great|large ; higher|greater|larger
lower|smaller|less ; low|small|little ; increase|raise|grow|enlarge ; raise|increase|lift ; reduce|lower|decrease|cut
decrease|reduce|lower ; lowering|reducing ; grow|increase|rise ; shrink|reduce|get smaller ; count|number|tally
count|compute|calculate ; counts|numbers ; number|count|amount|figure ; numbers|figures|counts ; figure|number
figures|numbers|statistics ; statistics|figures|stats|numbers ; total|sum|whole ; amounts|sums|quantities
quantity|amount|number ; percentage|share|part|proportion ; percent|per cent ; portion|part|share|cut
part|portion|share|bit ; parts|pieces|portions|sections ; pieces|parts|chunks ; chunks|pieces|parts ; chunk|piece|part
fraction|part|share ; split|divide|share out|distribute ; divided|split|shared out|distributed
distribute|spread|share out ; distributed|spread|shared ; receives|gets|obtains ; received|got|obtained
recipient|receiver|payee ; receiver|recipient ; sender|payer ; payee|recipient ; owner|holder|proprietor
owners|holders ; holder|owner ; belongs|is owned ; owned|held|possessed ; everyone|everybody|all people|anyone
everybody|everyone|all ; anybody|anyone|someone|everyone ; anyone|anybody|somebody|someone ; nobody|no one|none
people|persons|users|folks ; person|human|individual ; stranger|unknown person|outsider
strangers|unknown people|others ; company|firm|business|organisation ; firm|company|business ; team|group|colleagues
boss|manager|superior ; wife|husband|partner|spouse ; brother|sister|cousin|relative ; mother|father|parent
son|daughter|child ; office|workplace ; home|house ; night|evening ; daily|every day ; always|every time|in all cases
never|at no time|not ever ; often|frequently ; sometimes|now and then|occasionally ; rarely|seldom
usually|normally|mostly|as a rule ; normally|usually|ordinarily ; really|truly|actually|indeed
actually|really|in fact ; exactly|precisely ; precise|exact|accurate ; exact|precise|very same
correct|right|proper|valid ; correctly|properly|rightly ; properly|correctly ; valid|good|correct|legal
invalid|bad|not valid|illegal|wrong ; bad|poor|wrong|invalid ; poor|bad|weak ; good|fine|decent
better|superior|improved ; best|ideal|optimal ; improve|better|enhance|raise ; worse|poorer
strange|odd|weird|peculiar ; weird|strange|odd ; nonsense|rubbish|garbage|gibberish ; garbage|rubbish|nonsense|junk
junk|garbage|rubbish ; easy|simple|straightforward ; simple|easy|plain ; simply|just|merely
easily|simply|without trouble ; difficult|hard|tricky ; hard|difficult|tough ; free|gratis|at no cost|for nothing
cheap|inexpensive|low-cost ; cheaper|less expensive ; expensive|costly|dear ; currently|right now|at present|now
today|now|these days ; later|afterwards|after that ; afterwards|later|after that ; after|following|once
before|prior to|ahead of ; during|while|in the course of ; while|during|as ; until|till ; since|because|as
because|since|as ; again|once more|anew|a second time ; twice|two times|a second time ; once|one time
repeatedly|again and again|many times ; repeat|redo|do again ; repeated|redone ; repeats|redoes
replays|repeats|recomputes ; replayed|repeated|recomputed ; replaying|repeating|recomputing
reproduce|repeat|replicate|recreate ; reproducible|repeatable|deterministic ; deterministic|reproducible|repeatable
random|arbitrary|chance ; randomness|chance|variation ; vary|differ|change ; varies|differs|changes
differ|vary|be different|deviate ; differs|deviates|is different ; difference|deviation|discrepancy
differences|deviations|discrepancies ; mismatch|difference|discrepancy ; match|agree|correspond|fit
matches|agrees with|equals ; equal|the same|alike ; same|identical|equal ; similar|alike|comparable
alike|the same|similar ; compare|set side by side|contrast ; compared|set against ; another|a different|one more
additional|extra|further|more ; extra|additional|more ; further|more|additional ; second|other|additional
alone|by itself|on its own|only ; only|just|solely|merely ; just|only|simply ; also|too|as well ; too|also|as well
together|jointly|in common ; both|the two ; each|every ; every|each|all ; all|every|the whole ; any|some
some|a few|certain ; few|not many|a handful ; many|lots of|numerous|plenty of ; lots|plenty|a great deal
enough|sufficient|adequate ; sufficient|enough|adequate ; insufficient|not enough|too little
missing|absent|not there|lacking ; absent|missing|not there ; empty|blank|vacant ; exist|be there|be available
exists|is there|is available ; contain|hold|include|have ; contains|holds|includes|has ; inside|within|in
within|inside|in ; outside|beyond|out of ; includes|contains|covers ; consists|is made ; include|contain|cover
included|contained|part ; without|lacking|and no ; instead|rather|in its place ; rather|instead
regarding|about|concerning ; concerning|about|regarding ; about|concerning|regarding ; via|through|by way of|over
through|via|by way of ; over|via|through ; per|for each ; public|open|visible to all ; visible|seen|apparent
hidden|secret|concealed ; hide|conceal|keep secret ; reveal|show|disclose ; leak|get out|escape|spill
leaked|got out|spilled ; privacy|confidentiality|secrecy ; privately|in secret|confidentially
confidential|private|secret ; sensitive|private|confidential ; personal|private|own ; encrypt|scramble|encipher
encrypted|scrambled|enciphered ; encryption|cipher|scrambling ; signed|sealed|authenticated
sign|put a signature on|seal ; signature|seal|sign ; key|secret ; keys|secrets ; phrase|words|mnemonic
paper|a sheet of paper|a note ; backup|copy|spare copy ; copy|duplicate|clone ; copies|duplicates ; copied|duplicated
duplicate|copy|double ; original|first|initial ; edit|change|modify ; edited|changed ; update|upgrade|renew|refresh
updated|upgraded|renewed ; upgrade|update ; version|release|edition ; release|version ; latest|newest|most recent
newest|latest ; recent|new|late ; newer|later|more recent ; older|earlier ; earlier|before|previously
uninstall|remove|get rid of ; installed|set up|put in place ; installing|setting up ; installation|setup
setup|installation|arrangement ; compile|build|make ; compiled|built|made ; compiling|building
building|compiling|making ; built|compiled|made ; compiler|gcc|toolchain ; packages|libraries|dependencies
dependencies|packages|libraries ; dependency|package|library ; libraries|packages|dependencies
debug|find faults in|trace ; debugging|hunting faults ; debugger|gdb ; bug|fault|defect|error ; bugs|faults|defects
report|tell of|announce ; reports|tells|states ; issue|problem|fault ; issues|problems ; trouble|problems|difficulty
problem|issue|trouble|difficulty ; problems|issues|troubles ; solve|fix|remedy ; fix|repair|solve|remedy
fixed|repaired|solved ; repair|fix|mend ; stuck|hanging|frozen|blocked ; hangs|freezes|stalls|is stuck
hang|freeze|stall ; freeze|hang|stall ; stalls|hangs|freezes ; freezes|hangs|locks ; busy|occupied|loaded|in use
idle|unused|inactive ; unused|idle|not used ; occupied|busy|taken|in use ; taken|occupied|in use
waiting|pausing|pending ; waits|pauses ; pending|waiting|not yet done ; delay|wait|pause ; interval|period|span
period|time|span|interval ; finished|done|complete|completed|over ; done|finished|completed|over
finishes|ends|completes ; complete|whole|full ; completed|finished|done ; final|definite|last|irrevocable
last|final|latest ; undo|reverse|revert|take back|cancel ; cancel|call off|abort|undo ; cancelled|called off|aborted
reversed|undone|taken back ; reverse|undo|take back ; return|give back|come back ; refund|money back|repayment
returned|given back ; accept|take|agree to ; accepted|taken|agreed to ; accepts|takes
reject|refuse|decline|turn down ; rejects|refuses|declines ; refuses|rejects|declines ; refuse|reject|decline|deny
denied|refused|rejected ; deny|refuse ; supported|possible|handled|accepted ; supports|handles|accepts|can do
support|handle|accept ; handle|deal with|manage|cope with ; handles|deals with|manages ; compatible|usable|suited
talk|speak|chat ; talking|speaking|chatting ; talks|speaks ; speak|talk ; conversation|chat|dialogue|talk
dialogue|conversation|chat ; chatting|talking ; ask|put a question to|query ; asks|queries|questions
asking|querying|questioning ; asked|queried ; reply|answer|respond ; replies|answers|responses ; respond|answer|reply
responds|answers|replies ; message|text|note ; messages|texts|notes ; sentence|phrase|text ; phrase|sentence
word|term ; term|word|expression ; terms|words ; letter|character ; letters|characters ; characters|letters|symbols
language|tongue ; meanings|senses ; means|signifies|stands for|says ; meant|intended ; call|name
called|named|known as ; named|called ; names|calls ; title|name ; rename|give another name ; list|listing|enumeration
lists|shows|enumerates ; listed|shown|enumerated ; listing|list ; picture|image|photo ; pictures|images|photos
image|picture|photo ; images|pictures|photos ; photo|picture|image ; video|film|movie ; audio|sound|voice
phone|mobile|smartphone|handset ; tablet|ipad ; website|web page|site ; browser|web browser ; server|machine|host
host|machine|server ; hosts|machines|servers ; cloud|data centre ; site|website|page ; internet|web|net ; web|internet
firewall|packet filter ; router|gateway ; state|condition|situation ; condition|state
status|state|condition|situation ; progress|advance|status ; health|condition|well-being ; alive|up|running|living
healthy|well|fine ; monitoring|watching|observing ; metrics|figures|measurements ; measure|gauge|determine|assess
measured|gauged|determined ; measurement|figure|reading ; benchmark|measure speed|speed test ; benchmarks|speed tests
test|check|trial ; testing|checking|trying ; try|attempt|test ; trying|attempting|seeking ; tried|attempted
attempt|try ; rule|law|regulation ; rules|laws|regulations ; law|rule ; legal|lawful|permitted ; licence|license|terms
license|licence ; licences|licenses ; terms|conditions|licence ; right|permission ; rights|permissions
permission|consent|leave ; permitted|allowed ; forbidden|not allowed|prohibited ; prohibited|forbidden|banned
banned|forbidden|excluded ; exclude|leave out|ban ; agreement|consensus|accord ; consensus|agreement|voting
vote|ballot|decide ; votes|ballots ; voting|deciding ; voter|validator ; money|funds|cash|coins
funds|money|coins ; cash|money|coins ; payment|transfer|transaction ; payments|transfers ; pays|spends|gives
paying|spending|giving money ; spending|paying ; spent|paid|used up ; charged|billed|debited ; charge|bill|debit
billed|charged|invoiced ; bill|invoice|charge ; debt|money owed ; owe|be in debt ; owes|has to pay ; owed|due
budget|spending limit|allowance ; deposit|bond|pledge|stake ; pledge|bond|deposit|security ; stake|deposit|bond
collateral|bond|security|pledge ; security|safety|protection ; safety|security|protection ; salary|wages|pay
revenue|income|earnings ; profit|gain|earnings ; royalties|licence income|shares ; royalty|publisher's share|cut
cut|share|part ; burned|destroyed|removed ; burn|destroy ; issue|create|mint ; minted|issued|created
mint|issue|create ; supply|amount in existence|stock ; circulation|existence ; inflation|new money
exchange|trade|swap ; trade|exchange|swap ; worth|value ; value|worth ; buy|purchase|acquire ; purchase|buy
buying|purchasing ; bought|purchased ; sell|trade away ; selling|trading away ; sold|traded away
training|learning|teaching ; trained|taught|fine-tuned ; trains|teaches ; teach|train ; teaching|training
learns|is trained ; learning|training ; fine-tune|adapt|train further ; tuned|adapted ; derived|made from|descended
derive|make from ; descendant|derivative|child ; ancestor|parent|forebear ; parent|ancestor|origin ; parents|ancestors
origin|source|provenance ; provenance|origin|lineage ; lineage|ancestry|family tree|provenance ; based|built|founded
dataset|data set|collection|corpus ; datasets|data sets|collections ; corpus|data set|text collection
texts|documents|writings ; weights|parameters|tensors ; quantised|compressed|reduced
quantisation|quantization|compression ; quantization|quantisation ; quantized|quantised|compressed
compressed|quantised|squeezed ; compress|quantise|squeeze ; precision|accuracy|exactness ; accuracy|precision|quality
quality|goodness ; bits|binary digits ; format|file type|layout ; formats|file types ; layout|arrangement|structure
structure|layout|build ; architecture|design|structure ; architectures|designs|model families ; kinds|types|sorts
types|kinds|sorts ; sorts|kinds|types ; family|group|series ; greedy|deterministic|most likely ; likely|probable
likeliest|most probable|likely ; probable|likely ; probability|likelihood|chance ; probabilities|likelihoods
likelihood|probability ; creative|imaginative|varied ; boring|dull|predictable ; temperature|heat|randomness
sampling|drawing|random choice ; sample|draw|pick ; samples|draws ; drawn|picked|selected ; draw|pick|choose
seed|starting value|random number ; seeds|starting values ; cutoff|threshold|limit ; threshold|limit|cutoff
judge|assess|auditor ; audits|checks|inspections ; audit|check|inspection ; audited|checked|inspected
auditing|checking|inspecting ; auditors|checkers|inspectors ; inspector|auditor|checker ; reputation|record|standing
record|entry|note ; records|entries|notes ; entry|record ; history|past|record ; ledger|chain|blockchain|books
blockchain|chain|ledger ; chain|blockchain|ledger ; contract|agreement ; contracts|agreements ; channel|payment line
channels|payment lines ; voucher|cheque|iou|promise of payment ; vouchers|cheques|ious ; receipt|record|slip|bill
receipts|records|slips ; settlement|payout|clearing ; settlements|payouts ; settle|pay out|clear
settled|paid out|cleared ; settling|paying out|clearing ; genesis|first block|initial ; founding|starting|creating
founder|creator|starter ; start-up|startup|start ; startup|start-up|launch ; service|system service|daemon
daemon|node|service|background process ; process|program|task ; processes|programs|tasks ; task|job|piece of work
tasks|jobs ; job|task|request ; jobs|tasks|requests|work ; background|behind the scenes ; sandbox|cage|jail
sandboxed|caged|isolated|confined ; isolated|confined|separated ; isolation|separation|confinement ; worker|process
crash|break|go down ; logging|log output ; logs|log files|records ; verbose|talkative|detailed ; quiet|silent
silent|quiet ; colour|color ; color|colour ; colours|colors ; colors|colours ; parse|read|process
parsing|reading|processing ; machine-readable|parsable|structured ; structured|machine-readable|formatted
convert|transform|turn ; converting|transforming|turning ; converted|transformed|turned ; conversion|transformation
translate|convert ; turn|convert|change ; turns|converts|changes ; become|turn into|get ; becomes|turns into
extract|take out|get ; import|bring in|load|add ; imported|brought in|loaded|added ; importing|bringing in|adding
load|read in|open ; loads|reads in|opens ; loaded|read in|opened ; loading|reading in|opening ; open|load
add|append|put in|include ; added|put in|included ; adding|putting in ; insert|add|put in ; remove|delete|take away
removed|deleted|taken away ; removing|deleting ; erase|delete|wipe ; wipe|erase|delete|clear ; clear|wipe|empty
reset|set back|start over ; begin|start|commence ; began|started ; open-source|free ; central|main|in the middle
main|chief|principal|primary ; major|big|important ; important|vital|crucial ; crucial|vital|important
various|different|several ; certain|particular|some ; possible|feasible|allowed|doable
impossible|not possible|unfeasible ; able|capable|in a position ; capable|able ; ability|capability
happen|occur|take place ; happened|occurred|went on ; happening|going on|occurring ; occur|happen ; occurs|happens
cause|reason ; causes|reasons|leads to ; reasons|causes|grounds ; leads|results ; result|outcome|answer
results|outcomes|answers ; outcome|result ; goal|aim|purpose ; aim|goal|purpose ; idea|concept|notion|thought
concept|idea|notion ; principle|idea|rule ; thing|object|matter ; things|objects|matters ; stuff|things
way|method|means ; ways|methods|means ; method|way|means ; approach|way|method ; procedure|way|process|steps
manner|way ; trick|ruse|way ; hint|clue|tip ; tip|hint|advice ; advice|counsel|tips ; recommend|advise|suggest
recommended|advised|suggested ; suggest|propose|recommend ; should|ought to|had better ; must|have to|need to
may|might|can ; might|may|could ; could|can|might ; can|may|could ; will|is going to ; would|will ; shall|will|should
back|returned|again ; locked|frozen|held ; mean|stand for|signify ; possible|feasible ; identical|the same|exactly the same|equal ; different|other|not the same ; hash|fingerprint ; piece|part|chunk ; notice|detect|discover|catch
"""
SMALL = set("a an the do does did is are was i me my to of in on for with it this that can you your and or be from at by if".split())
SWAPS = {}
for _group in re.split(r" ; |\n", SAME.strip()):
    _words = _group.split("|")
    for _word in _words:
        if " " not in _word and _word not in SMALL:
            SWAPS.setdefault(_word, []).extend(w for w in _words if w != _word)
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


def reword(q, rng, known):
    """Other words for the same question, and fewer, and slips."""
    if rng.random() < 0.5:
        q = reframe(q, rng)
    words = q.split()
    if rng.random() < 0.5:
        for i, w in enumerate(words):
            if w in SWAPS and rng.random() < 0.25:
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
    return " ".join(words)


def vary(q, rng, known=True):
    """One variation of a question as a person might type it."""
    if rng.random() < 0.1:
        return q
    marks = q[-1:] if q[-1:] in "?.!" else ""
    q = q.rstrip("?.! ")
    if rng.random() < 0.5:
        q = reword(q, rng, known)
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
