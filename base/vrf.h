/* A verifiable random function: ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381), over libsodium's group operations. Whoever
 * holds the secret computes one value for an input and a proof of it; nobody else can foresee the value, and
 * nobody, the holder included, can prove another one.
 *
 * Stricter than the RFC in one way, so that all who check agree: keys and proofs must lie in the group of prime order
 * (the RFC only clears the cofactor). Whatever vrf_prove makes does.
 */
#ifndef KITH_BASE_VRF_H
#define KITH_BASE_VRF_H

#include "base/codec.h"

#define VRF_OUTPUT_SIZE 64

struct vrf_secret { /* an Ed25519 seed */
    uint8_t b[32];
};
struct vrf_public {
    uint8_t b[32];
};
struct vrf_proof { /* point | challenge of 16 bytes | response */
    uint8_t b[80];
};

/* The secret that belongs to a signing key: nothing more to keep, and a restored key brings it back. */
struct vrf_secret vrf_secret_of(const struct seckey *key);
struct vrf_public vrf_public_of(const struct vrf_secret *secret);
/* Canonical, of prime order: RFC 9381 section 5.4.5 and more. */
bool vrf_public_is_valid(const struct vrf_public *public) MUST_USE;
/* In time that depends on the input alone, which is public. */
void vrf_prove(const struct vrf_secret *secret, const void *input, size_t n, struct vrf_proof *proof);
/* True, and the output set, if the proof is that of `public` for this input. */
bool vrf_verify(const struct vrf_public *public, const void *input, size_t n, const struct vrf_proof *proof,
                uint8_t output[VRF_OUTPUT_SIZE]) MUST_USE;
/* The output of a proof that was verified before; false for what cannot have been. */
bool vrf_output(const struct vrf_proof *proof, uint8_t output[VRF_OUTPUT_SIZE]) MUST_USE;
bool vrf_proof_is_zero(const struct vrf_proof *proof);

/* As fields of records. */
#define CODEC_TYPE_vrf_public struct vrf_public
#define CODEC_TYPE_vrf_proof  struct vrf_proof
CODEC_PROTOTYPES(vrf_public)
CODEC_PROTOTYPES(vrf_proof)

#endif
