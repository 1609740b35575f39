/* Ends a program in the middle: put before its C library (LD_PRELOAD), it counts what the program asks of files below $CRASH_ROOT and of
 * the network, and kills the program at one of these calls as kill -9 would. Which one is a number in the file $CRASH/PROGRAM.next, and
 * each start takes the next: call NUMBER / 2, before it if the number is even; if it is odd after it, or when half of what is written is
 * written. If there is a file $CRASH/PROGRAM.only with a call and a part of a path, only such calls are counted; with a third word, only
 * those of them before which that call was the last on a file. While there is a file $CRASH/PROGRAM.hold nothing is counted. From
 * $CRASH/PROGRAM.last on nothing happens any more; with $CRASH/PROGRAM.down the numbers run from there to 0. What died where is a line in
 * $CRASH/deaths: program, number, before|half|after, call, path, what is written, the call before on a file and its path, how often
 * something was sent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define TEXT 512

static char root[TEXT], folder[TEXT], program[64];
static long number = -1; /* of the point to die at; -1: never */
static long calls, sent;
static int held;
static char only_call[16], only_path[64], only_after[16];
static char before_call[16], before_path[TEXT];
static int guard; /* of the two texts */

static void in_folder(char *path, const char *what) { snprintf(path, 2 * TEXT, "%s/%s.%s", folder, program, what); }

static long read_number(const char *what) {
    char path[2 * TEXT], text[32];
    int file;
    ssize_t length;
    in_folder(path, what);
    if ((file = open(path, O_RDONLY | O_CLOEXEC)) < 0) return -1;
    length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return -1;
    text[length] = 0;
    return atol(text);
}

/* Takes the next number; starts beside each other get different ones. */
static void take_number(void) {
    char path[2 * TEXT], text[32];
    int file, length;
    ssize_t got;
    long last = read_number("last");
    in_folder(path, "next");
    if ((file = open(path, O_RDWR | O_CLOEXEC)) < 0) return;
    flock(file, LOCK_EX);
    got = syscall(SYS_pread64, file, text, sizeof text - 1, 0L);
    if (got > 0) {
        text[got] = 0;
        number = atol(text);
        length = snprintf(text, sizeof text, "%ld\n", number + 1);
        if (syscall(SYS_pwrite64, file, text, (size_t)length, 0L) != length) abort();
    }
    close(file);
    if (last >= 0 && number >= last) number = -1;
    /* One trial after the other dies early and late in turn: one that always dies early is made to wait longer and longer. */
    if (number >= 0 && strcmp(program, "sweep-trainer") == 0) number = number * 37 % last;
    in_folder(path, "down");
    if (number >= 0 && access(path, F_OK) == 0) number = last - 1 - number;
}

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("CRASH"), *below = getenv("CRASH_ROOT");
    char path[2 * TEXT];
    int file;
    if (where == NULL || below == NULL) return;
    snprintf(folder, sizeof folder, "%s", where);
    snprintf(root, sizeof root, "%s", below);
    snprintf(program, sizeof program, "%s", program_invocation_short_name);
    in_folder(path, "hold");
    held = access(path, F_OK) == 0;
    in_folder(path, "only");
    if ((file = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
        char text[128];
        ssize_t length = syscall(SYS_read, file, text, sizeof text - 1);
        text[length < 0 ? 0 : length] = 0;
        sscanf(text, "%15s %63s %15s", only_call, only_path, only_after);
        close(file);
    }
    take_number();
}

static void die(const char *when, const char *call, const char *path, const char *data, size_t size) {
    char log[2 * TEXT], line[4 * TEXT], words[49];
    size_t length = size < 48 ? size : 48, i;
    int file;
    for (i = 0; i < length; i++) words[i] = data[i] >= ' ' && data[i] < 127 ? data[i] : '.';
    words[length] = 0;
    snprintf(log, sizeof log, "%s/deaths", folder);
    file = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    i = (size_t)snprintf(line, sizeof line, "%s\t%ld\t%s\t%s\t%s\t%s\t%s\t%s\t%ld\n", program, number, when, call, path, words,
                         before_call, before_path, sent);
    if (file < 0 || syscall(SYS_write, file, line, i) != (ssize_t)i) abort();
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void remember(const char *call, const char *path) {
    while (__atomic_exchange_n(&guard, 1, __ATOMIC_ACQUIRE)) {}
    snprintf(before_call, sizeof before_call, "%s", call);
    snprintf(before_path, sizeof before_path, "%s", path);
    __atomic_store_n(&guard, 0, __ATOMIC_RELEASE);
}

static int was_last(const char *call) {
    int is;
    while (__atomic_exchange_n(&guard, 1, __ATOMIC_ACQUIRE)) {}
    is = strcmp(before_call, call) == 0;
    __atomic_store_n(&guard, 0, __ATOMIC_RELEASE);
    return is;
}

/* Counts a call: 0 if nothing is to happen at it, 1 if the program is to die after it or in its middle. */
static int count(const char *call, const char *path, const char *data, size_t size) {
    long at;
    if (number < 0) return 0;
    if (held) {
        char hold[2 * TEXT];
        in_folder(hold, "hold");
        if (access(hold, F_OK) == 0) return 0;
        held = 0;
    }
    if (only_call[0] != 0 && (strcmp(call, only_call) != 0 || strstr(path, only_path) == NULL)) return 0;
    if (only_after[0] != 0 && !was_last(only_after)) return 0;
    at = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    if (at != number / 2) return 0;
    if (number % 2 == 0) die("before", call, path, data, size);
    return 1;
}

/* The path of an open file that counts. */
static int of_interest(int file, char *path) {
    char link[64];
    ssize_t length;
    int saved = errno;
    if (number < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, TEXT - 1);
    errno = saved;
    if (length <= 0) return 0;
    path[length] = 0;
    if (strncmp(path, root, strlen(root)) != 0) return 0;
    /* What is told to people is of no consequence. */
    return length < 8 || (strcmp(path + length - 4, ".log") != 0 && strcmp(path + length - 8, "/log.txt") != 0);
}

/* Whether it is a connection of the network, and to which address. */
static int is_network(int file, char *peer) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int saved = errno, is;
    peer[0] = 0;
    is = number >= 0 && getpeername(file, (struct sockaddr *)&address, &size) == 0 && address.sin_family == AF_INET;
    if (is) inet_ntop(AF_INET, &address.sin_addr, peer, TEXT);
    errno = saved;
    return is;
}

static int below_root(const char *path) { return number >= 0 && (path[0] != '/' || strncmp(path, root, strlen(root)) == 0); }

/* Half of it, then the end. */
static void half(int file, const void *data, size_t size, off_t at, const char *call, const char *path) {
    if (size < 2) return;
    if (at < 0 ? syscall(SYS_write, file, data, size / 2) < 0 : syscall(SYS_pwrite64, file, data, size / 2, at) < 0) return;
    die("half", call, path, data, size);
}

#define FILE_CALL(call, path, action, ok)                          \
    do {                                                           \
        int last_ = count(call, path, "", 0);                      \
        __typeof__(action) done_ = (action);                       \
        int saved_ = errno;                                        \
        if (ok) remember(call, path);                              \
        if (last_) die("after", call, path, "", 0);                \
        errno = saved_;                                            \
        return done_;                                              \
    } while (0)

ssize_t write(int file, const void *data, size_t size) {
    char path[TEXT];
    if (is_network(file, path)) {
        int last = count("send", path, "", 0);
        ssize_t done = syscall(SYS_write, file, data, size);
        if (done > 0) __atomic_fetch_add(&sent, 1, __ATOMIC_RELAXED);
        if (last) die("after", "send", path, "", 0);
        return done;
    }
    if (size == 0 || !of_interest(file, path)) return syscall(SYS_write, file, data, size);
    if (count("write", path, data, size)) {
        half(file, data, size, -1, "write", path);
        if (syscall(SYS_write, file, data, size) >= 0) die("after", "write", path, data, size);
    }
    ssize_t done = syscall(SYS_write, file, data, size);
    if (done > 0) remember("write", path);
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    char path[TEXT];
    if (size == 0 || !of_interest(file, path)) return syscall(SYS_pwrite64, file, data, size, at);
    if (count("write", path, data, size)) {
        half(file, data, size, at, "write", path);
        if (syscall(SYS_pwrite64, file, data, size, at) >= 0) die("after", "write", path, data, size);
    }
    ssize_t done = syscall(SYS_pwrite64, file, data, size, at);
    if (done > 0) remember("write", path);
    return done;
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at) { return pwrite64(file, data, size, at); }

ssize_t writev(int file, const struct iovec *parts, int many) {
    char path[TEXT];
    if (is_network(file, path)) {
        int last = count("send", path, "", 0);
        ssize_t done = NEXT(writev)(file, parts, many);
        if (done > 0) __atomic_fetch_add(&sent, 1, __ATOMIC_RELAXED);
        if (last) die("after", "send", path, "", 0);
        return done;
    }
    if (!of_interest(file, path)) return NEXT(writev)(file, parts, many);
    FILE_CALL("write", path, NEXT(writev)(file, parts, many), done_ > 0);
}

ssize_t send(int file, const void *data, size_t size, int flags) {
    char path[TEXT];
    int last = is_network(file, path) && count("send", path, "", 0);
    ssize_t done = NEXT(send)(file, data, size, flags);
    if (done > 0) __atomic_fetch_add(&sent, 1, __ATOMIC_RELAXED);
    if (last) die("after", "send", path, "", 0);
    return done;
}

ssize_t recv(int file, void *data, size_t size, int flags) {
    char path[TEXT];
    ssize_t done = NEXT(recv)(file, data, size, flags);
    if (done > 0 && is_network(file, path) && count("receive", path, "", 0)) die("after", "receive", path, "", 0);
    return done;
}

ssize_t read(int file, void *data, size_t size) {
    char path[TEXT];
    ssize_t done = syscall(SYS_read, file, data, size);
    if (done < 0 || number < 0) return done;
    if (done > 0 && is_network(file, path)) {
        if (count("receive", path, "", 0)) die("after", "receive", path, "", 0);
    } else if (of_interest(file, path) && strstr(path, ".safetensors") != NULL) {
        const char *call = done > 0 ? "read" : "read-all";
        if (count(call, path, "", 0)) die("after", call, path, "", 0);
        remember(call, path);
    }
    return done;
}

int fsync(int file) {
    char path[TEXT];
    if (!of_interest(file, path)) return NEXT(fsync)(file);
    FILE_CALL("sync", path, NEXT(fsync)(file), done_ == 0);
}

int fdatasync(int file) {
    char path[TEXT];
    if (!of_interest(file, path)) return NEXT(fdatasync)(file);
    FILE_CALL("sync", path, NEXT(fdatasync)(file), done_ == 0);
}

int ftruncate64(int file, off64_t size) {
    char path[TEXT];
    if (!of_interest(file, path)) return (int)syscall(SYS_ftruncate, file, size);
    FILE_CALL("cut", path, (int)syscall(SYS_ftruncate, file, size), done_ == 0);
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

int rename(const char *from, const char *to) {
    if (!below_root(to)) return NEXT(rename)(from, to);
    FILE_CALL("name", to, NEXT(rename)(from, to), done_ == 0);
}

int link(const char *from, const char *to) {
    if (!below_root(to)) return NEXT(link)(from, to);
    FILE_CALL("name", to, NEXT(link)(from, to), done_ == 0);
}

int linkat(int at, const char *from, int there, const char *to, int flags) {
    if (!below_root(to)) return NEXT(linkat)(at, from, there, to, flags);
    FILE_CALL("name", to, NEXT(linkat)(at, from, there, to, flags), done_ == 0);
}

int unlink(const char *path) {
    if (!below_root(path)) return NEXT(unlink)(path);
    FILE_CALL("remove", path, NEXT(unlink)(path), done_ == 0);
}

int unlinkat(int at, const char *path, int flags) {
    if (!below_root(path)) return NEXT(unlinkat)(at, path, flags);
    FILE_CALL("remove", path, NEXT(unlinkat)(at, path, flags), done_ == 0);
}

int rmdir(const char *path) {
    if (!below_root(path)) return NEXT(rmdir)(path);
    FILE_CALL("remove", path, NEXT(rmdir)(path), done_ == 0);
}

int mkdir(const char *path, mode_t mode) {
    if (!below_root(path)) return NEXT(mkdir)(path, mode);
    FILE_CALL("folder", path, NEXT(mkdir)(path, mode), done_ == 0);
}

/* A child, seen from its parent. */
pid_t fork(void) {
    int last = count("child", "", "", 0);
    pid_t child = NEXT(fork)();
    if (child > 0 && last) die("after", "child", "", "", 0);
    return child;
}

int posix_spawnp(pid_t *child, const char *file, const void *actions, const void *attributes, char *const arguments[],
                 char *const environment[]) {
    int (*next)(pid_t *, const char *, const void *, const void *, char *const[], char *const[]) = dlsym(RTLD_NEXT, "posix_spawnp");
    int last = count("child", "", "", 0), done = next(child, file, actions, attributes, arguments, environment);
    if (done == 0 && last) die("after", "child", "", "", 0);
    return done;
}

pid_t waitpid(pid_t child, int *status, int options) {
    pid_t done = NEXT(waitpid)(child, status, options);
    if (done > 0 && count("end", "", "", 0)) die("after", "end", "", "", 0);
    return done;
}

int waitid(idtype_t kind, id_t child, siginfo_t *about, int options) {
    int done = NEXT(waitid)(kind, child, about, options);
    if (done == 0 && about != NULL && about->si_pid != 0 && count("end", "", "", 0)) die("after", "end", "", "", 0);
    return done;
}
