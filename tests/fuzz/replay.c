/* Feeds every file of a corpus directory to a fuzz target, for builds without libFuzzer. */
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    unsigned count = 0;
    static const uint8_t nothing[1];
    LLVMFuzzerTestOneInput(nothing, 0);
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
            struct buf path = {0}, content = {0};
            struct note note;
            buf_add_format(&path, "%s/%s", argv[i], entry->d_name);
            if (entry->d_name[0] != '.' && file_read(buf_text(&path), 64u << 20, &content, &note) == ERR_OK) {
                LLVMFuzzerTestOneInput(content.n ? content.p : nothing, content.n);
                count++;
            }
            buf_clear(&path);
            buf_clear(&content);
        }
        if (dir)
            closedir(dir);
    }
    printf("%s: %u inputs\n", argv[0], count);
    return 0;
}
