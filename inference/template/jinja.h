/* Inside the template interpreter. Text becomes tokens (jinja_lex.c), tokens a tree (jinja_expression.c,
 * jinja_statement.c), the tree is walked (jinja_eval.c), calling filters, tests, methods and functions (jinja_filter.c,
 * jinja_number.c, jinja_test.c, jinja_method.c, jinja_list.c) on values (jinja_value.c, jinja_text.c).
 *
 * Everything made on the way lives in one arena and dies with the rendering. Failure is sticky: the
 * first one is noted in `struct jinja`, and from then on every function returns at once with an undefined
 * value, so nobody needs to check before it allocates or loops. */
#ifndef KITH_INFERENCE_JINJA_H
#define KITH_INFERENCE_JINJA_H

#include "base/bytes.h"
#include "base/json.h"
#include "base/limits.h"

/* -- the interpreter's state -- */

struct jinja_chunk;

struct jinja {
    enum err err; /* ERR_OK until something failed */
    struct note *note;
    uint32_t line; /* where in the template we are, for the note */
    uint32_t steps;
    unsigned depth;
    struct jinja_chunk *chunks;
    size_t memory;
    struct buf *out; /* where printed text goes: the prompt, or a block being captured */
    int64_t clock_s;
};

/* Notes the first failure, with the line. Returns false. */
bool jinja_fail(struct jinja *j, enum err e, const char *format, ...) PRINTF_LIKE(3, 4);
/* One step, and one more for each TEMPLATE_STEP_BYTES that it looks at. False once something failed. */
bool jinja_step(struct jinja *j, size_t bytes);
/* Going down one level; false if that is too deep. Going up, also after false, is `j->depth--`. */
bool jinja_enter(struct jinja *j);
/* Zeroed memory of the arena; NULL if the limit is reached, which is then noted. */
void *jinja_alloc(struct jinja *j, size_t count, size_t size);
struct bytes jinja_copy(struct jinja *j, struct bytes text);
void jinja_clear(struct jinja *j);

/* -- values -- */

enum jinja_kind {
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_FLAG,
    JINJA_INTEGER,
    JINJA_REAL,
    JINJA_TEXT,
    JINJA_LIST,
    JINJA_DICT,
    JINJA_NAMESPACE, /* a dict whose members `set` may change */
    JINJA_LOOP,
    JINJA_FUNCTION,
};

struct jinja_list;
struct jinja_dict;
struct jinja_loop;
struct jinja_function;

struct jinja_value {
    enum jinja_kind kind;
    union {
        bool flag;
        int64_t integer;
        double real;
        struct bytes text; /* UTF-8; for UNDEFINED the name that was looked for */
        const struct jinja_list *list;
        struct jinja_dict *dict;
        const struct jinja_loop *loop;
        const struct jinja_function *function;
    };
};

struct jinja_list {
    struct jinja_value *items;
    size_t n, room;
    bool tuple;
};

/* In the order of insertion. */
struct jinja_entry {
    struct jinja_value key, value;
};
struct jinja_dict {
    struct jinja_entry *items;
    size_t n, room;
};

struct jinja_loop {
    const struct jinja_list *items;
    size_t at;
};

struct jinja_args {
    struct jinja_value values[TEMPLATE_ARGS_MAX];
    size_t n;
    struct bytes names[TEMPLATE_ARGS_MAX]; /* of named arguments */
    struct jinja_value named[TEMPLATE_ARGS_MAX];
    size_t named_n;
};

typedef struct jinja_value (*jinja_native)(struct jinja *j, struct jinja_value self, const struct jinja_args *args);

struct jinja_node;
struct jinja_frame;

/* Native (a method bound to `self`, or a global function), or a macro. */
struct jinja_function {
    jinja_native native;
    struct jinja_value self;
    const struct jinja_node *macro;
    struct jinja_frame *frame; /* where the macro was defined */
};

struct jinja_value jinja_undefined(struct bytes name);
struct jinja_value jinja_none(void);
struct jinja_value jinja_flag(bool flag);
struct jinja_value jinja_integer(int64_t integer);
struct jinja_value jinja_real(double real);
struct jinja_value jinja_text(struct bytes text);
struct jinja_value jinja_literal(const char *text);

/* A growing list or dict; NULL when memory is used up. */
struct jinja_list *jinja_list_new(struct jinja *j);
void jinja_list_add(struct jinja *j, struct jinja_list *list, struct jinja_value item);
struct jinja_value jinja_list_value(const struct jinja_list *list);
struct jinja_dict *jinja_dict_new(struct jinja *j);
/* Replaces the value of a key that is there. */
void jinja_dict_put(struct jinja *j, struct jinja_dict *dict, struct jinja_value key, struct jinja_value value);
/* NULL if the key is absent. */
struct jinja_value *jinja_dict_find(struct jinja *j, const struct jinja_dict *dict, struct jinja_value key);
struct jinja_value *jinja_dict_find_text(struct jinja *j, const struct jinja_dict *dict, struct bytes key);
struct jinja_value jinja_dict_value(struct jinja_dict *dict);
/* Borrows the texts. */
struct jinja_value jinja_from_json(struct jinja *j, const json_t *json);

const char *jinja_kind_name(struct jinja_value v);
bool jinja_is(struct jinja_value v, const char *text); /* a text, and this one */
bool jinja_is_number(struct jinja_value v);
double jinja_to_real(struct jinja_value v);
bool jinja_truth(struct jinja_value v);
bool jinja_equal(struct jinja *j, struct jinja_value a, struct jinja_value b);
/* <0, 0, >0; fails where the two have no order. */
int jinja_compare(struct jinja *j, struct jinja_value a, struct jinja_value b);
bool jinja_contains(struct jinja *j, struct jinja_value container, struct jinja_value item);
/* Everything that a `for` can walk over, as a list: items, keys, characters. Fails on what it cannot. */
const struct jinja_list *jinja_items(struct jinja *j, struct jinja_value v);
/* Characters, items or members; fails on what has no length. */
int64_t jinja_length(struct jinja *j, struct jinja_value v);

/* -- texts (jinja_text.c) -- */

/* As Python's str() and repr() print it. */
void jinja_print(struct jinja *j, struct buf *out, struct jinja_value v);
struct bytes jinja_to_text(struct jinja *j, struct jinja_value v);
struct jinja_json_style {
    int64_t indent; /* -1: one line */
    bool sort_keys, ascii;
    struct bytes comma, colon;
};
void jinja_print_json(struct jinja *j, struct buf *out, struct jinja_value v, const struct jinja_json_style *style);
/* Takes a buffer's content into the arena and clears it. */
struct bytes jinja_take(struct jinja *j, struct buf *b);
struct bytes jinja_join(struct jinja *j, struct bytes a, struct bytes b);
/* White space as the reference's strip() and isspace() know it. */
bool jinja_is_space(uint32_t c);
/* Less white space, or characters of `set` if it is not NULL, at either end. */
struct bytes jinja_strip(struct bytes text, const struct bytes *set, bool left, bool right);
size_t jinja_text_length(struct bytes text);
/* Bytes of the first line, and in *end those of its end, 0 where the text stops without one. */
size_t jinja_text_line(struct bytes text, size_t *end);
/* Bytes before character `index` (at most the length). */
size_t jinja_text_offset(struct bytes text, size_t index);
/* Position of the first occurrence at or behind `from`, or SIZE_MAX. */
size_t jinja_text_find(struct bytes text, struct bytes what, size_t from);
struct bytes jinja_text_replace(struct jinja *j, struct bytes text, struct bytes old, struct bytes new, int64_t count);
/* Python's strftime of UTC, with the conversions that do not depend on a locale. */
struct bytes jinja_time(struct jinja *j, struct bytes format, int64_t clock_s);

/* -- tokens -- */

enum jinja_token_kind {
    JINJA_END,
    JINJA_DATA,        /* text between tags */
    JINJA_PRINT_BEGIN, /* {{ */
    JINJA_PRINT_END,
    JINJA_BLOCK_BEGIN, /* {% */
    JINJA_BLOCK_END,
    JINJA_NAME,
    JINJA_STRING,
    JINJA_NUMBER_INTEGER,
    JINJA_NUMBER_REAL,
    JINJA_OPERATOR, /* `text` is one of + - ** * // / % ~ == != <= < >= > = . : | , ( ) [ ] { } */
};

struct jinja_token {
    enum jinja_token_kind kind;
    uint32_t line;
    struct bytes text; /* strings without quotes and escapes */
    int64_t integer;
    double real;
};

/* The whole template; the last token is JINJA_END. Empty when it failed. */
struct jinja_tokens {
    struct jinja_token *items;
    size_t n, room;
};
void jinja_lex(struct jinja *j, struct bytes source, struct jinja_tokens *out);

/* -- the tree -- */

enum jinja_op {
    /* expressions */
    JINJA_OP_LITERAL, /* value */
    JINJA_OP_NAME,    /* name */
    JINJA_OP_LIST,    /* kids; flag: a tuple */
    JINJA_OP_DICT,    /* kids: key, value, key, value ... */
    JINJA_OP_NOT,     /* kids[0] */
    JINJA_OP_NEGATE,  /* kids[0] */
    JINJA_OP_PLUS,    /* kids[0] */
    JINJA_OP_BINARY,  /* kids[0] name kids[1] */
    JINJA_OP_AND,     /* */
    JINJA_OP_OR,      /* */
    JINJA_OP_CHOICE,  /* kids: condition, then, else (may be NULL) */
    JINJA_OP_MEMBER,  /* kids[0].name */
    JINJA_OP_INDEX,   /* kids[0][kids[1]] */
    JINJA_OP_SLICE,   /* kids[0][kids[1]:kids[2]:kids[3]], each may be NULL */
    JINJA_OP_CALL,    /* kids[0](kids[1..]); names beside kids for named arguments */
    JINJA_OP_FILTER,  /* kids[0]|name(kids[1..]); over a captured body the innermost kids[0] is NULL */
    JINJA_OP_TEST,    /* kids[0] is name(kids[1..]); flag: is not */
    /* statements */
    JINJA_OP_DATA,     /* name: the text */
    JINJA_OP_PRINT,    /* kids[0] */
    JINJA_OP_BODY,     /* kids, one after the other */
    JINJA_OP_IF,       /* kids: condition, body, condition, body, ..., body of else */
    JINJA_OP_FOR,      /* kids: targets, what, condition or NULL, body, body of else or NULL */
    JINJA_OP_SET,      /* kids: target, value */
    JINJA_OP_SET_BODY, /* kids: target, body, filters or NULL */
    JINJA_OP_MACRO,    /* name; kids: body, then the parameters' defaults (may be NULL); names likewise */
    JINJA_OP_DO,       /* kids[0], its value dropped */
    JINJA_OP_FILTERED, /* kids: filters, body */
    JINJA_OP_BREAK,
    JINJA_OP_CONTINUE,
};

struct jinja_node {
    enum jinja_op op;
    uint32_t line;
    bool flag;
    struct bytes name;
    struct jinja_value value;
    const struct jinja_node **kids;
    struct bytes *names; /* [n], empty for positional arguments; NULL where there are none */
    size_t n, room;
};

/* NULL when it failed. */
const struct jinja_node *jinja_parse(struct jinja *j, const struct jinja_tokens *tokens);

/* -- running -- */

/* Variables of one scope; looked up from the innermost outwards. */
struct jinja_frame {
    struct jinja_dict *names;
    struct jinja_frame *outer;
    unsigned loops; /* how many `for` are around */
};
struct jinja_frame *jinja_frame_new(struct jinja *j, struct jinja_frame *outer);
void jinja_frame_put(struct jinja *j, struct jinja_frame *frame, const char *name, struct jinja_value value);
/* Walks the tree; prints to j->out. */
void jinja_run(struct jinja *j, const struct jinja_node *body, struct jinja_frame *frame);
struct jinja_value jinja_call(struct jinja *j, struct jinja_value function, const struct jinja_args *args);
/* x.name and x['name'] for what has no such member of its own: methods. Undefined if there is none. */
struct jinja_value jinja_method(struct jinja *j, struct jinja_value self, struct bytes name);
/* x[key] with Jinja's leniency: undefined if there is none. */
struct jinja_value jinja_subscript(struct jinja *j, struct jinja_value self, struct jinja_value key);
struct jinja_value jinja_slice(struct jinja *j, struct jinja_value self, const struct jinja_value bounds[3]);
struct jinja_value jinja_binary(struct jinja *j, struct bytes op, struct jinja_value a, struct jinja_value b);
struct jinja_value jinja_filter(struct jinja *j, struct bytes name, struct jinja_value self,
                                const struct jinja_args *args);
/* Filters on numbers (jinja_number.c). */
struct jinja_value jinja_number_int(struct jinja *j, struct jinja_value self, const struct jinja_args *args);
struct jinja_value jinja_number_float(struct jinja *j, struct jinja_value self, const struct jinja_args *args);
struct jinja_value jinja_number_abs(struct jinja *j, struct jinja_value self, const struct jinja_args *args);
struct jinja_value jinja_number_round(struct jinja *j, struct jinja_value self, const struct jinja_args *args);
bool jinja_test(struct jinja *j, struct bytes name, struct jinja_value self, const struct jinja_args *args);
/* Methods (jinja_list.c). */
struct jinja_value jinja_list_append(struct jinja *j, struct jinja_value self, const struct jinja_args *args);
struct jinja_value jinja_list_pop(struct jinja *j, struct jinja_value self, const struct jinja_args *args);
/* Defines range, namespace, dict, raise_exception, strftime_now. */
void jinja_functions(struct jinja *j, struct jinja_frame *frame);

/* Argument `index`, or the one of that name, or `fallback`. */
struct jinja_value jinja_arg(const struct jinja_args *args, size_t index, const char *name,
                             struct jinja_value fallback);
/* The same, of one kind; fails if it is another. */
struct bytes jinja_arg_text(struct jinja *j, const struct jinja_args *args, size_t index, const char *name,
                            const char *fallback);
int64_t jinja_arg_integer(struct jinja *j, const struct jinja_args *args, size_t index, const char *name,
                          int64_t fallback);

#endif
