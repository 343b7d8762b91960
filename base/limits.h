/* Every bound of Kith, with its reason. A bound that both sides of a wire must share is part of the
 * protocol and says so. */
#ifndef KITH_BASE_LIMITS_H
#define KITH_BASE_LIMITS_H

/* -- blobs (protocol) -- */
#define LEAF_SIZE      32768u /* with its proof it fits in one transport frame of 65,535 bytes */
#define LEAF_PROOF_MAX 26     /* 2^26 leaves: blobs of 2 TiB */
#define BLOB_SIZE_MAX  (UINT64_C(1) << 40)

/* -- transport (BOLT 8: a frame's length is 16 bits) -- */
#define FRAME_BODY_MAX      65535u
#define MESSAGE_MAX         (2u << 20) /* a message over several frames: a block, a proposal */
#define PEERS_MAX           64         /* file descriptors and gossip copies stay small on a phone */
#define PEER_SEND_QUEUE_MAX (8u << 20) /* bytes waiting for one peer; a slower one is dropped */
#define PEER_HANDSHAKE_MS   5000
#define PEER_PING_MS        15000
#define PEER_SILENT_MS      45000 /* three pings unanswered, or nothing read of what waits */
#define BOOK_MAX            4096  /* addresses remembered */
#define SEEN_MAX            65536 /* gossip ids remembered, so that nothing circles */
#define SEEN_MS             60000 /* after which a lost message may be sent again */
#define ADDRS_MAX           64    /* addresses in one message */
#define PEER_DIAL_MS        5000
#define PEER_BACKOFF_MS     500 /* first pause before dialling again; doubles up to: */
#define PEER_BACKOFF_MAX_MS 30000
#define PEERS_WANT          8     /* outgoing ones that are looked for in the address book */
#define PEERS_ANCHORS       2     /* of those, dialled first after a restart: the two that stood longest */
#define PEERS_STRANGERS_MAX 64    /* connections whose handshake is under way */
#define PEERS_ADDED_MAX     256   /* configured addresses */
#define PEER_BAN_MS         30000 /* for which one that broke the protocol is kept out */
#define PEER_BANS_MAX       256
#define PEERS_KEPT_OUT_MAX  1024  /* by the owner */
#define PEER_RATE_SECOND    4000  /* message cost (p2p/msg.h) that one peer may cause a second ... */
#define PEER_RATE_BURST     16000 /* ... and at once; beyond it is read no further until there is room */
#define PEER_ANSWER_UNIT                                                                                               \
    (16u << 10) /* bytes of an answer that cost 1 where its size is not known beforehand, as a proposal's */
#define PEER_USELESS_KIB    4  /* cost of each KiB that nobody asked for: like transactions */
#define PEER_TURN_MS        2  /* of handling what one peer sent, then others are looked at... */
#define PEERS_TURN_MS       20 /* ...and of handling what many sent, before timers and clients of the API are */
#define PEER_HELD_MAX       (128u << 10) /* bytes of one peer that wait for its turn; beyond, it is read no further */
#define STREAM_DATA_MAX     (1u << 20)
#define STREAM_WINDOW       (4u << 20)   /* bytes of one stream on the way: a voucher never waits for long */
#define CIRCUIT_WINDOW      (256u << 10) /* the same of a circuit: what its relay may have to keep, each way */
#define STREAMS_MAX         1024         /* on one connection: as many as a node runs jobs */
#define STREAM_REFUSED_COST 200 /* of an allowance of 4000 a second: who asks and is refused asks 20 times a second */
#define STREAMS_PENDING_MAX (2u << 20) /* body of an opening that waits for its connection */
#define BLOB_SOURCES_MAX    16
#define BLOB_WINDOW         8       /* leaves asked of one peer at a time: 256 KiB keep 100 Mbit/s at 20 ms busy */
#define BLOB_LEAF_MS        5000    /* until a leaf is asked for elsewhere */
#define BLOB_STRIKES_MAX    3       /* unanswered leaves until a source is given up for this blob */
#define BLOB_PULLS_MAX      16      /* that take leaves at once */
#define BLOB_WANTED_MAX     256     /* with those that wait for a place, or for somebody who has it */
#define BLOB_TURN_MS        30000   /* after which a pull leaves its place to one that waits */
#define BLOB_NOBODY_MS      3600000 /* in reach gave any of it for so long: the pull ends */
#define BLOB_CHECK_LEAVES   8       /* read again at once: a millisecond of hashing... */
#define BLOB_CHECK_MS       50      /* ...each so often: 5 MB/s, a model of 4 GB in a quarter of an hour */
#define BLOB_REST_MS        3600000 /* when all were read */
#define BLOBS_MAX           4096

/* -- being reached: dialling back -- */
#define DIALBACK_MS        5000    /* for the connection and the first half of the handshake */
#define DIALBACKS_MAX      4       /* at once, for others */
#define DIALBACK_EVERY_MS  60000   /* for one network of askers; others are soon served */
#define DIALBACKS_KEPT     64      /* networks that were served of late; when all were, more have to wait */
#define REACH_ASKED        3       /* networks whose word is wanted: one may lie */
#define REACH_AGAIN_MS     900000  /* until a network is asked again... */
#define REACH_NOT_AGAIN_MS 120000  /* ...while this node does not seem to be reachable: ports are opened by people */
#define REACH_TRUST_MS     3600000 /* what was seen longer ago counts no more */
#define REACH_WITNESSES    16
#define REACH_LOOK_MS      1000

/* -- being reached: a router's port -- */
#define PORTMAP_LEASE_S     3600    /* renewed at half of it; a node that was killed leaves its port open for so long */
#define PORTMAP_AGAIN_MS    1800000 /* routers are replaced, and set up */
#define PORTMAP_TRIES       3       /* of NAT-PMP: 250, 500 and 1000 ms */
#define PORTMAP_DISCOVER_MS 2000    /* UPnP's own default */
#define PORTMAP_PORTS       4       /* tried in turn where one is another machine's */

/* -- relays: a job's tokens and vouchers are some KiB a second, blocks and votes of a busy network some hundred -- */
#define RELAY_CLIENTS_MAX     32 /* whom a node promised */
#define RELAY_CLIENTS_NETWORK 16 /* of one network */
#define CIRCUITS_MAX          64 /* that a relay passes on, or that a node behind relays takes; at most 32 MiB of windows */
#define CIRCUITS_TO           24 /* to one client */
#define CIRCUITS_FROM         4  /* from one peer */
#define CIRCUITS_NETWORK      32 /* from one network */
#define CIRCUIT_PART          (16u << 10)
#define CIRCUIT_BYTES_MAX     (UINT64_C(1) << 30) /* both ways; then it is dialled again, maybe through another relay */
#define CIRCUIT_RATE          (1u << 20)          /* bytes a second of one circuit, and as much at once */
#define RELAY_RATE            (4u << 20)          /* of all of them */
#define RELAY_TICK_MS         50
#define CIRCUIT_SILENT_MS     60000 /* its ends ping each other every 15 s, and give up after 45 */
#define CIRCUIT_FRAME         64 /* counted for each message, however short: what it takes on the line beside its bytes */
#define CIRCUIT_COST          200   /* of an allowance of 4000 a second, for each: its client pays, too */
#define RELAYS_TRIED          64    /* peers remembered that were asked for a promise */
#define RELAYS_TRY_MS         1000  /* between looks for a relay... */
#define RELAYS_AGAIN_MS       60000 /* ...and until the same one is asked again */
#define RELAYS_ANSWER_MS      10000

/* -- ledger (protocol) -- */
#define TX_SIZE_MAX           65536u /* a publish record with thousands of tensor roots fits */
#define BLOCK_TXS_MAX         10000u
#define BLOCK_SIZE_MAX        (1u << 20) /* at 100 Mbit/s a block passes in under 0.1 s */
#define BLOCK_WORK_MAX        20000u /* units of work (chain/tx.h): what 1 MiB of transfers could have, four times over */
#define FEE_PRICE_MAX         (UINT64_C(1) << 40) /* mote per byte or unit: times a block's, it stays in 64 bits */
#define LINEAGE_MAX           64                  /* flattened ancestors of a model: a settlement touches each */
#define VALIDATORS_MAX        256
#define POWER_SUM_MAX         (UINT64_C(1) << 59) /* of all validators: priorities, up to 2 sums apart, stay in 63 bits */
#define NAME_MAX_BYTES        64
#define LICENCE_MAX_BYTES     64
#define URL_MAX_BYTES         256
#define TENSORS_MAX           8192 /* tensors of a model, in GGUF and in its manifest */
#define MEMPOOL_MAX           20000
#define MEMPOOL_BYTES_MAX     (64u << 20)
#define MEMPOOL_SIGNER_MAX    1024 /* waiting transactions of one account: nobody takes the pool alone cheaply */
#define PROOF_DEPTH_MAX       256
#define PROVIDER_MODELS_MAX   64  /* models that one node declares: each is an entry to keep in step */
#define COSIGNERS_MAX         16  /* keys of a k-of-n account: each signature is a verification of its own */
#define AUDITORS_ASKED_MAX    127 /* of one settlement, in all rounds: its record stays under 16 KiB */
#define SETTLEMENT_AUDITS_MAX 8   /* receipts drawn from one settlement */
#define BOUNTY_MS_MAX         (UINT64_C(365) * 86400000) /* a forgotten bounty returns within a year */
#define PAUSE_OWNERS_LEAST                                                                                             \
    3                          /* with a mismatch in one epoch: of fewer, one may own both, and no backend is to blame \
                                */
#define OFFICE_MARKS        64 /* of the heights of an unbonding period, in equal parts of it */
#define PUNISHED_MAX        64 /* heights for which one key is punished: by then little is left of its stake */
#define AUDIT_DRAW_BLOCKS   5  /* behind a settlement: makers in a row who must conspire to choose who audits it */
#define BLOCK_LATE_MS       5000u /* that a block may be behind what waits for it; beyond, the chain stood still */
#define GAP_MS_LEAST        1000u /* of params.gap_ms: heartbeats are half as far apart, and blocks BLOCK_INTERVAL_MS */
#define DRAWS_PER_BLOCK_MAX 1000  /* of auditors: as many settlements as half a block's work holds; the rest waits */
#define DUE_PER_BLOCK_MAX   4000  /* timed effects: up to four of each settlement; the rest waits for the next block */
#define UNBONDINGS_MAX      64    /* under way for one owner and role: all of them answer for a fault, one by one */
#define BEACON_EPOCH_MAX    1000000u /* blocks; nobody waits longer for a key to hold */
#define CLAIM_BLOCKS_MAX    10000u   /* between a claim and its publication: hours; each claim brings so many blocks */
#define CLAIM_LAST_BLOCKS   16u /* a claim whose time is up holds so many more: what waits in a pool by then was seen */
#define CLAIM_POOL_BLOCKS   4u  /* before its time a publication may wait in the pool: peers are some blocks behind */

/* -- consensus -- */
#define BFT_ROUND_MAX           (1u << 20) /* protocol; with growing timeouts, centuries */
#define BFT_ROUNDS_AHEAD        3          /* rounds beyond our own whose messages are kept; enough for one skip */
#define BFT_ROUNDS_KEPT         64         /* rounds behind our own whose votes are kept, besides the pinned ones */
#define BFT_VALUES_MAX          16 /* checked values remembered in a height: one a round, for that many rounds */
#define BFT_TIMEOUT_MS          1000 /* of round 0's proposal: a block at 100 Mbit/s and its checking, several times over */
#define BFT_TIMEOUT_VOTE_MS     500   /* of round 0's votes: a few round trips around the world */
#define BFT_TIMEOUT_STEP_MS     500   /* more each round, so that any network's delay is reached... */
#define BFT_TIMEOUT_MAX_MS      60000 /* ...but a healed one is noticed within a minute */
#define BFT_CLOCK_DRIFT_MS      5000  /* protocol; how far a fresh block's time may be from a validator's clock... */
#define BFT_CLOCK_STEP_MS       1000  /* ...and how much further each round */
#define BLOCK_INTERVAL_MS       200   /* least time between two blocks: more would only be smaller ones */
#define BLOCK_HEARTBEAT_MS      30000 /* an empty block when nothing happens: proves that the chain lives */
#define CONSENSUS_RESEND_MS     1000  /* without progress for so long, what we know of the height is said again */
#define CONSENSUS_POOL_MS       3000  /* without a block for so long, waiting transactions are told of again */
#define CONSENSUS_AHEAD_VOTES   1024  /* verified votes for the next height, kept until we are there */
#define CONSENSUS_SHORT_LEAST   2048  /* bytes of a block from which its proposal names transactions by their ids */
#define CONSENSUS_WAITS_MAX     4096  /* waiters for transactions' inclusion */
#define CONSENSUS_LISTENERS_MAX 16    /* parts of the node that follow blocks */
#define CONSENSUS_DUTY_BLOCKS   20    /* until a validator sends again what did not take effect */
#define HELPERS_MAX             15 /* threads that share a block's signatures and hashes: beyond, other work is the limit */
#define INTAKE_TXS_MAX          10000       /* transactions in one list */
#define INTAKE_BYTES_MAX        (16u << 20) /* of lists that wait to be verified: about two seconds of transfers */
#define INTAKE_SEND_BYTES       (96u << 10) /* after which a list is sent on; with one more transaction it fits a TXS */
#define CONSENSUS_RETRY_MS      1000        /* what a full disk refused is tried again */
#define SYNC_WINDOW             16          /* blocks asked for ahead while catching up */
#define SYNC_TIMEOUT_MS         5000        /* for a block from a peer, then another is asked */
#define SYNC_PAUSE_MS           300         /* a peer that is one block ahead: consensus usually gets there by itself */

/* -- consensus: what peers are told of, and ask for -- */
#define RELAY_SLOTS           64   /* peers with a place, bits of a mask: as many as may connect (PEERS_MAX) */
#define RELAY_NEAR            3    /* peers that send us news whole: two may be hostile */
#define RELAY_ALL             4    /* with so few peers all do: telling costs a round trip, and saves little */
#define RELAY_TURN_MS         5000 /* until near ones are chosen anew */
#define RELAY_SOON_MS         500  /* after a peer came or went: several do at a time */
#define CONSENSUS_TELL_MS     20   /* ids gather for so long before peers are told: little beside a round trip */
#define CONSENSUS_PATIENCE_MS 100  /* what a peer told of usually comes whole from a near one within so long */
#define CONSENSUS_ASK_MS      300  /* for what was asked for, then another is asked: a round trip around the world */
#define MSG_IDS_MAX           1024 /* ids in one message */
#define WANTED_PEER_MAX       1024 /* told of by one peer, and not here yet: two seconds of a busy network */
#define WANTED_LATE_MAX       255  /* unanswered questions that are counted of a peer */
#define EARLY_MAX             1024 /* transactions that came before the one they follow, */
#define EARLY_BYTES_MAX       (4u << 20)
#define EARLY_AHEAD           256   /* at most so many nonces before it; */
#define EARLY_MS              10000 /* by then the pool was told of again */
#define BALLOTS_TELL_MS       50    /* votes gather for so long: in a round trip most of a kind come */
#define BALLOTS_HEARD         4     /* ballots that one peer tells of at a time: two kinds, a block and nil */
#define BALLOTS_TRIES         3     /* asking one peer for votes that it told of, and does not send */

/* -- consensus: faults -- */
#define CONSENSUS_EVIDENCE_MAX      64    /* that waits for its punishment: four validators that cheat in 16 heights */
#define CONSENSUS_EVIDENCE_MS       2000  /* until the next validator in line sends it to the ledger */
#define CONSENSUS_EVIDENCE_AGAIN_MS 30000 /* until the same one does so again */
#define CONSENSUS_FORGET_MAX        16    /* testimonies forgotten with a block: more than one, so that it catches up */
#define TESTIMONY_SIZE_MAX                                                                                             \
    (2u << 20) /* the largest set, a commit and 32 quorums of it, each under 20 KiB, several times over */
#define TESTIMONY_QUORUMS_MAX 32 /* quorums of prevotes kept of a decided height: nearly always it is one */

/* -- light clients -- */
#define LIGHT_BLOCK_MAX      (64u << 10) /* protocol; a header with 256 signatures and 256 validators takes 28 KiB */
#define LIGHT_STEPS_MAX      1024        /* headers taken on the way to one height: about ten seconds of signatures */
#define LIGHT_CLOCK_DRIFT_MS 60000       /* how far a decided header may be ahead of a phone's clock */

/* -- snapshots (protocol) -- */
#define SNAPSHOT_LEAF_BYTES 32768u       /* of entries: what is larger is halved */
#define SNAPSHOT_LEAF_MAX   (256u << 10) /* what halving cannot make smaller: one entry, or 64 equal bits */
#define SNAPSHOT_LEAVES_MAX (1u << 20)   /* 32 GiB of state; the table takes 1 MiB */
#define SNAPSHOT_KEY_MAX    255u         /* of a record in the state */
/* -- snapshots (own) -- */
#define SNAPSHOT_KEPT        2     /* on disk: the one before is still being fetched when a new one is made */
#define SNAPSHOT_INTERVAL    10000 /* blocks: under load, hours */
#define SNAPSHOT_BEHIND      2000  /* blocks behind from which fetching the state is quicker than replaying */
#define SNAPSHOT_SLICE_MS    5     /* of making at a time... */
#define SNAPSHOT_PAUSE_MS    10    /* ...and what others get in between */
#define SNAPSHOT_WINDOW      16    /* leaves asked for at once, and at most... */
#define SNAPSHOT_PEER_LEAVES 4     /* ...so many of one peer */
#define SNAPSHOT_ASK_MS      5000  /* until something is asked for elsewhere */
#define SNAPSHOT_SILENT_MS   30000 /* without a new leaf: another snapshot is looked for */
#define PRUNE_BLOCKS         16    /* dropped behind each new block, at most... */
#define PRUNE_TXS            4000  /* ...and no further one behind so many transactions */
#define SNAPSHOT_DROP_KEYS   10000 /* of the old state, in one step */

/* -- GGUF: what a hostile file may make us hold -- */
#define GGUF_KEYS_MAX         4096
#define GGUF_KEY_BYTES_MAX    256
#define GGUF_STRING_BYTES_MAX (16u << 20)
#define GGUF_ARRAY_MAX        (8u << 20) /* merges of the largest published vocabularies are under 1 M */
#define GGUF_DIMS_MAX         4

/* -- engine -- */
#define VOCAB_MAX           (1u << 20)
#define CONTEXT_MAX         (1u << 20)
#define LAYERS_MAX          1024
#define EMBED_MAX           65536
#define HEADS_MAX           1024
#define EXPERTS_MAX         1024
#define TAPS_MAX            64         /* positions that a convolution sees: published models have 3 or 4 */
#define SIDE_MAX            256        /* of the states of heads: published models have up to 256 */
#define GUESSES_MAX         15         /* rows of a sequence in a batch that may be taken back: a draft's */
#define STATE_BYTES_MAX     (1u << 30) /* that the recurrent layers of a sequence carry: of 32 billion weights 150 MiB */
#define EXPERTS_USED_MAX    64         /* for one token: what each makes is kept until all are added up */
#define LOW_RANK_MAX        4096 /* of what adapters add to a matrix, together: some 100 of rank 32 are averaged by ranks */
#define ADAPTERS_MAX        256        /* joined at once: clients of one round of federated averaging */
#define MERGES_MAX          (2u << 20) /* the largest published vocabularies list under 1 M */
#define TOKEN_PIECE_MAX     1024
#define LOGPROBS_MAX        20 /* likeliest tokens told beside the chosen one: as many as OpenAI's API has */
#define BATCH_MAX           4096
#define LOGITS_ROWS         64 /* logits that are kept at once beside those of who writes: half a MiB a row */
#define THREADS_MAX         256
#define STOPS_MAX           16
#define BIASES_MAX          1024 /* tokens of a request whose logits are moved: more is a vocabulary of its own */
#define STOP_BYTES_MAX      256
#define TRAIN_RANK_MAX      256          /* of an update: published ones have 4 to 128 */
#define TRAIN_LENGTH_MAX    8192         /* tokens of a window: what is kept of it for the way back grows with it */
#define TRAIN_STEPS_MAX     100000       /* each leaves 12 bytes in the adapter */
#define TRAIN_BATCH_MAX     1024         /* windows of a step */
#define TRAIN_HELD_MAX      16           /* windows held out */
#define TRAIN_DATA_MAX      (256u << 20) /* bytes */
#define TRAIN_TOKENS_MAX    (64u << 20)
#define TRAIN_MESSAGES_MAX  64            /* of a conversation in which answers are told apart: each is rendered anew */
#define TRAIN_PART_MAX      (4u << 20)    /* of data, a state or an adapter in one message */
#define TRAIN_STATE_MAX     (1023u << 20) /* a state, or an adapter */
#define WORKER_FRAME_MAX    (64u << 20)   /* one message between kithd and a worker: logits of a vocabulary at most */
#define HOPS_MAX            8             /* machines that have layers of one model, beside the one that asks them */
#define FAR_CALL_MAX        (32u << 20) /* a call of layers elsewhere: within a frame, and some seconds of a slow line */
#define HOP_PART_MAX        (256u << 10) /* of a call or answer, in one message: others of the connection take turns */
#define HOP_STATEMENTS      64           /* signed answers of a hop that are kept: who was wrong is asked soon after */
#define HOP_CHECK_CALLS     64           /* of a hop, evaluated again by kith hop check: a prompt and some tokens */
#define HOP_CHECK_BYTES     (64u << 20)  /* and of all hops together */
#define HOP_PLACES_MAX      64           /* ranges of layers that are elsewhere, of all models of a device */
#define HOP_ALLOWED_MAX     64           /* devices that may borrow layers: one owner's */
#define HOP_CALL_MS         30000        /* without a byte of an answer, then the layers are evaluated here */
#define HOP_WAIT_MS         10000        /* that jobs wait for a device to be reached... */
#define HOP_LOAD_MS         120000       /* ...and for one that was, to load its layers */
#define HOP_PAUSE_MS        1000         /* before a hop is tried again; doubles... */
#define HOP_PAUSE_MAX_MS    60000        /* ...up to this */
#define WORKER_DEATHS_MAX   3            /* in a row: by then the model or a job is the cause, not chance */
#define WORKER_BACKOFF_MS   100          /* before a worker is started again; doubles with each death */
#define PROMPT_BYTES_MAX    (8u << 20)
#define TEMPLATE_BYTES_MAX  (256u << 10)
#define TEMPLATE_STEPS_MAX  2000000u /* a published template needs a few thousand for a long chat */
#define TEMPLATE_STEP_BYTES 256      /* looked at count as one step: all steps then take about a second */
#define TEMPLATE_OUTPUT_MAX (16u << 20)
#define TEMPLATE_MEMORY_MAX (64u << 20) /* all values made while rendering; it bounds the copying too */
#define TEMPLATE_DEPTH_MAX  200         /* nested blocks, operands of one expression, macro calls: the C stack */
#define TEMPLATE_ARGS_MAX   16          /* of one call */
/* Variables that a request sets of a template: published ones know one to five. */
#define TEMPLATE_VARIABLES_MAX       32
#define TEMPLATE_VARIABLES_BYTES_MAX 8192 /* as JSON */
#define TEMPLATE_VARIABLE_NAME_MAX   64

/* -- constraints: they decide which tokens are allowed, so they are part of the arithmetic -- */
#define SCHEMA_BYTES_MAX      (128u << 10) /* OpenAI takes 120,000 characters of names and values */
#define SCHEMA_DEPTH_MAX      64           /* of the schema's own JSON, and of what it is merged to */
#define SCHEMA_RULES_MAX      8192
#define SCHEMA_PROPERTIES_MAX 1000       /* of one object, which may all be optional */
#define SCHEMA_WORK_MAX       (4u << 20) /* bytes of schemas written out while merging and comparing */
#define SCHEMA_LENGTH_MAX     1000000    /* of minLength, maxItems and their like */
#define PATTERN_BYTES_MAX     4096
#define PATTERN_GROUPS_MAX    32   /* one inside the other */
#define PATTERN_TIMES_MAX     1000 /* a{N} */
#define GRAMMAR_OPS_MAX       (256u << 10)
#define GRAMMAR_DEPTH_MAX     64         /* rules open at once: objects and arrays inside each other */
#define GRAMMAR_THREADS_MAX   1024       /* readings of one text at once */
#define GRAMMAR_VISITS_MAX    8192       /* operations looked at behind one byte */
#define GRAMMAR_STEPS_MAX     (8u << 20) /* of one mask: readings of each step that is new in it: half a second, 100 MB */
#define GRAMMAR_STEP_LEAST    16         /* added for each step, which also has a place in the tables */
#define GRAMMAR_CACHE_BYTES   (16u << 20) /* changes nothing but the time */
#define GRAMMAR_CACHE_MASKS   32

/* -- market (protocol) -- */
#define STEP_TOKENS        16   /* tokens between two vouchers: what one side may lose */
#define PROMPT_STEP_TOKENS 512  /* prompt tokens paid at a time, or an eighth of those before them, */
#define PROMPT_STEP_MAX    2048 /* ... up to so many (request.h) */
#define SHARE_SLOTS_MAX    1024 /* jobs at once that a provider may offer: beyond what any one machine does */
#define OFFER_LIFE_MS      120000
#define OFFERS_MAX         4096
#define RECEIPTS_MAX       (1u << 20) /* jobs of one channel */
#define CHANNELS_MAX       4096       /* open channels that one node follows */
#define CHANNELS_OVER_KEPT 64         /* of one side that are over: to look at, what they came to is added up */
#define CHANNEL_PAST_MAX   16384      /* earlier receipts of a payer's channel: 131,072 tokens, 6 MB of the disk */
#define PLANT_PAYERS_MAX   64u        /* nodes whose jobs one provider answers with planted digests */
#define AUDITOR_CHECKS_MAX 16u   /* verdicts whose auditors are checked, or doubted, at once: each is a transcript */
#define CHECK_AUDITORS     8     /* one of so many verdicts over what a node served or paid is checked */
#define PLANTS_SHOWN       16u   /* settlements remembered that were shown to be planted, so that none is twice */
#define MODEL_NAMES_MAX    1024u /* models that have a name on one machine */
#define JOBS_MAX           1024  /* jobs that one node runs or asks for at once */
#define JOBS_KEPT_MAX      4096  /* that one asked for and can look at: a day of one every 20 s... */
#define JOBS_KEPT_BYTES    (256u << 20) /* ...but of long ones fewer */
#define JOBS_DROP_EVERY    64           /* made, and old ones are looked for */

/* -- wallet: what a file may make us spend before its password was checked -- */
#define WALLET_ACCOUNTS_MAX    256
#define WALLET_NAME_MAX        32
#define WALLET_FILE_MAX        (64u << 10) /* 256 accounts with the longest names take 18 KiB */
#define WALLET_PASSES_MAX      16
#define WALLET_MEMORY_KIB_MIN  8 /* Argon2's own least, for tests */
#define WALLET_MEMORY_KIB_MAX  (1u << 20)
#define WALLET_LABELS_MAX      10000 /* a label a transaction, for years of them */
#define WALLET_LABELS_FILE_MAX (8u << 20)

/* -- access to data -- */
#define ACCESS_GIVING_MAX 16    /* peers that take hashes of plain leaves at a time, each one list */
#define ACCESS_HASHES_MS  60000 /* how long peers are asked for them, over and over */

/* -- HTTP -- */
#define HTTP_CONNECTIONS_MAX 1024
#define WORKER_SCORED_MAX                                                                                              \
    (64u << 20)                 /* logprobs of one prompt, before it is told: 100,000 tokens with the 20 likeliest */
#define CHOICES_MAX         128 /* answers to one request: as many as OpenAI's API has */
#define CHATS_SHOWN_MAX     500 /* conversations in one list */
#define CHAT_TURNS_MAX      200 /* of a conversation in one answer... */
#define CHAT_BYTES_MAX      (4u << 20) /* ...and bytes of what they hold: each has all questions before it */
#define EMBED_INPUTS_MAX    2048       /* texts of one request, as in OpenAI's API */
#define TOOL_NAME_BYTES_MAX 64         /* as in OpenAI's API */
#define TOOL_VALUE_DEPTH_MAX                                                                                           \
    64 /* of a value that a call has in the words of Python: each level is one of the stack                            \
        */
#define RESPONSE_ECHO_MAX    (1u << 20) /* of a request: a stream repeats it three times, of the 4 MiB that may wait */
#define APIKEYS_MAX          256        /* keys of the HTTP API: looked through for each request */
#define EVENTS_KEPT_MAX      1024 /* of a node, for who follows them: minutes, and what a follower may be behind */
#define EVENT_BYTES_MAX      8192 /* of one, as JSON: a few names and texts of 255 bytes, each of which may be escaped */
#define EVENTS_FOLLOWERS_MAX 256
#define HTTP_NAMES_MAX       PEERS_ADDED_MAX /* as many as any list of settings */
#define HTTP_HEADER_MS       10000
#define HTTP_BODY_MAX        (8u << 20)
#define HTTP_DRAIN_MAX       (64u << 20) /* of a body over the limit, read so that the client hears why it is refused */
#define HTTP_HEAD_MAX        (48u << 10)
#define HTTP_CONNECTION_BYTES                                                                                          \
    (128u << 10) /* libmicrohttpd's, with room for a head over the limit: past it, it answers by itself */

/* -- the log: lines that strangers can cause -- */
#define LOG_RATE_BURST  200 /* a network that starts, or all peers going at once... */
#define LOG_RATE_SECOND 2   /* ...and for ever: 30 MB a day, whatever they do */

/* -- files -- */
#define FILE_MAPS_MAX 64 /* at once in a process: threads of a pool, and what tests hold */

/* -- JSON -- */
#define JSON_BYTES_MAX (16u << 20)
#define JSON_DEPTH_MAX 512

#endif
