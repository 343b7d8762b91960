/* Templates: walking the tree.
 *
 * A scope is a frame; a `for` opens one for its body and a macro one for its call, `if` opens none.
 * Assignment is always to the innermost frame, so what a loop sets is gone behind it, as in Jinja;
 * only a namespace's members outlive. */
#include "inference/template/jinja.h"

#include <string.h>

/* How a statement ended. */
enum flow {
    FLOW_ON,
    FLOW_BREAK,
    FLOW_CONTINUE,
};

static struct jinja_value eval(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame);
static enum flow run(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame);

static struct jinja_value nothing(void)
{
    return jinja_undefined(bytes_of(NULL, 0));
}

static const char *shown(struct bytes name, char room[64])
{
    size_t n = name.n < 63 ? name.n : 63;
    if (n)
        memcpy(room, name.p, n);
    room[n] = 0;
    return room;
}

/* -- frames -- */

struct jinja_frame *jinja_frame_new(struct jinja *j, struct jinja_frame *outer)
{
    struct jinja_frame *frame = jinja_alloc(j, 1, sizeof *frame);
    if (!frame)
        return NULL;
    frame->names = jinja_dict_new(j);
    frame->outer = outer;
    frame->loops = outer ? outer->loops : 0;
    return frame->names ? frame : NULL;
}

void jinja_frame_put(struct jinja *j, struct jinja_frame *frame, const char *name, struct jinja_value value)
{
    if (frame)
        jinja_dict_put(j, frame->names, jinja_literal(name), value);
}

static struct jinja_value look_up(struct jinja *j, struct jinja_frame *frame, struct bytes name)
{
    for (; frame && j->err == ERR_OK; frame = frame->outer) {
        struct jinja_value *found = jinja_dict_find_text(j, frame->names, name);
        if (found)
            return *found;
    }
    return jinja_undefined(name);
}

/* -- expressions -- */

static void eval_arguments(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame,
                           struct jinja_args *args)
{
    args->n = args->named_n = 0;
    for (size_t i = 1; i < node->n && j->err == ERR_OK; i++) {
        struct jinja_value value = eval(j, node->kids[i], frame);
        if (node->names[i].n) {
            args->names[args->named_n] = node->names[i];
            args->named[args->named_n++] = value;
        } else if (args->named_n)
            jinja_fail(j, ERR_FORMAT, "an argument without a name behind one with a name");
        else
            args->values[args->n++] = value;
    }
}

static struct jinja_value eval_list(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_list *list = jinja_list_new(j);
    for (size_t i = 0; i < node->n && j->err == ERR_OK; i++)
        jinja_list_add(j, list, eval(j, node->kids[i], frame));
    if (list)
        list->tuple = node->flag;
    return jinja_list_value(list);
}

static struct jinja_value eval_dict(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_dict *dict = jinja_dict_new(j);
    for (size_t i = 0; i + 1 < node->n && j->err == ERR_OK; i += 2) {
        struct jinja_value key = eval(j, node->kids[i], frame);
        jinja_dict_put(j, dict, key, eval(j, node->kids[i + 1], frame));
    }
    return jinja_dict_value(dict);
}

static struct jinja_value loop_member(struct jinja *j, const struct jinja_loop *loop, struct bytes name)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"index", (int64_t)loop->at + 1},
        {"index0", (int64_t)loop->at},
        {"revindex", (int64_t)(loop->items->n - loop->at)},
        {"revindex0", (int64_t)(loop->items->n - loop->at) - 1},
        {"length", (int64_t)loop->items->n},
        {"depth", 1}, /* of a recursive loop, and there are none */
        {"depth0", 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (bytes_equal(name, bytes_of_text(numbers[i].name)))
            return jinja_integer(numbers[i].value);
    if (bytes_equal(name, bytes_of_text("first")))
        return jinja_flag(loop->at == 0);
    if (bytes_equal(name, bytes_of_text("last")))
        return jinja_flag(loop->at + 1 == loop->items->n);
    if (bytes_equal(name, bytes_of_text("previtem")))
        return loop->at ? loop->items->items[loop->at - 1] : jinja_undefined(name);
    if (bytes_equal(name, bytes_of_text("nextitem")))
        return loop->at + 1 < loop->items->n ? loop->items->items[loop->at + 1] : jinja_undefined(name);
    return jinja_method(j, (struct jinja_value){.kind = JINJA_LOOP, .loop = loop}, name);
}

/* x.name: a method before a key of a dict, as in Python. */
static struct jinja_value member(struct jinja *j, struct jinja_value self, struct bytes name)
{
    char room[64], of[64];
    struct jinja_value *found;
    switch (self.kind) {
    case JINJA_UNDEFINED:
        jinja_fail(j, ERR_FORMAT, "'%s' is undefined and has no '%s'", shown(self.text, of), shown(name, room));
        return nothing();
    case JINJA_LOOP:
        return loop_member(j, self.loop, name);
    case JINJA_NAMESPACE:
        found = jinja_dict_find_text(j, self.dict, name);
        return found ? *found : jinja_undefined(name);
    case JINJA_DICT: {
        struct jinja_value method = jinja_method(j, self, name);
        if (method.kind != JINJA_UNDEFINED)
            return method;
        found = jinja_dict_find_text(j, self.dict, name);
        return found ? *found : jinja_undefined(name);
    }
    default:
        return jinja_method(j, self, name);
    }
}

static struct jinja_value eval_slice(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_value self = eval(j, node->kids[0], frame), bounds[3];
    for (size_t i = 0; i < 3; i++)
        bounds[i] = node->kids[i + 1] ? eval(j, node->kids[i + 1], frame) : jinja_none();
    return jinja_slice(j, self, bounds);
}

static struct jinja_value eval_call(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_args args;
    const struct jinja_node *callee = node->kids[0];
    struct jinja_value function = eval(j, callee, frame);
    eval_arguments(j, node, frame, &args);
    char room[64];
    if (function.kind != JINJA_FUNCTION) {
        jinja_fail(j, ERR_FORMAT, "'%s' is %s and cannot be called", shown(callee->name, room),
                   jinja_kind_name(function));
        return nothing();
    }
    return jinja_call(j, function, &args);
}

/* With `text` in the place of the innermost kid that is NULL. */
static struct jinja_value eval_filter(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame,
                                      struct jinja_value text)
{
    struct jinja_args args;
    struct jinja_value self = text;
    if (!node)
        return text;
    if (node->kids[0] && node->kids[0]->op == JINJA_OP_FILTER) {
        if (jinja_enter(j))
            self = eval_filter(j, node->kids[0], frame, text);
        j->depth--;
    } else if (node->kids[0])
        self = eval(j, node->kids[0], frame);
    eval_arguments(j, node, frame, &args);
    return j->err == ERR_OK ? jinja_filter(j, node->name, self, &args) : nothing();
}

static struct jinja_value eval_test(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_args args;
    struct jinja_value self = eval(j, node->kids[0], frame);
    eval_arguments(j, node, frame, &args);
    return j->err == ERR_OK ? jinja_flag(jinja_test(j, node->name, self, &args) != node->flag) : nothing();
}

static struct jinja_value eval_negate(struct jinja *j, struct jinja_value v)
{
    if (v.kind == JINJA_REAL)
        return jinja_real(-v.real);
    return jinja_binary(j, bytes_of_text("-"), jinja_integer(0), v);
}

static struct jinja_value eval_operator(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_value a = eval(j, node->kids[0], frame);
    switch (node->op) {
    case JINJA_OP_NOT:
        return jinja_flag(!jinja_truth(a));
    case JINJA_OP_NEGATE:
        return eval_negate(j, a);
    case JINJA_OP_PLUS:
        return jinja_binary(j, bytes_of_text("+"), jinja_integer(0), a);
    case JINJA_OP_AND:
        return jinja_truth(a) ? eval(j, node->kids[1], frame) : a;
    case JINJA_OP_OR:
        return jinja_truth(a) ? a : eval(j, node->kids[1], frame);
    case JINJA_OP_CHOICE:
        if (jinja_truth(a))
            return eval(j, node->kids[1], frame);
        return node->kids[2] ? eval(j, node->kids[2], frame) : nothing();
    case JINJA_OP_BINARY: {
        struct jinja_value b = eval(j, node->kids[1], frame);
        return j->err == ERR_OK ? jinja_binary(j, node->name, a, b) : nothing();
    }
    case JINJA_OP_MEMBER:
        return member(j, a, node->name);
    default: /* JINJA_OP_INDEX */
        return jinja_subscript(j, a, eval(j, node->kids[1], frame));
    }
}

static struct jinja_value eval_any(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    switch (node->op) {
    case JINJA_OP_LITERAL:
        return node->value;
    case JINJA_OP_NAME:
        return look_up(j, frame, node->name);
    case JINJA_OP_LIST:
        return eval_list(j, node, frame);
    case JINJA_OP_DICT:
        return eval_dict(j, node, frame);
    case JINJA_OP_SLICE:
        return eval_slice(j, node, frame);
    case JINJA_OP_CALL:
        return eval_call(j, node, frame);
    case JINJA_OP_FILTER:
        return eval_filter(j, node, frame, nothing());
    case JINJA_OP_TEST:
        return eval_test(j, node, frame);
    default:
        return eval_operator(j, node, frame);
    }
}

static struct jinja_value eval(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_value value = nothing();
    if (!jinja_step(j, 0))
        return value;
    j->line = node->line;
    if (jinja_enter(j))
        value = eval_any(j, node, frame);
    j->depth--;
    return j->err == ERR_OK ? value : nothing();
}

/* -- calls -- */

/* Binds the arguments to a macro's parameters in a fresh frame. */
static void bind(struct jinja *j, const struct jinja_node *macro, const struct jinja_args *args,
                 struct jinja_frame *frame)
{
    char room[64];
    if (args->n > macro->n - 1)
        jinja_fail(j, ERR_FORMAT, "macro '%s' takes %zu arguments, not %zu", shown(macro->name, room), macro->n - 1,
                   args->n);
    for (size_t i = 1; i < macro->n && j->err == ERR_OK; i++) {
        struct jinja_value value = jinja_undefined(macro->names[i]);
        bool given = i <= args->n;
        if (given)
            value = args->values[i - 1];
        for (size_t k = 0; k < args->named_n && !given; k++)
            if (bytes_equal(args->names[k], macro->names[i])) {
                value = args->named[k];
                given = true;
            }
        if (!given && macro->kids[i])
            value = eval(j, macro->kids[i], frame);
        jinja_dict_put(j, frame->names, jinja_text(macro->names[i]), value);
    }
}

/* What a body prints, as a value. */
static struct jinja_value capture(struct jinja *j, const struct jinja_node *body, struct jinja_frame *frame)
{
    struct buf text = {0}, *outer = j->out;
    j->out = &text;
    run(j, body, frame);
    j->out = outer;
    return jinja_text(jinja_take(j, &text));
}

struct jinja_value jinja_call(struct jinja *j, struct jinja_value function, const struct jinja_args *args)
{
    if (j->err != ERR_OK)
        return nothing();
    if (function.function->native)
        return function.function->native(j, function.function->self, args);
    struct jinja_value value = nothing();
    struct jinja_frame *frame = jinja_frame_new(j, function.function->frame);
    if (jinja_enter(j) && frame) {
        frame->loops = 0;
        bind(j, function.function->macro, args, frame);
        value = capture(j, function.function->macro->kids[0], frame);
    }
    j->depth--;
    return value;
}

/* -- statements -- */

static void assign(struct jinja *j, const struct jinja_node *target, struct jinja_value value,
                   struct jinja_frame *frame)
{
    if (j->err != ERR_OK)
        return;
    if (target->op == JINJA_OP_NAME) {
        jinja_dict_put(j, frame->names, jinja_text(target->name), value);
    } else if (target->op == JINJA_OP_MEMBER) {
        struct jinja_value of = eval(j, target->kids[0], frame);
        if (of.kind == JINJA_NAMESPACE)
            jinja_dict_put(j, of.dict, jinja_text(target->name), value);
        else
            jinja_fail(j, ERR_FORMAT, "members of %s cannot be set: only those of a namespace", jinja_kind_name(of));
    } else {
        const struct jinja_list *items = jinja_items(j, value);
        if (items && items->n != target->n)
            jinja_fail(j, ERR_FORMAT, "%zu values for %zu names", items->n, target->n);
        for (size_t i = 0; i < target->n && j->err == ERR_OK; i++)
            assign(j, target->kids[i], items->items[i], frame);
    }
}

/* The items for which the condition holds. */
static const struct jinja_list *chosen(struct jinja *j, const struct jinja_node *node, const struct jinja_list *items,
                                       struct jinja_frame *frame)
{
    struct jinja_list *list = jinja_list_new(j);
    for (size_t i = 0; i < items->n && jinja_step(j, 0); i++) {
        assign(j, node->kids[0], items->items[i], frame);
        if (jinja_truth(eval(j, node->kids[2], frame)))
            jinja_list_add(j, list, items->items[i]);
        frame->names->n = 0;
    }
    return j->err == ERR_OK ? list : NULL;
}

static void run_for(struct jinja *j, const struct jinja_node *node, struct jinja_frame *outer)
{
    const struct jinja_list *items = jinja_items(j, eval(j, node->kids[1], outer));
    struct jinja_frame *frame = jinja_frame_new(j, outer);
    struct jinja_loop *loop = jinja_alloc(j, 1, sizeof *loop);
    if (frame && items && node->kids[2])
        items = chosen(j, node, items, frame);
    if (j->err != ERR_OK)
        return;
    *loop = (struct jinja_loop){items, 0};
    frame->loops++;
    bool ended = false; /* a round got to its end: where all were left early, else is run, as the reference has it */
    for (; loop->at < items->n && jinja_step(j, 0); loop->at++) {
        frame->names->n = 0; /* each round begins without the names of the last */
        assign(j, node->kids[0], items->items[loop->at], frame);
        jinja_frame_put(j, frame, "loop", (struct jinja_value){.kind = JINJA_LOOP, .loop = loop});
        enum flow flow = run(j, node->kids[3], frame);
        ended |= flow == FLOW_ON;
        if (flow == FLOW_BREAK)
            break;
    }
    if (!ended && node->kids[4])
        run(j, node->kids[4], outer);
}

static enum flow run_if(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    size_t i = 0;
    for (; i + 1 < node->n && j->err == ERR_OK; i += 2)
        if (jinja_truth(eval(j, node->kids[i], frame)))
            return run(j, node->kids[i + 1], frame);
    return i < node->n ? run(j, node->kids[i], frame) : FLOW_ON;
}

static void define(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_function *function = jinja_alloc(j, 1, sizeof *function);
    if (!function)
        return;
    function->macro = node;
    function->frame = frame;
    struct jinja_value value = {.kind = JINJA_FUNCTION, .function = function};
    jinja_dict_put(j, frame->names, jinja_text(node->name), value);
}

static enum flow run_body(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    enum flow flow = FLOW_ON;
    for (size_t i = 0; i < node->n && flow == FLOW_ON && j->err == ERR_OK; i++)
        flow = run(j, node->kids[i], frame);
    return flow;
}

static enum flow leave_loop(struct jinja *j, const struct jinja_frame *frame, enum flow flow)
{
    if (frame->loops == 0)
        jinja_fail(j, ERR_FORMAT, "break or continue outside a loop");
    return flow;
}

static enum flow run_any(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    struct jinja_value text;
    switch (node->op) {
    case JINJA_OP_DATA:
        jinja_print(j, j->out, jinja_text(node->name));
        break;
    case JINJA_OP_PRINT:
        jinja_print(j, j->out, eval(j, node->kids[0], frame));
        break;
    case JINJA_OP_BODY:
        return run_body(j, node, frame);
    case JINJA_OP_IF:
        return run_if(j, node, frame);
    case JINJA_OP_FOR:
        run_for(j, node, frame);
        break;
    case JINJA_OP_SET:
        assign(j, node->kids[0], eval(j, node->kids[1], frame), frame);
        break;
    case JINJA_OP_SET_BODY:
        text = capture(j, node->kids[1], jinja_frame_new(j, frame));
        assign(j, node->kids[0], eval_filter(j, node->kids[2], frame, text), frame);
        break;
    case JINJA_OP_FILTERED:
        text = capture(j, node->kids[1], jinja_frame_new(j, frame));
        jinja_print(j, j->out, eval_filter(j, node->kids[0], frame, text));
        break;
    case JINJA_OP_MACRO:
        define(j, node, frame);
        break;
    case JINJA_OP_DO:
        eval(j, node->kids[0], frame);
        break;
    case JINJA_OP_BREAK:
        return leave_loop(j, frame, FLOW_BREAK);
    default: /* JINJA_OP_CONTINUE */
        return leave_loop(j, frame, FLOW_CONTINUE);
    }
    return FLOW_ON;
}

static enum flow run(struct jinja *j, const struct jinja_node *node, struct jinja_frame *frame)
{
    enum flow flow = FLOW_ON;
    if (!frame || !jinja_step(j, 0))
        return flow;
    j->line = node->line;
    if (jinja_enter(j))
        flow = run_any(j, node, frame);
    j->depth--;
    return flow;
}

void jinja_run(struct jinja *j, const struct jinja_node *body, struct jinja_frame *frame)
{
    if (j->err == ERR_OK)
        run(j, body, frame);
}
