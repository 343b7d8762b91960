/* Two rows of modules a line: an upper half block where only the upper is light, and so on. Light is drawn, so that the
 * code reads on dark terminals, with the quiet zone of four modules that readers need. */
#include "cli/qr.h"

#include <qrencode.h>
#include <stdio.h>

enum { QUIET = 4 };

static int is_light(const QRcode *code, int x, int y)
{
    if (x < 0 || y < 0 || x >= code->width || y >= code->width)
        return 1;
    return !(code->data[y * code->width + x] & 1);
}

void qr_print(const char *text)
{
    static const char *const blocks[4] = {" ", "\xe2\x96\x84", "\xe2\x96\x80", "\xe2\x96\x88"};
    QRcode *code = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    if (!code)
        return;
    for (int y = -QUIET; y < code->width + QUIET; y += 2) {
        for (int x = -QUIET; x < code->width + QUIET; x++)
            fputs(blocks[is_light(code, x, y) * 2 + is_light(code, x, y + 1)], stdout);
        putchar('\n');
    }
    QRcode_free(code);
}
