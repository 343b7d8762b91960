/* /openapi.json: the API described for programs (node/api/openapi.json, compiled in). */
#include "node/api/api.h"

static const uint8_t text[] = {
#include "openapi.inc"
};

struct bytes api_openapi_text(void)
{
    return bytes_of(text, sizeof text);
}

void api_openapi(struct api_call *c)
{
    http_reply(c->request, 200, "application/json", api_openapi_text());
}
