/* The schema of an answer that has to be a call of a tool. */
#ifndef KITH_NODE_TOOL_SCHEMA_H
#define KITH_NODE_TOOL_SCHEMA_H

#include "base/json.h"

/* Of {"name":NAME,"arguments":{..}} with one of the tools, or with the one that is called `named` (NULL: any); each is
 * {"type":"function","function":{"name":..}}. The caller's (json_decref); NULL if none is called so. */
json_t *tool_schema_of_call(const json_t *tools, const char *named);
/* Of the arguments of the one that is called `named`, alone. The caller's (json_decref); NULL if none is called so. */
json_t *tool_schema_of_arguments(const json_t *tools, const char *named);

#endif
