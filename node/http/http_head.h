/* Whether the head of a request can be read in one way only (RFC 9112). What does not say plainly where fields and the
 * body end is refused before the body is read, so that no two readers on the way see two different requests.
 *
 * libmicrohttpd takes more than that, and hides some of it: a name keeps its blanks, a line that continues another is
 * added to the other's name, what stands behind a NUL is forgotten, an empty name ends the head, the first of two
 * lengths counts. But it cuts its fields out of the bytes as they came, with zeros in place of the colon and of the
 * line's end. So a field must also stand where it does if it is a line of its own: name, colon, blanks, value, CR LF,
 * the next name, and behind the last one the empty line and the head's end: otherwise NULs could stand for line ends,
 * and hide the rest of a line. (NULs in place of CRs, before an LF, leave no trace and hide nothing.) A libmicrohttpd
 * that kept fields elsewhere would have every request refused, never a doubtful one let in. */
#ifndef KITH_NODE_HTTP_HEAD_H
#define KITH_NODE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

struct http_head {
    const char *fault; /* what is wrong first, in words for the client, or NULL */
    const char *next;  /* where the next field must begin; NULL before the first */
    bool has_length, has_encoding;
    unsigned seen; /* bits: of the fields that may be given once */
};

/* A request line as it stands in the server's buffer: method, target and version with zeros for the blanks between. */
struct http_line {
    const char *method, *target, *target_end, *version; /* the target up to a NUL or a blank */
    bool has_zero;                                      /* %00 stood in the target before it was decoded */
};

/* Before any field. A %00 would end the path for us, and be part of it for whoever let it pass. */
void http_head_line(struct http_head *h, const struct http_line *l);

/* The next field. name[name_n] was the colon; value[value_n] and the byte behind it can be read. */
void http_head_add(struct http_head *h, const char *name, size_t name_n, const char *value, size_t value_n);
/* Behind the last one; `end` is behind the empty line, as the server counted the head's bytes. */
void http_head_end(struct http_head *h, const char *end);

#endif
