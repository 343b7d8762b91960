/* An address as a picture: for the page of the wallet, since a script that draws one is longer than this. */
#include "node/api/api.h"
#include "node/node.h"
#include "wallet/address.h"

#include <qrencode.h>

enum { QUIET = 4 }; /* light modules around it, which readers need */

/* Dark modules, each run of a row one stroke of the path. */
static void put_modules(struct buf *b, const QRcode *code)
{
    for (int y = 0; y < code->width; y++)
        for (int x = 0, run; x < code->width; x += run ? run : 1) {
            run = 0;
            while (x + run < code->width && (code->data[y * code->width + x + run] & 1))
                run++;
            if (run)
                buf_add_format(b, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, run, run);
        }
}

void api_qr_get(struct api_call *c)
{
    struct note note;
    struct pubkey key;
    char text[ADDRESS_TEXT_ROOM];
    struct buf b = {0};
    if (!api_account_parse(c->node, c->rest, &key, &note)) {
        api_fail(c->request, ERR_FORMAT, &note);
        return;
    }
    address_put(node_prefix(c->node), &key, text);
    QRcode *code = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    if (!code) {
        http_reply_error(c->request, 500, "internal", "the code of the address cannot be drawn");
        return;
    }
    int side = code->width + 2 * QUIET;
    buf_add_format(&b,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
                   "<path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path d=\"",
                   side, side, side, side);
    put_modules(&b, code);
    buf_add_text(&b, "\"/></svg>");
    QRcode_free(code);
    http_reply(c->request, 200, "image/svg+xml", bytes_of_buf(&b));
    buf_clear(&b);
}
