/* Failures as answers, in OpenAI's form. */
#include "node/http/http.h"

#include "base/codec.h"

#include <string.h>

#define HTTP_RETRY_AFTER_S "1" /* of 429: jobs are short, and a slot is soon free */

static const char *error_type(unsigned status)
{
    return status >= 500   ? "server_error"
           : status == 402 ? "insufficient_quota"
           : status == 429 ? "rate_limit_error"
                           : "invalid_request_error";
}

void http_put_error(struct buf *b, unsigned status, const char *code, const char *param, const char *message)
{
    buf_add_text(b, "{\"error\":{\"message\":");
    codec_json_string(b, message, strlen(message));
    buf_add_format(b, ",\"type\":\"%s\",\"param\":", error_type(status));
    if (param)
        codec_json_string(b, param, strlen(param));
    else
        buf_add_text(b, "null");
    buf_add_format(b, ",\"code\":\"%s\"}}", code);
}

void http_reply_fault(struct http_request *r, unsigned status, const char *code, const char *param, const char *message)
{
    struct buf b = {0};
    http_put_error(&b, status, code, param, message);
    if (status == 429)
        http_add_header(r, "Retry-After", HTTP_RETRY_AFTER_S);
    http_reply(r, status, "application/json", bytes_of_buf(&b));
    buf_clear(&b);
}

void http_reply_error(struct http_request *r, unsigned status, const char *code, const char *message)
{
    http_reply_fault(r, status, code, NULL, message);
}
