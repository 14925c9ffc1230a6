/* Fails, or kills, at the N-th system call that touches files below one directory, and writes a
 * journal from which a power failure can be played.
 *
 * Preloaded into a Python process. Unarmed it does nothing. `shim_arm` starts counting in this
 * process (after fork); paths outside the root are never touched.
 *
 * Journal, one record per line:   <op> <number> <path>
 *   create path        a name came into being          mkdir path
 *   sync <size> path   the file is on disk so far      dirsync path
 *   unlink <n> path    the name went; the file is kept as <graveyard>/<n>
 *   cut <n> path       the file was shortened; what was cut is <graveyard>/<n>
 *   rename <n> path    the name was given to a file; the name it had stands in <graveyard>/<n>
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { NONE, KILL_BEFORE, KILL_AFTER, IO_ERROR, NO_SPACE, SHORT };

static char root[PATH_MAX], graveyard[PATH_MAX];
static size_t root_length;
static int armed, journal = -1, action, calls, at, lasts, graves;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int shim_arm(const char *root_, const char *graveyard_, const char *journal_, int at_, int action_,
             int lasts_) {
    strncpy(root, root_, PATH_MAX - 1);
    strncpy(graveyard, graveyard_, PATH_MAX - 1);
    root_length = strlen(root);
    journal = syscall(SYS_openat, AT_FDCWD, journal_, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    at = at_, action = action_, lasts = lasts_, calls = 0;
    graves = getpid() * 1000;
    armed = 1;
    return journal < 0 ? -1 : 0;
}

/* Stops counting and keeping the journal in this process. */
void shim_disarm(void) {
    armed = 0;
    syscall(SYS_close, journal);
}

static int below(const char *path) {
    return armed && !strncmp(path, root, root_length) &&
           (path[root_length] == '/' || path[root_length] == 0);
}

static int path_of(int fd, char *path) {
    char link[64];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return below(path);
}

static void note(const char *op, long number, const char *path) {
    char line[PATH_MAX + 64];
    int n = snprintf(line, sizeof line, "%s %ld %s\n", op, number, path);
    syscall(SYS_write, journal, line, n);
}

static void die(void) { syscall(SYS_kill, syscall(SYS_getpid), SIGKILL); for (;;) pause(); }

/* Counts this call and says what is to happen to it. */
static int fate(void) {
    int n = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    int hit = action != NONE && n >= at && n < at + lasts;
    if (hit && action == KILL_BEFORE) die();
    if (hit && action == IO_ERROR) { errno = EIO; return -1; }
    if (hit && action == NO_SPACE) { errno = ENOSPC; return -1; }
    return hit ? action : NONE;
}

static void afterwards(int what) { if (what == KILL_AFTER) die(); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int opened(const char *path, int flags, int mode, int dirfd) {
    int touches = (flags & O_CREAT) && path[0] == '/' && below(path);
    int what = touches ? fate() : NONE;
    if (what < 0) return -1;
    struct stat state;
    int fresh = touches && lstat(path, &state) != 0;
    int fd = syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0 && fresh) note("create", 0, path);
    afterwards(what);
    return fd;
}

#define OPEN(name, at_, args) \
    int name args { \
        int mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list l; va_start(l, flags); mode = va_arg(l, int); va_end(l); } \
        return opened(path, flags, mode, at_); \
    }
OPEN(open, AT_FDCWD, (const char *path, int flags, ...))
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...))
OPEN(openat, dirfd, (int dirfd, const char *path, int flags, ...))
OPEN(openat64, dirfd, (int dirfd, const char *path, int flags, ...))

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_write, fd, data, size);
    int what = fate();
    if (what < 0) return -1;
    if (what == SHORT && size > 1) {
        /* as a disk does that fills up: a part, and nothing more at the next call */
        action = NO_SPACE, at = calls + 1;
        return syscall(SYS_write, fd, data, size * 35 / 100 + 1);
    }
    if (what == KILL_AFTER && size > 1 && calls % 2) size = size / 2 + 1; /* torn by the kill */
    ssize_t n = syscall(SYS_write, fd, data, size);
    afterwards(what);
    return n;
}

static ssize_t pwritten(int fd, const void *data, size_t size, off_t offset) {
    char path[PATH_MAX];
    int what = path_of(fd, path) ? fate() : NONE;
    if (what < 0) return -1;
    ssize_t n = syscall(SYS_pwrite64, fd, data, size, offset);
    afterwards(what);
    return n;
}
ssize_t pwrite(int fd, const void *d, size_t n, off_t o) { return pwritten(fd, d, n, o); }
ssize_t pwrite64(int fd, const void *d, size_t n, off_t o) { return pwritten(fd, d, n, o); }

static int synced(int fd) {
    char path[PATH_MAX];
    struct stat state;
    if (!path_of(fd, path)) return 0;
    int what = fate();
    if (what < 0) return -1;
    /* What is there now is safe; nothing is really synced, because nothing really fails. */
    if (fstat(fd, &state)) return -1;
    if (S_ISDIR(state.st_mode)) note("dirsync", 0, path);
    else note("sync", state.st_size, path);
    afterwards(what);
    return 0;
}
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

static void bury(int from, off_t start, const char *op, const char *path) {
    char name[PATH_MAX + 32], piece[65536];
    int n = __atomic_add_fetch(&graves, 1, __ATOMIC_SEQ_CST);
    snprintf(name, sizeof name, "%s/%d", graveyard, n);
    int to = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ssize_t got;
    while ((got = syscall(SYS_pread64, from, piece, sizeof piece, start)) > 0) {
        syscall(SYS_write, to, piece, got);
        start += got;
    }
    syscall(SYS_close, to);
    note(op, n, path);
}

static int truncated(int fd, off_t size) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return syscall(SYS_ftruncate, fd, size);
    int what = fate();
    if (what < 0) return -1;
    int again = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (again >= 0) { bury(again, size, "cut", path); syscall(SYS_close, again); }
    int n = syscall(SYS_ftruncate, fd, size);
    afterwards(what);
    return n;
}
int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off_t size) { return truncated(fd, size); }

int unlink(const char *path) {
    if (!below(path)) return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    int what = fate();
    if (what < 0) return -1;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) { bury(fd, 0, "unlink", path); syscall(SYS_close, fd); }
    int n = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    afterwards(what);
    return n;
}

int mkdir(const char *path, mode_t mode) {
    int what = below(path) ? fate() : NONE;
    if (what < 0) return -1;
    int n = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (n == 0 && below(path)) note("mkdir", 0, path);
    afterwards(what);
    return n;
}

int rename(const char *from, const char *to) {
    int what = below(to) ? fate() : NONE;
    if (what < 0) return -1;
    int n = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (n == 0 && below(to)) {
        /* Played back, it is undone: the grave holds the name that the file had. */
        char name[PATH_MAX + 32];
        int grave = __atomic_add_fetch(&graves, 1, __ATOMIC_SEQ_CST);
        snprintf(name, sizeof name, "%s/%d", graveyard, grave);
        int fd = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        syscall(SYS_write, fd, from, strlen(from));
        syscall(SYS_close, fd);
        note("rename", grave, to);
    }
    afterwards(what);
    return n;
}
