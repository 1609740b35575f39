/* Notes what a program asks the disk for, in order: put before its C library (LD_PRELOAD), it appends a line to $SYNCS for each file
 * that is synced and each that gets another name. Tests read it: what a power loss would find is otherwise not to be seen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *what, const char *from, const char *to) {
    const char *path = getenv("SYNCS");
    char line[8192];
    int log, length;
    if (path == NULL || (log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0) return;
    length = snprintf(line, sizeof line, "%s\t%s\t%s\n", what, from, to);
    if (length > 0 && write(log, line, (size_t)length) != length) abort();
    close(log);
}

static void note_file(int file) {
    char link[64], path[4096];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    note("sync", path, "");
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int file) {
    int done = NEXT(fsync)(file);
    if (done == 0) note_file(file);
    return done;
}

int fdatasync(int file) {
    int done = NEXT(fdatasync)(file);
    if (done == 0) note_file(file);
    return done;
}

int rename(const char *from, const char *to) {
    int done = NEXT(rename)(from, to);
    if (done == 0) note("name", from, to);
    return done;
}

int link(const char *from, const char *to) {
    int done = NEXT(link)(from, to);
    if (done == 0) note("name", from, to);
    return done;
}

int linkat(int at, const char *from, int there, const char *to, int flags) {
    int done = NEXT(linkat)(at, from, there, to, flags);
    if (done == 0) note("name", from, to);
    return done;
}
