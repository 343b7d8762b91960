/* The pages in a browser: the files of web/, compiled in. They hold no data: whoever may connect gets them, and what
 * they show they ask of the API like any other client.
 *
 * The browser is told to take everything from here and nothing from elsewhere, to run no script that stands in a page,
 * and to let no other page frame this one or hold on to its window. Files may be kept, and are asked for again by their
 * tag, so that a new kithd has no old pages. */
#include "node/api/api.h"

#include <string.h>

struct page {
    const char *name; /* below web/ */
    const uint8_t *p;
    size_t n;
    const char *tag; /* with its quotes */
};

#include "pages.inc"

static const struct {
    const char *name, *value;
} headers[] = {
    {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cache-Control", "no-cache"},
};

static const struct {
    const char *end, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {"", "text/plain; charset=utf-8"},
};

static const char *type_of(const char *name)
{
    size_t i = 0, n = strlen(name);
    while (strlen(types[i].end) > n || strcmp(name + n - strlen(types[i].end), types[i].end) != 0)
        i++;
    return types[i].type;
}

static const struct page *find(const char *name)
{
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(pages[i].name, name) == 0)
            return &pages[i];
    return NULL;
}

/* RFC 9110, section 13.1.2: a list of tags, or a star. A tag is so long that it stands in nothing else. */
static bool is_known(const struct http_request *r, const char *tag)
{
    const char *known = http_header(r, "If-None-Match");
    return known && (strcmp(known, "*") == 0 || strstr(known, tag));
}

void api_page_get(struct api_call *c)
{
    struct http_request *r = c->request;
    const struct page *page = find(*c->rest ? c->rest : "index.html");
    if (!page) {
        http_reply_error(r, 404, "not_found", "there is no such file: the pages begin at /");
        return;
    }
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        http_add_header(r, headers[i].name, headers[i].value);
    http_add_header(r, "ETag", page->tag);
    bool known = is_known(r, page->tag);
    http_reply(r, known ? 304 : 200, type_of(page->name), known ? (struct bytes){0} : bytes_of(page->p, page->n));
}
