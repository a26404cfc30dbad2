/* Makes one system call of a process fail: cc -O1 -shared -fPIC -o faults.so faults.c -ldl, then LD_PRELOAD it.
 *
 * Calls that concern files below FAULT_DIR are counted over all threads. FAULT_AT=n fails the n-th (with FAULT_STICKY it and
 * all later ones of the same name) with error number FAULT_ERROR; with FAULT_SHORT a write writes half instead. FAULT_ONLY is
 * a list of names between commas. The first call that fails is told on standard error: "FAULT name n". */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { FDS = 4096 };
static char ours[FDS]; /* file descriptors of files below the folder */
static const char *dir, *only;
static long at, count;
static int error_number, sticky, shortened;
static const char *volatile fired;

static void __attribute__((constructor)) begin(void) {
    const char *text;
    dir = getenv("FAULT_DIR");
    only = getenv("FAULT_ONLY");
    at = (text = getenv("FAULT_AT")) ? atol(text) : 0;
    error_number = (text = getenv("FAULT_ERROR")) ? atoi(text) : EIO;
    sticky = getenv("FAULT_STICKY") != NULL;
    shortened = getenv("FAULT_SHORT") != NULL;
}

static int below(const char *path) { return dir && path && strncmp(path, dir, strlen(dir)) == 0; }
static int known(int fd) { return fd >= 0 && fd < FDS && ours[fd]; }
static int note(int fd, int is_ours) {
    if (fd >= 0 && fd < FDS) ours[fd] = (char)is_ours;
    return fd;
}

static int listed(const char *name) {
    size_t len = strlen(name);
    for (const char *p = only; p && (p = strstr(p, name)); p += len)
        if ((p == only || p[-1] == ',') && (p[len] == ',' || p[len] == 0)) return 1;
    return !only;
}

/* Whether this call, which concerns the folder, is to fail. */
static int hit(const char *name) {
    if (at <= 0 || !listed(name)) return 0;
    long n = __sync_add_and_fetch(&count, 1);
    if (n == at) {
        char line[96];
        int len = snprintf(line, sizeof line, "FAULT %s %ld\n", name, n);
        fired = name;
        if (write(2, line, (size_t)len) < 0) return 1;
        return 1;
    }
    return sticky && n > at && fired && strcmp(fired, name) == 0;
}

#define REAL(type, name, ...)                                                                                        \
    static type (*real)(__VA_ARGS__);                                                                                \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)
#define FAIL(value)                                                                                                  \
    do {                                                                                                             \
        errno = error_number;                                                                                        \
        return value;                                                                                                \
    } while (0)

int open64(const char *path, int flags, ...) {
    REAL(int, open64, const char *, int, ...);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    int is_ours = below(path);
    if (is_ours && hit("open")) FAIL(-1);
    return note(real(path, flags, mode), is_ours);
}
int close(int fd) {
    REAL(int, close, int);
    note(fd, 0);
    return real(fd);
}
DIR *opendir(const char *path) {
    REAL(DIR *, opendir, const char *);
    if (below(path) && hit("opendir")) FAIL(NULL);
    return real(path);
}
int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    if (below(path) && hit("mkdir")) FAIL(-1);
    return real(path, mode);
}
int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    if (below(from) && hit("rename")) FAIL(-1);
    return real(from, to);
}
int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (below(path) && hit("unlink")) FAIL(-1);
    return real(path);
}
int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    if (below(path) && hit("rmdir")) FAIL(-1);
    return real(path);
}
int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict buffer) {
    REAL(int, statx, int, const char *, int, unsigned, struct statx *);
    if ((below(path) || known(folder)) && hit("statx")) FAIL(-1);
    return real(folder, path, flags, mask, buffer);
}
int fsync(int fd) {
    REAL(int, fsync, int);
    if (known(fd) && hit("fsync")) FAIL(-1);
    return real(fd);
}
int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    if (known(fd) && hit("fdatasync")) FAIL(-1);
    return real(fd);
}
int syncfs(int fd) {
    REAL(int, syncfs, int);
    if (known(fd) && hit("syncfs")) FAIL(-1);
    return real(fd);
}
int ftruncate64(int fd, off64_t len) {
    REAL(int, ftruncate64, int, off64_t);
    if (known(fd) && hit("ftruncate")) FAIL(-1);
    return real(fd, len);
}
int fallocate(int fd, int mode, off_t from, off_t len) {
    REAL(int, fallocate, int, int, off_t, off_t);
    if (known(fd) && hit("fallocate")) FAIL(-1);
    return real(fd, mode, from, len);
}
int posix_fadvise(int fd, off_t from, off_t len, int advice) {
    REAL(int, posix_fadvise, int, off_t, off_t, int);
    if (known(fd) && hit("fadvise")) return error_number;
    return real(fd, from, len, advice);
}
off64_t lseek64(int fd, off64_t to, int whence) {
    REAL(off64_t, lseek64, int, off64_t, int);
    if (known(fd) && hit("lseek")) FAIL(-1);
    return real(fd, to, whence);
}
off_t lseek(int fd, off_t to, int whence) {
    REAL(off_t, lseek, int, off_t, int);
    if (known(fd) && hit("lseek")) FAIL(-1);
    return real(fd, to, whence);
}
int flock(int fd, int operation) {
    REAL(int, flock, int, int);
    if (known(fd) && hit("flock")) FAIL(-1);
    return real(fd, operation);
}
void *mmap64(void *where, size_t len, int protection, int flags, int fd, off64_t from) {
    REAL(void *, mmap64, void *, size_t, int, int, int, off64_t);
    if (known(fd) && hit("mmap")) FAIL(MAP_FAILED);
    return real(where, len, protection, flags, fd, from);
}
ssize_t read(int fd, void *buffer, size_t len) {
    REAL(ssize_t, read, int, void *, size_t);
    if (known(fd) && hit("read")) FAIL(-1);
    return real(fd, buffer, len);
}
ssize_t pread64(int fd, void *buffer, size_t len, off64_t from) {
    REAL(ssize_t, pread64, int, void *, size_t, off64_t);
    if (known(fd) && hit("pread")) FAIL(-1);
    return real(fd, buffer, len, from);
}
ssize_t write(int fd, const void *buffer, size_t len) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (known(fd) && hit("write")) {
        if (shortened) return real(fd, buffer, len > 1 ? len / 2 : len);
        FAIL(-1);
    }
    return real(fd, buffer, len);
}
ssize_t pwrite64(int fd, const void *buffer, size_t len, off64_t from) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    if (known(fd) && hit("pwrite")) {
        if (shortened) return real(fd, buffer, len > 1 ? len / 2 : len, from);
        FAIL(-1);
    }
    return real(fd, buffer, len, from);
}
