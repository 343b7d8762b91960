/* What a child process says on its standard error: into a pipe of ours instead of the terminal or log of its parent,
 * since a child that is not itself any more would steer the one and forge the other. It is read when the child is gone,
 * so a pipe full is all that there can be. */
#ifndef KITH_BASE_LAST_WORDS_H
#define KITH_BASE_LAST_WORDS_H

#define LAST_WORDS_ROOM 400

/* Our end; *child is to be the child's standard error, and closed here once it is started. Both are closed by exec. -1
 * where there is no pipe to be had; *child is then our own. Under a sanitizer, too: its reports are long. */
int last_words_open(int *child);
/* Closes the child's end on our side. */
void last_words_start(int child);
/* Closes ours. The end of what was said as one line of plain ASCII without quotation marks, so that it can stand
 * between those of a log line; "" for nothing. */
void last_words_take(int fd, char out[LAST_WORDS_ROOM]);

#endif
