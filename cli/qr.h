/* A QR code of a text, in half blocks on the terminal. */
#ifndef KITH_CLI_QR_H
#define KITH_CLI_QR_H

/* Prints nothing when the text is too long for a code. */
void qr_print(const char *text);

#endif
