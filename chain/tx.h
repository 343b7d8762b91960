/* Transactions: the envelope that everyone signs, and the bodies, one record a kind.
 *
 *     id = H[kith.tx](encoding of all fields but the signature), and the signature is over the id.
 *
 * A transaction carries its chain, so it is worth nothing on another; the nonce is the number of
 * transactions that the signer has had in blocks, so it is worth nothing twice. An account is its
 * public key. The fee is paid in full when the transaction enters a block, whatever becomes of it.
 */
#ifndef KITH_CHAIN_TX_H
#define KITH_CHAIN_TX_H

#include "base/vrf.h"
#include "chain/evidence.h"
#include "chain/market_records.h"

#define TX_VERSION 1

#define TX_FIELDS(F)                                                                                                   \
    F(u16, version)                                                                                                    \
    F(hash, chain)                                                                                                     \
    F(pubkey, signer)                                                                                                  \
    F(u64, nonce)                                                                                                      \
    F(amount, fee)                                                                                                     \
    F(u8, kind)                                                                                                        \
    F(blob, body)                                                                                                      \
    F(sig, sig)
RECORD_DECLARE(tx, TX_FIELDS)

/* number, name in the code, record of the body, work: what it costs the ledger, in units of one transfer
 * (docs/ledger.md; lists in the body add to it: tx_work). Numbers are never reused. */
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
    K(11, AUDIT, tx_audit, 10)                                                                                         \
    K(12, EVIDENCE, tx_evidence, 10)                                                                                   \
    K(13, BEACON_KEY, tx_beacon_key, 4)

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

/* `lineage` is direct parents: entries of lineage_entry one behind the other. */
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
    F(blob, lineage)
RECORD_DECLARE(tx_model_publish, TX_MODEL_PUBLISH_FIELDS)

enum lineage_type { LINEAGE_MODEL, LINEAGE_DATA };
/* A parent (by model root, or by a data set's plain root) and its part of the royalty. */
#define LINEAGE_ENTRY_FIELDS(F) F(u8, type) F(hash, id) F(u16, bps)
RECORD_DECLARE(lineage_entry, LINEAGE_ENTRY_FIELDS)
#define LINEAGE_ENTRY_SIZE 35
/* Root over the tensors' roots, as tensors_root must be: H[kith.tensor](their concatenation). */
struct hash tx_tensors_root(const struct hashes *tensors);

/* A data set is known by its plain root. */
#define TX_DATA_CONTRIBUTE_FIELDS(F)                                                                                   \
    F(hash, cipher_root)                                                                                               \
    F(hash, plain_root)                                                                                                \
    F(u64, size)                                                                                                       \
    F(text64, name)                                                                                                    \
    F(text64, format)                                                                                                  \
    F(text64, licence)                                                                                                 \
    F(flag, train)                                                                                                     \
    F(u16, share_bps)                                                                                                  \
    F(amount, price)
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
/* By the node key of an auditor that was drawn for this settlement and index. `receipt` is a signed_receipt and
 * `proof` its sum_tree_prove; both empty where the provider withheld. `digest` is what the auditor's own
 * replay gave (zero where withheld). */
#define TX_AUDIT_FIELDS(F)                                                                                             \
    F(hash, settlement)                                                                                                \
    F(u32, index)                                                                                                      \
    F(blob, receipt)                                                                                                   \
    F(blob, proof)                                                                                                     \
    F(u8, verdict)                                                                                                     \
    F(hash, digest)
RECORD_DECLARE(tx_audit, TX_AUDIT_FIELDS)

/* By anyone. */
#define TX_EVIDENCE_FIELDS(F) F(evidence, evidence)
RECORD_DECLARE(tx_evidence, TX_EVIDENCE_FIELDS)

/* By a validator: the public key of its random function (docs/consensus.md). Holds two epochs later. */
#define TX_BEACON_KEY_FIELDS(F) F(vrf_public, key)
RECORD_DECLARE(tx_beacon_key, TX_BEACON_KEY_FIELDS)

/* "transfer", "model_publish"...; NULL for an unknown kind. */
const char *tx_kind_name(uint8_t kind);
struct hash tx_id(const struct tx *t);
/* tx_sign fills and signs the whole of *t but kind and body, which must be set; tx_build does so for an encoded
 * body and appends the transaction's encoding. */
void tx_sign(struct tx *t, const struct hash *chain, const struct seckey *secret, uint64_t nonce, struct amount fee);
void tx_build(struct buf *out, const struct hash *chain, const struct seckey *secret, uint64_t nonce, struct amount fee,
              enum tx_kind kind, struct bytes body);
/* Decodes one transaction of at most TX_SIZE_MAX bytes, all of it; checks version, kind and that the body is a
 * canonical record. *t borrows from `raw`. No signature yet. */
enum err tx_decode(struct bytes raw, struct tx *t, struct note *note) MUST_USE;
/* ERR_CHAIN for another chain, ERR_AUTH for a bad signature. */
enum err tx_check(const struct tx *t, const struct hash *chain, struct note *note) MUST_USE;
/* Units of work, of a transaction that tx_decode accepted. */
uint64_t tx_work(const struct tx *t);
/* Least fee for an encoding of `size` bytes. The fee field has a fixed width, so the size does not depend on it. */
struct amount tx_fee_min(size_t size, uint64_t work, struct amount per_byte, struct amount per_work);
/* One JSON object: id, kind, signer, nonce, fee and the body's fields. */
void tx_print(struct buf *out, const struct tx *t);

/* A node's agreement to serve under an owner: over H[kith.consent](chain | owner | node). */
void tx_consent_sign(const struct hash *chain, const struct pubkey *owner, const struct seckey *node, struct sig *out);
bool tx_consent_verify(const struct hash *chain, const struct pubkey *owner, const struct pubkey *node,
                       const struct sig *sig) MUST_USE;

#endif
