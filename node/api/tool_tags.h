/* Calls whose parameters stand between tags, without a type: <function=NAME><parameter=KEY>VALUE</parameter></function>
 * and its kin. A value becomes what the tool's own schema says of its parameter. Pure. */
#ifndef KITH_NODE_API_TOOL_TAGS_H
#define KITH_NODE_API_TOOL_TAGS_H

#include "node/api/tool_text.h"

struct tool_finds;

enum tool_tags_kind {
    TOOL_TAGS_FUNCTION, /* <function=NAME> <parameter=KEY>..</parameter> </function>; or JSON within */
    TOOL_TAGS_INVOKE,   /* <invoke name="NAME"> <parameter name="KEY">..</parameter> </invoke> */
    TOOL_TAGS_DSML,     /* the same with <｜DSML｜ before each name, and string="true" where a value is a text */
    TOOL_TAGS_ELEMENT,  /* <function name="NAME"> <param name="KEY">..</param> </function> */
    TOOL_TAGS_KINDS
};

bool tool_tags_begin(const struct rest *r, enum tool_tags_kind kind);
/* Takes one call off; false where it is none that is whole and of a tool there is. */
bool tool_tags_take(struct tool_finds *f, struct rest *r, enum tool_tags_kind kind);
/* <arg_key>KEY</arg_key><arg_value>VALUE</arg_value> .. of the tool with that name. */
bool tool_tags_take_pairs(struct tool_finds *f, struct rest *r, struct bytes name);

#endif
