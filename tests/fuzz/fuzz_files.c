/* Files of the node that a failing disk or a stranger may have changed: the log of consensus, LevelDB's logs before it
 * opens them, the signer's file, the head of a list of leaves, the address book. The first byte chooses one. */
#include "chain/kv_tail.h"
#include "chain/signer.h"
#include "node/blobs/blob_disk.h"
#include "node/consensus/wal.h"
#include "p2p/book.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A host with one file, which is this. */
struct one_file {
    struct host host;
    struct host_file file;
    struct buf bytes;
};

static struct one_file *the_file;

static enum err file_get(struct host *h, const char *path, size_t max, struct buf *out, struct note *note)
{
    (void)h, (void)path, (void)max, (void)note;
    buf_add(out, the_file->bytes.p, the_file->bytes.n);
    return ERR_OK;
}

static enum err file_open(struct host *h, const char *path, enum host_open how, struct host_file **out,
                          struct note *note)
{
    (void)h, (void)path, (void)how, (void)note;
    *out = &the_file->file;
    return ERR_OK;
}

static void file_close(struct host_file *f)
{
    (void)f;
}

static enum err file_append(struct host_file *f, const void *p, size_t n)
{
    (void)f;
    buf_add(&the_file->bytes, p, n);
    return ERR_OK;
}

static enum err file_cut(struct host_file *f, uint64_t n)
{
    (void)f;
    CHECK(n <= the_file->bytes.n);
    the_file->bytes.n = n;
    return ERR_OK;
}

static enum err file_sync(struct host_file *f)
{
    (void)f;
    return ERR_OK;
}

static const struct host_ops ops = {.sync = file_sync,
                                    .read = file_get,
                                    .open = file_open,
                                    .close = file_close,
                                    .append = file_append,
                                    .cut = file_cut};

static bool count_entry(void *arg, struct bytes entry)
{
    unsigned *n = arg;
    ++*n;
    return entry.n < 1000; /* some are unknown: the rest is then cut off */
}

/* Whatever it holds, an entry that is appended is there at the next opening, behind all that was read. */
static void try_wal(struct bytes raw)
{
    struct one_file f = {.host.ops = &ops, .file.ops = &ops};
    struct wal *w;
    unsigned first = 0, second = 0;
    the_file = &f;
    buf_add(&f.bytes, raw.p, raw.n);
    CHECK(wal_open(&f.host, "wal", count_entry, &first, &w, NULL) == ERR_OK);
    wal_append(w, bytes_of("entry", 5));
    wal_close(w);
    unsigned before = first;
    CHECK(wal_open(&f.host, "wal", count_entry, &second, &w, NULL) == ERR_OK);
    wal_close(w);
    CHECK(second == before + 1 || second == before); /* an unknown one was counted and cut off */
    buf_clear(&f.bytes);
}

static void try_log(struct bytes raw)
{
    size_t at, again;
    enum kv_tail tail = kv_tail_find(raw, &at);
    CHECK(at <= raw.n);
    if (tail == KV_TAIL_TORN) /* cut there, it is whole */
        CHECK(kv_tail_find(bytes_of(raw.p, at), &again) == KV_TAIL_WHOLE && again == at);
}

static void try_signer(struct bytes raw)
{
    struct signer s, mended;
    uint8_t file[SIGNER_FILE_SIZE];
    if (signer_get_file(&s, raw) != ERR_OK)
        return;
    memcpy(file, raw.p, sizeof file);
    bool changed = signer_mend_file(file);
    (void)changed;
    CHECK(signer_get_file(&mended, bytes_of(file, sizeof file)) == ERR_OK && signer_equal(&s, &mended));
    CHECK(!signer_mend_file(file));
}

static void try_leaves(struct bytes raw)
{
    struct blob_head h;
    uint8_t again[BLOB_HEAD_SIZE];
    if (raw.n < BLOB_HEAD_SIZE || !blob_head_get(raw.p, &h))
        return;
    blob_head_put(again, &h);
    CHECK(memcmp(again, raw.p, sizeof again) == 0);
}

static void try_book(struct bytes raw)
{
    static const uint8_t key[32] = {1};
    struct book *a = book_new(key), *b = book_new(key);
    struct buf out = {0};
    bool ok = book_get(a, raw); /* what was well formed until then is in it either way */
    book_put(a, &out);
    CHECK(book_get(b, bytes_of_buf(&out)) && book_count(b) == book_count(a));
    (void)ok;
    buf_clear(&out);
    book_free(a);
    book_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bytes) = {try_wal, try_log, try_signer, try_leaves, try_book};
    if (size > 0)
        tries[data[0] % (sizeof tries / sizeof *tries)](bytes_of(data + 1, size - 1));
    return 0;
}
