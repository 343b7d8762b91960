/* Transactions: the envelope that everyone signs, and the bodies, one record a kind.
 *
 *     id = H[kith.tx](encoding of all fields but the signatures), and signatures are over the id.
 *
 * A transaction carries its chain, so it is worth nothing on another; the nonce is the number of
 * transactions that the signer has had in blocks, so it is worth nothing twice. An account is its
 * public key; it may set a rule by which k of up to COSIGNERS_MAX other keys sign for it. The fee is paid in
 * full when the transaction enters a block, whatever becomes of it.
 */
#ifndef KITH_CHAIN_TX_H
#define KITH_CHAIN_TX_H

#include "base/vrf.h"
#include "chain/evidence.h"
#include "chain/market_records.h"

#define TX_VERSION 1

/* One of the signatures of an account with a rule. */
#define COSIG_FIELDS(F) F(pubkey, key) F(sig, sig)
RECORD_DECLARE(cosig, COSIG_FIELDS)
#define COSIG_SIZE 96

/* The signatures of a transaction: a byte n, then the signer's own signature where n is 0, else n cosigs in strictly
 * rising order of their keys, so that nobody counts twice and there is one encoding. Anything else fails to decode. */
struct sigs {
    uint8_t n;
    struct sig own;
    const uint8_t *cosigs; /* borrowed */
};
#define CODEC_TYPE_sigs struct sigs
void codec_put_sigs(struct buf *b, const struct sigs *v);
void codec_get_sigs(struct cursor *c, struct sigs *v);
bool codec_equal_sigs(const struct sigs *a, const struct sigs *b);
void codec_json_sigs(struct buf *b, const struct sigs *v);
struct cosig sigs_at(const struct sigs *s, uint32_t i); /* i < n */

#define TX_CONTENT_FIELDS(F)                                                                                           \
    F(u16, version)                                                                                                    \
    F(hash, chain)                                                                                                     \
    F(pubkey, signer)                                                                                                  \
    F(u64, nonce)                                                                                                      \
    F(amount, fee)                                                                                                     \
    F(u8, kind)                                                                                                        \
    F(blob, body)
#define TX_FIELDS(F) TX_CONTENT_FIELDS(F) F(sigs, sigs)
RECORD_DECLARE(tx, TX_FIELDS)
/* What is signed. */
RECORD_DECLARE(tx_content, TX_CONTENT_FIELDS)

/* number, name in the code, record of the body, work: what it costs the ledger, in units of one transfer
 * (docs/ledger.md; lists in the body add to it: tx_work). Numbers are never reused: 11 was an audit without
 * commitment. */
#define TX_KIND_LIST(K)                                                                                                \
    K(1, TRANSFER, tx_transfer, 1)                                                                                     \
    K(2, BOND, tx_bond, 2)                                                                                             \
    K(3, UNBOND, tx_unbond, 3)                                                                                         \
    K(4, PROVIDER, tx_provider, 4)                                                                                     \
    K(5, MODEL_PUBLISH, tx_model_publish, 10)                                                                          \
    K(6, DATA_CONTRIBUTE, tx_data_contribute, 6)                                                                       \
    K(7, CHANNEL_OPEN, tx_channel_open, 4)                                                                             \
    K(8, CHANNEL_TOPUP, tx_channel_topup, 2)                                                                           \
    K(9, CHANNEL_SETTLE, tx_channel_settle, 10)                                                                        \
    K(10, CHANNEL_CLOSE, tx_channel_close, 3)                                                                          \
    K(12, EVIDENCE, tx_evidence, 10)                                                                                   \
    K(13, BEACON_KEY, tx_beacon_key, 4)                                                                                \
    K(14, ACCOUNT_RULE, tx_account_rule, 3)                                                                            \
    K(15, DATA_GRANT, tx_data_grant, 4)                                                                                \
    K(16, KEY_RELEASE, tx_key_release, 3)                                                                              \
    K(17, DATA_DISPUTE, tx_data_dispute, 12)                                                                           \
    K(18, BOUNTY_POST, tx_bounty_post, 4)                                                                              \
    K(19, BOUNTY_OFFER, tx_bounty_offer, 4)                                                                            \
    K(20, BOUNTY_ACCEPT, tx_bounty_accept, 3)                                                                          \
    K(21, AUDIT_COMMIT, tx_audit_commit, 3)                                                                            \
    K(22, AUDIT_REVEAL, tx_audit_reveal, 10)                                                                           \
    K(23, CHALLENGE, tx_challenge, 10)                                                                                 \
    K(24, CLAIM, tx_claim, 100)                                                                                        \
    K(25, PLANT, tx_plant, 10)                                                                                         \
    K(26, DOUBT, tx_doubt, 10)                                                                                         \
    K(27, DOUBT_COMMIT, tx_doubt_commit, 3)                                                                            \
    K(28, DOUBT_REVEAL, tx_doubt_reveal, 4)
enum tx_kind {
#define K(number, name, record, work) TX_##name = number,
    TX_KIND_LIST(K)
#undef K
};

enum bond_role { BOND_VALIDATOR, BOND_PROVIDER, BOND_AUDITOR, BOND_ROLES };

#define TX_TRANSFER_FIELDS(F) F(pubkey, to) F(amount, amount) F(text64, memo)
RECORD_DECLARE(tx_transfer, TX_TRANSFER_FIELDS)

/* Stake belongs to the signer; a validator votes with that same key. */
#define TX_BOND_FIELDS(F) F(u8, role) F(amount, amount)
RECORD_DECLARE(tx_bond, TX_BOND_FIELDS)
/* Returns after the unbonding period, less what is slashed until then. */
#define TX_UNBOND_FIELDS(F) F(u8, role) F(amount, amount)
RECORD_DECLARE(tx_unbond, TX_UNBOND_FIELDS)

/* The signer is the owner: the one who is paid, and whose bond answers. The node agrees by node_sig
 * (tx_consent_sign), all zero where the signer is the node itself. The latest record of a node holds; one without
 * models ends its service. */
#define TX_PROVIDER_FIELDS(F)                                                                                          \
    F(pubkey, node)                                                                                                    \
    F(text255, endpoint)                                                                                               \
    F(hashes, models)                                                                                                  \
    F(flag, audits)                                                                                                    \
    F(sig, node_sig)
RECORD_DECLARE(tx_provider, TX_PROVIDER_FIELDS)

/* By whoever is about to publish a model or a data set: tx_claim_commitment of that publication. Who sees one on its
 * way into a block can copy it, but has no claim for his copy that is old enough (apply_claim.c). */
#define TX_CLAIM_FIELDS(F) F(hash, commit)
RECORD_DECLARE(tx_claim, TX_CLAIM_FIELDS)
/* Is a transaction of this kind claimed ahead? */
bool tx_is_claimed(uint8_t kind);
/* H[kith.claim](chain | signer | kind | body). The body's salt keeps others from guessing the rest. */
struct hash tx_claim_commitment(const struct hash *chain, const struct pubkey *signer, uint8_t kind, struct bytes body);

/* `lineage` is direct parents: entries of lineage_entry one behind the other. `salt`: of the claim. */
#define TX_MODEL_PUBLISH_FIELDS(F)                                                                                     \
    F(hash, root)                                                                                                      \
    F(u64, size)                                                                                                       \
    F(text64, name)                                                                                                    \
    F(text64, licence)                                                                                                 \
    F(text64, architecture)                                                                                            \
    F(text64, format)                                                                                                  \
    F(u32, arith)                                                                                                      \
    F(u16, royalty_bps)                                                                                                \
    F(u16, derive_bps)                                                                                                 \
    F(hash, tensors_root)                                                                                              \
    F(hashes, tensors)                                                                                                 \
    F(blob, lineage)                                                                                                   \
    F(hash, salt)
RECORD_DECLARE(tx_model_publish, TX_MODEL_PUBLISH_FIELDS)

enum lineage_type { LINEAGE_MODEL, LINEAGE_DATA };
/* A parent (by model root, or by a data set's plain root) and its part of the royalty. */
#define LINEAGE_ENTRY_FIELDS(F) F(u8, type) F(hash, id) F(u16, bps)
RECORD_DECLARE(lineage_entry, LINEAGE_ENTRY_FIELDS)
#define LINEAGE_ENTRY_SIZE 35
/* Root over the tensors' roots, as tensors_root must be: H[kith.tensor](their concatenation). */
struct hash tx_tensors_root(const struct hashes *tensors);

/* A data set is known by its plain root. `salt`: of the claim. */
#define TX_DATA_CONTRIBUTE_FIELDS(F)                                                                                   \
    F(hash, cipher_root)                                                                                               \
    F(hash, plain_root)                                                                                                \
    F(u64, size)                                                                                                       \
    F(text64, name)                                                                                                    \
    F(text64, format)                                                                                                  \
    F(text64, licence)                                                                                                 \
    F(flag, train)                                                                                                     \
    F(u16, share_bps)                                                                                                  \
    F(amount, price)                                                                                                   \
    F(hash, salt)
RECORD_DECLARE(tx_data_contribute, TX_DATA_CONTRIBUTE_FIELDS)

/* By the payer, to a provider's node key. The channel's id is tx_channel_id of this transaction. */
#define TX_CHANNEL_OPEN_FIELDS(F) F(pubkey, provider) F(hash, model) F(amount, amount)
RECORD_DECLARE(tx_channel_open, TX_CHANNEL_OPEN_FIELDS)
struct hash tx_channel_id(const struct hash *id);

#define TX_CHANNEL_TOPUP_FIELDS(F) F(hash, channel) F(amount, amount)
RECORD_DECLARE(tx_channel_topup, TX_CHANNEL_TOPUP_FIELDS)

/* By the provider's node key. sum_top: top hash of the receipts' tree (market_records.h). With `close`
 * the rest goes back to the payer at once. The settlement's id is the transaction's. */
#define TX_CHANNEL_SETTLE_FIELDS(F) F(voucher, voucher) F(sig, payer_sig) F(hash, sum_top) F(flag, close)
RECORD_DECLARE(tx_channel_settle, TX_CHANNEL_SETTLE_FIELDS)

/* By the payer: the rest returns by itself after the dispute window. */
#define TX_CHANNEL_CLOSE_FIELDS(F) F(hash, channel)
RECORD_DECLARE(tx_channel_close, TX_CHANNEL_CLOSE_FIELDS)

enum audit_verdict { AUDIT_MATCH, AUDIT_MISMATCH, AUDIT_WITHHELD, AUDIT_VERDICTS };
/* By the node key of an auditor that was drawn for this settlement and index: tx_audit_commitment of what it will
 * reveal, so that nobody copies. */
#define TX_AUDIT_COMMIT_FIELDS(F) F(hash, settlement) F(u32, index) F(hash, commit)
RECORD_DECLARE(tx_audit_commit, TX_AUDIT_COMMIT_FIELDS)
/* By the same, when the commitments are in. `receipt` is a signed_receipt and `proof` its sum_tree_prove; both empty
 * where the provider withheld. `digest` is what the auditor's own replay gave, and `witness` the hash of activations at
 * places that `salt` picks, which only a replay gives (docs/market.md); both zero where withheld. */
#define TX_AUDIT_REVEAL_FIELDS(F)                                                                                      \
    F(hash, settlement)                                                                                                \
    F(u32, index)                                                                                                      \
    F(blob, receipt)                                                                                                   \
    F(blob, proof)                                                                                                     \
    F(u8, verdict)                                                                                                     \
    F(hash, digest)                                                                                                    \
    F(hash, witness)                                                                                                   \
    F(hash, salt)
RECORD_DECLARE(tx_audit_reveal, TX_AUDIT_REVEAL_FIELDS)
/* H[kith.audit](settlement | index | auditor | verdict | digest | witness | salt) */
struct hash tx_audit_commitment(const struct tx_audit_reveal *r, const struct pubkey *auditor);
/* By whoever holds a signed receipt of a settlement in escrow whose transcript does not replay, against a bond: a
 * committee decides, and the loser pays. */
#define TX_CHALLENGE_FIELDS(F) F(hash, settlement) F(u32, index) F(blob, receipt) F(blob, proof)
RECORD_DECLARE(tx_challenge, TX_CHALLENGE_FIELDS)

/* By a settlement's payer, when the first auditors have been heard: its receipt `index` commits, with `salt`, to
 * plant_digest(secret), which no replay gives. Who said that it is in order did not look (apply_plant.c). */
#define TX_PLANT_FIELDS(F)                                                                                             \
    F(hash, settlement) F(u32, index) F(blob, receipt) F(blob, proof) F(hash, salt) F(hash, secret)
RECORD_DECLARE(tx_plant, TX_PLANT_FIELDS)

/* By whoever has the transcript of receipt `index`, against a bond: what this auditor revealed as a witness is not what
 * a replay under its revealed salt gives. A committee replays; the loser pays (apply_doubt.c). */
#define TX_DOUBT_FIELDS(F) F(hash, settlement) F(u32, index) F(pubkey, auditor)
RECORD_DECLARE(tx_doubt, TX_DOUBT_FIELDS)
/* By the node key of a member of its committee: tx_doubt_commitment of what it will reveal. */
#define TX_DOUBT_COMMIT_FIELDS(F) F(hash, doubt) F(hash, commit)
RECORD_DECLARE(tx_doubt_commit, TX_DOUBT_COMMIT_FIELDS)
/* `verdict`: a match where `witness`, which the member's own replay under the doubted salt gave, is the doubted one; a
 * mismatch where it is another; withheld, and zero, where the doubter showed no transcript. */
#define TX_DOUBT_REVEAL_FIELDS(F) F(hash, doubt) F(u8, verdict) F(hash, witness) F(hash, salt)
RECORD_DECLARE(tx_doubt_reveal, TX_DOUBT_REVEAL_FIELDS)
/* H[kith.audit](doubt | member | verdict | witness | salt) */
struct hash tx_doubt_commitment(const struct tx_doubt_reveal *r, const struct pubkey *member);

/* By anyone. */
#define TX_EVIDENCE_FIELDS(F) F(evidence, evidence)
RECORD_DECLARE(tx_evidence, TX_EVIDENCE_FIELDS)

/* By a validator: the public key of its random function (docs/consensus.md). Holds two epochs later. */
#define TX_BEACON_KEY_FIELDS(F) F(vrf_public, key)
RECORD_DECLARE(tx_beacon_key, TX_BEACON_KEY_FIELDS)

/* From here on k of these keys sign for the signer, and its own key alone no longer does (unless it is listed and k is
 * 1). `keys` rise strictly; at most COSIGNERS_MAX. k = 0 with no keys gives the account back to its own key. */
#define TX_ACCOUNT_RULE_FIELDS(F) F(u8, k) F(hashes, keys)
RECORD_DECLARE(tx_account_rule, TX_ACCOUNT_RULE_FIELDS)
/* ERR_RANGE, ERR_FORMAT for what is no rule with k over 0. */
enum err tx_rule_check(uint8_t k, const struct hashes *keys, struct note *note) MUST_USE;

/* A buyer locks the price of a data set (by its plain root) and names a key made for this alone, to which the seller
 * seals the data's key. The grant's id is the transaction's. */
#define TX_DATA_GRANT_FIELDS(F) F(hash, data) F(pubkey, key)
RECORD_DECLARE(tx_data_grant, TX_DATA_GRANT_FIELDS)
/* By the data's owner: seal_to_key(grant's key) of the 32 bytes that encrypted the data (market_records.h). */
#define TX_KEY_RELEASE_FIELDS(F) F(hash, grant) F(blob, sealed)
RECORD_DECLARE(tx_key_release, TX_KEY_RELEASE_FIELDS)
#define KEY_SEALED_SIZE 81
/* By the buyer: the key that was released does not open leaf `index` to what the plain root promises. `secret` is the
 * grant's one-time key, and makes the data's key public; `leaf` the encrypted leaf, with its proof under the cipher
 * root; `plain_leaf` the promised leaf's hash, with its proof under the plain root. All but the secret is empty or zero
 * where the sealed key does not open at all. */
#define TX_DATA_DISPUTE_FIELDS(F)                                                                                      \
    F(hash, grant)                                                                                                     \
    F(hash, secret)                                                                                                    \
    F(u64, index)                                                                                                      \
    F(blob, leaf)                                                                                                      \
    F(hashes, leaf_proof)                                                                                              \
    F(hash, plain_leaf)                                                                                                \
    F(hashes, plain_proof)
RECORD_DECLARE(tx_data_dispute, TX_DATA_DISPUTE_FIELDS)

/* Money for a model or a data set (`wants`: lineage_type) that the poster accepts by the deadline, in block time; else
 * it returns by itself. `terms`: hash of a text that says what is wanted. The bounty's id is the transaction's. */
#define TX_BOUNTY_POST_FIELDS(F) F(u8, wants) F(text64, title) F(hash, terms) F(amount, amount) F(u64, deadline_ms)
RECORD_DECLARE(tx_bounty_post, TX_BOUNTY_POST_FIELDS)
/* By the publisher of a registered model, or the owner of a data set: its root. */
#define TX_BOUNTY_OFFER_FIELDS(F) F(hash, bounty) F(hash, root)
RECORD_DECLARE(tx_bounty_offer, TX_BOUNTY_OFFER_FIELDS)
/* By the poster: pays whoever offered this root. */
#define TX_BOUNTY_ACCEPT_FIELDS(F) F(hash, bounty) F(hash, root)
RECORD_DECLARE(tx_bounty_accept, TX_BOUNTY_ACCEPT_FIELDS)

/* "transfer", "model_publish"...; NULL for an unknown kind. */
const char *tx_kind_name(uint8_t kind);
struct hash tx_id(const struct tx *t);
/* The same from an encoding; zero for bytes that are none. */
struct hash tx_id_of(struct bytes raw);
/* Of several, each of which decodes, in less time than one by one; at most TX_IDS_MAX. */
#define TX_IDS_MAX 16u
void tx_ids_of(const struct bytes *raw, uint32_t n, struct hash *out);
/* tx_sign fills and signs the whole of *t but kind and body, which must be set; tx_build does so for an encoded
 * body and appends the transaction's encoding. */
void tx_sign(struct tx *t, const struct hash *chain, const struct seckey *secret, uint64_t nonce, struct amount fee);
void tx_build(struct buf *out, const struct hash *chain, const struct seckey *secret, uint64_t nonce, struct amount fee,
              enum tx_kind kind, struct bytes body);
/* Decodes one transaction of at most TX_SIZE_MAX bytes, all of it; checks version, kind and that the body is a
 * canonical record. *t borrows from `raw`. No signature yet. */
enum err tx_decode(struct bytes raw, struct tx *t, struct note *note) MUST_USE;
/* What of that is not about bytes: version, kind, body. */
enum err tx_content_check(const struct tx *t, struct note *note) MUST_USE;
/* What must verify for tx_check to accept, for whoever verifies many at once. Fills `out`, returns how many (1 to
 * COSIGNERS_MAX). `id` is the transaction's. */
struct tx_signature {
    struct pubkey key;
    struct hash message;
    struct sig sig;
};
uint32_t tx_signatures(const struct tx *t, const struct hash *id, struct tx_signature out[COSIGNERS_MAX]);
/* ERR_CHAIN for another chain, ERR_AUTH for a bad signature. Whether those keys may sign for this account is in the
 * state: tx_authorized. */
enum err tx_check(const struct tx *t, const struct hash *chain, struct note *note) MUST_USE;
/* The same where the id is known. */
enum err tx_check_id(const struct tx *t, const struct hash *id, const struct hash *chain, struct note *note) MUST_USE;
/* Does it carry the signatures that the account's rule asks for? k = 0: it has no rule. ERR_AUTH. */
enum err tx_authorized(const struct tx *t, uint8_t k, const struct hashes *keys, struct note *note) MUST_USE;
/* Units of work, of a transaction that tx_decode accepted; each signature beyond the first is one. */
uint64_t tx_work(const struct tx *t);
/* What a wallet offers where `least` is the least fee now: a quarter more, for two full blocks until it is in one. */
struct amount tx_fee_offer(struct amount least);
/* Least fee for an encoding of `size` bytes. The fee field has a fixed width, so the size does not depend on it. */
struct amount tx_fee_min(size_t size, uint64_t work, struct amount per_byte, struct amount per_work);
/* One JSON object: id, kind, signer, nonce, fee and the body's fields. */
void tx_print(struct buf *out, const struct tx *t);

/* -- signing by several, offline: a transaction on its way from one signer to the next --
 *
 * `content` is what is signed, k and keys are the account's rule, `cosigs` what was collected so far. */
#define TX_PARTIAL_FIELDS(F) F(blob, content) F(u8, k) F(hashes, keys) F(blob, cosigs)
RECORD_DECLARE(tx_partial, TX_PARTIAL_FIELDS)

/* Appends one without signatures; of *t all but version and sigs is set. k = 0 with no keys: the account has no rule,
 * and its own key signs, as a cosig until tx_partial_finish. */
enum err tx_partial_begin(struct buf *out, const struct tx *t, uint8_t k, const struct hashes *keys,
                          struct note *note) MUST_USE;
/* Decodes and checks all of it: content, rule, and every signature that is there. *t is as tx_decode leaves it, with
 * the signatures so far; both borrow from `raw`. */
enum err tx_partial_decode(struct bytes raw, struct tx_partial *p, struct tx *t, struct note *note) MUST_USE;
/* Bytes of the whole transaction, for its fee. */
size_t tx_partial_size(const struct tx_partial *p);
/* How many signatures are still needed. */
uint32_t tx_partial_missing(const struct tx_partial *p);
/* Appends the same with one more signature. ERR_AUTH for a key that the rule does not list, ERR_DUPLICATE for one that
 * has signed, ERR_STATE where none is needed. */
enum err tx_partial_sign(struct bytes raw, const struct seckey *secret, struct buf *out, struct note *note) MUST_USE;
/* Appends the same with the signatures of another copy added, as many as are needed. ERR_MISMATCH where that is of
 * another transaction or rule. */
enum err tx_partial_merge(struct bytes raw, struct bytes other, struct buf *out, struct note *note) MUST_USE;
/* Appends the transaction. ERR_STATE while signatures are missing. */
enum err tx_partial_finish(struct bytes raw, struct buf *out, struct note *note) MUST_USE;

/* A node's agreement to serve under an owner: over H[kith.consent](chain | owner | node). */
void tx_consent_sign(const struct hash *chain, const struct pubkey *owner, const struct seckey *node, struct sig *out);
bool tx_consent_verify(const struct hash *chain, const struct pubkey *owner, const struct pubkey *node,
                       const struct sig *sig) MUST_USE;

#endif
