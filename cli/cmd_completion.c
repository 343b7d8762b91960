/* What is made from the table of commands, but for help itself: completion for bash, and a man page. */
#include "cli/commands.h"
#include "cli/out.h"

#include <stdio.h>
#include <string.h>

/* The n-th command whose name is `group` and one word more, or (NULL) any; what of its name is behind that. NULL: no
 * more. */
static const struct command *next_of(const char *group, unsigned *at, const char **word)
{
    size_t n = group ? strlen(group) : 0;
    for (const struct command *c; (c = commands_at(*at)) != NULL;) {
        ++*at;
        if (!group || (strncmp(c->name, group, n) == 0 && c->name[n] == ' ')) {
            *word = group ? c->name + n + 1 : c->name;
            return c;
        }
    }
    return NULL;
}

/* -- completion -- */

static void print_names(const struct option_spec *table, bool with_value, const char *between)
{
    bool is_first = true;
    for (; table->name; table++)
        if (!with_value || table->value) {
            printf("%s--%s", is_first ? "" : between, table->name);
            is_first = false;
        }
}

/* The first word of a name, where the command before it began otherwise: groups stand together. */
static bool begins_group(unsigned at, char first[64])
{
    const struct command *c = commands_at(at), *before = at ? commands_at(at - 1) : NULL;
    size_t n = strcspn(c->name, " ");
    snprintf(first, 64, "%.*s", (int)n, c->name);
    return !before || strcspn(before->name, " ") != n || strncmp(before->name, c->name, n) != 0;
}

static void print_groups(void)
{
    char first[64];
    const char *word;
    for (unsigned i = 0; commands_at(i); i++) {
        unsigned at = 0;
        if (!begins_group(i, first) || !strchr(commands_at(i)->name, ' '))
            continue;
        printf("    ' %s '*) list='", first);
        while (next_of(first, &at, &word))
            printf("%s ", word);
        printf("' ;;\n");
    }
}

/* Words behind the program's name, without options and their values, decide what may follow. */
int cmd_completion(const struct cli *cli, const struct args *args)
{
    char first[64];
    (void)args;
    if (cli->json)
        return cli_fail(cli, CLI_USAGE, "`kith completion` prints a script, not JSON");
    printf("_kith() {\n    local cur=${COMP_WORDS[COMP_CWORD]} at=' ' list w skip=\n"
           "    for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
           "        case $skip$w in\n        ");
    print_names(commands_globals(), true, "|");
    printf(") skip=1 ;;\n        -*) ;;\n        1*) skip= ;;\n        *) at=\"$at$w \" ;;\n        esac\n    done\n"
           "    case $at in\n");
    for (unsigned i = 0; commands_at(i); i++) {
        printf("    ' %s '*) list='", commands_at(i)->name);
        print_names(commands_at(i)->options, false, " ");
        printf("' ;;\n");
    }
    print_groups();
    printf("    ' ') list='");
    for (unsigned i = 0; commands_at(i); i++)
        if (begins_group(i, first))
            printf("%s ", first);
    printf("' ;;\n    *) list= ;;\n    esac\n    case $cur in\n    -*) list=\"$list ");
    print_names(commands_globals(), false, " ");
    printf("\" ;;\n    esac\n    COMPREPLY=($(compgen -W \"$list\" -- \"$cur\"))\n}\n"
           "complete -o default -F _kith kith\n");
    return CLI_DONE;
}

/* -- the man page -- */

/* As roff has it: a backslash and a leading dot or quote mean something there. */
static void print_roff(const char *text)
{
    if (*text == '.' || *text == '\'')
        printf("\\&");
    for (; *text; text++)
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else
            putchar(*text);
}

static void print_roff_options(const struct option_spec *table)
{
    for (; table->name; table++) {
        printf(".TP\n\\fB\\-\\-");
        print_roff(table->name);
        printf("\\fR%s", table->value ? " " : "");
        print_roff(table->value ? table->value : "");
        printf("\n");
        print_roff(table->help);
        if (table->preset && *table->preset) {
            printf(" (");
            print_roff(table->preset);
            printf(")");
        }
        printf("\n");
    }
}

void print_man(void)
{
    const char *group = "", *word;
    unsigned at = 0;
    printf(".TH KITH 1\n.SH NAME\nkith \\- ask open models, lend a machine to others, be paid for it\n"
           ".SH SYNOPSIS\n.B kith\n.I COMMAND\n[\\fIOPTIONS\\fR]\n");
    for (const struct command *c; (c = next_of(NULL, &at, &word)) != NULL; group = c->group) {
        if (strcmp(group, c->group) != 0) {
            printf(".SH ");
            print_roff(c->group);
            printf("\n");
        }
        printf(".SS kith ");
        print_roff(c->name);
        printf("%s", *c->words ? " " : "");
        print_roff(c->words);
        printf("\n");
        print_roff(c->help);
        printf("\n");
        print_roff_options(c->options);
    }
    printf(".SH FOR EVERY COMMAND\n");
    print_roff_options(commands_globals());
    printf(".SH EXIT STATUS\n%s.\n", COMMANDS_EXIT_TEXT);
}
