/* The message table by number, and the codecs of the bodies. */
#include "p2p/msg.h"

RECORD_DEFINE(hello, HELLO_FIELDS)
RECORD_DEFINE(ping, PING_FIELDS)
RECORD_DEFINE(bye, BYE_FIELDS)
RECORD_DEFINE(addr, ADDR_FIELDS)
RECORD_DEFINE(blob_have_get, BLOB_HAVE_GET_FIELDS)
RECORD_DEFINE(blob_have, BLOB_HAVE_FIELDS)
RECORD_DEFINE(leaf_get, LEAF_GET_FIELDS)
RECORD_DEFINE(leaf, LEAF_FIELDS)
RECORD_DEFINE(stream_open, STREAM_OPEN_FIELDS)
RECORD_DEFINE(stream_data, STREAM_DATA_FIELDS)
RECORD_DEFINE(stream_credit, STREAM_CREDIT_FIELDS)
RECORD_DEFINE(stream_close, STREAM_CLOSE_FIELDS)
RECORD_DEFINE(dialback_ask, DIALBACK_ASK_FIELDS)
RECORD_DEFINE(dialback_said, DIALBACK_SAID_FIELDS)
RECORD_DEFINE(circuit_ask, CIRCUIT_ASK_FIELDS)
RECORD_DEFINE(relay_terms, RELAY_TERMS_FIELDS)

static const struct msg_rule rules[MSG_TYPE_END] = {
#define M(name, number, max, cost, phase) [number] = {#name, number, max, cost, MSG_PHASE_##phase},
    MSG_TABLE(M)
#undef M
};

const struct msg_rule *msg_rule(uint8_t type)
{
    return type < MSG_TYPE_END && rules[type].name ? &rules[type] : NULL;
}
