/* Faults from below a process: preloaded (LD_PRELOAD), it lets calls of the C library fail or take their time.
 *
 * The file named by FAULTS has one rule a line, and may be replaced (by rename) at any time:
 *
 *     CALL ACTION NUMBER TIMES PATTERN
 *
 * CALL     write (and all its relatives), fsync (and fdatasync, syncfs), rename (and link),
 *          named (a rename that is done), clock (the wall clock), space
 * ACTION   fail: NUMBER is the errno; delay: milliseconds; shift: seconds added to the clock; left: bytes said to be
 *          free; kill: the process dies after so many calls that were let through
 * TIMES    how many calls it is for, -1 without an end
 * PATTERN  of the whole path, as for fnmatch(3), * matches slashes; of a rename the new path, of what is named the old
 *
 * Each time that a rule is followed, a line "CALL ACTION PATH" is appended to FAULTS.seen; for the clock and the space
 * once for each rule. A rule that is not there costs a stat a call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES 32
#define REAL(name)                                            \
    __extension__({                                           \
        static __typeof__(&name) real;                        \
        if (real == NULL)                                     \
            real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
        real;                                                 \
    })

struct rule {
    char call[16], action[16], pattern[512];
    long long number, times;
    int told;
};

static struct rule rules[RULES];
static int known;
static struct stat read_of;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside; /* our own calls are nobody's business */

static void load(const char *file)
{
    struct stat now;
    FILE *in;

    if (stat(file, &now) != 0) {
        known = 0;
        memset(&read_of, 0, sizeof read_of);
        return;
    }
    if (now.st_ino == read_of.st_ino && now.st_mtim.tv_sec == read_of.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == read_of.st_mtim.tv_nsec)
        return;
    read_of = now;
    known = 0;
    if ((in = fopen(file, "re")) == NULL)
        return;
    while (known < RULES) {
        struct rule *rule = &rules[known];
        memset(rule, 0, sizeof *rule);
        if (fscanf(in, "%15s %15s %lld %lld %511[^\n]", rule->call, rule->action, &rule->number, &rule->times,
                   rule->pattern) != 5)
            break;
        known++;
    }
    fclose(in);
}

static void tell(const char *file, const struct rule *rule, const char *path)
{
    char name[4096], line[8192];
    int length = snprintf(line, sizeof line, "%s %s %s\n", rule->call, rule->action, path);
    int out;

    snprintf(name, sizeof name, "%s.seen", file);
    if ((out = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) < 0)
        return;
    if (syscall(SYS_write, out, line, (size_t)length) < 0)
        perror(name);
    close(out);
}

/* The first rule for this call on this path, copied to `found`; it is counted as followed. */
static int follow(const char *call, const char *path, struct rule *found)
{
    const char *file = getenv("FAULTS");
    int before = errno, i, hit = 0;

    if (file == NULL || inside)
        return 0;
    inside = 1;
    pthread_mutex_lock(&lock);
    load(file);
    for (i = 0; i < known && !hit; i++) {
        struct rule *rule = &rules[i];
        if (rule->times == 0 || strcmp(rule->call, call) != 0 || fnmatch(rule->pattern, path, 0) != 0)
            continue;
        if (strcmp(rule->action, "kill") == 0 && rule->number > 0) {
            rule->number--;
            continue;
        }
        if (rule->times > 0)
            rule->times--;
        if (!rule->told)
            tell(file, rule, path);
        rule->told = strcmp(call, "clock") == 0 || strcmp(call, "space") == 0;
        *found = *rule;
        hit = 1;
    }
    pthread_mutex_unlock(&lock);
    inside = 0;
    errno = before;
    return hit;
}

static void take_time(long long milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* Delay or fail a call, or die; answers whether it fails, with errno set. */
static int fails(const char *call, const char *path)
{
    struct rule rule;

    if (!follow(call, path, &rule))
        return 0;
    if (strcmp(rule.action, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(rule.action, "delay") == 0) {
        take_time(rule.number);
        return 0;
    }
    if (strcmp(rule.action, "fail") != 0)
        return 0;
    errno = (int)rule.number;
    return 1;
}

static int path_of(int fd, char *path, size_t size)
{
    char link[64];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
    return path[0] == '/'; /* not a socket, a pipe or an eventfd */
}

static int fails_on(const char *call, int fd)
{
    char path[4096];
    int before = errno, found;

    if (known == 0 && access(getenv("FAULTS") ? getenv("FAULTS") : "", F_OK) != 0) {
        errno = before;
        return 0;
    }
    found = path_of(fd, path, sizeof path);
    errno = before;
    return found && fails(call, path);
}

static int fails_at(const char *call, int folder, const char *name)
{
    char path[8192];
    size_t length = 0;

    if (name[0] != '/') {
        if (folder == AT_FDCWD || !path_of(folder, path, sizeof path / 2)) {
            if (getcwd(path, sizeof path / 2) == NULL)
                path[0] = 0;
        }
        length = strlen(path);
        path[length++] = '/';
    }
    snprintf(path + length, sizeof path - length, "%s", name);
    return fails(call, path);
}

/* What follows a rename: a process may die of it. */
static int named(int folder, const char *from, int code)
{
    return code == 0 && fails_at("named", folder, from) ? -1 : code;
}

ssize_t write(int fd, const void *data, size_t size)
{
    return fails_on("write", fd) ? -1 : REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return fails_on("write", fd) ? -1 : REAL(writev)(fd, parts, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return fails_on("write", fd) ? -1 : REAL(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    return fails_on("write", fd) ? -1 : REAL(pwrite64)(fd, data, size, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return fails_on("write", fd) ? -1 : REAL(pwritev)(fd, parts, count, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at)
{
    return fails_on("write", fd) ? -1 : REAL(pwritev64)(fd, parts, count, at);
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags)
{
    return fails_on("write", fd) ? -1 : REAL(pwritev2)(fd, parts, count, at, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags)
{
    return fails_on("write", fd) ? -1 : REAL(pwritev64v2)(fd, parts, count, at, flags);
}

int fsync(int fd)
{
    return fails_on("fsync", fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return fails_on("fsync", fd) ? -1 : REAL(fdatasync)(fd);
}

int syncfs(int fd)
{
    return fails_on("fsync", fd) ? -1 : REAL(syncfs)(fd);
}

int rename(const char *from, const char *to)
{
    return fails_at("rename", AT_FDCWD, to) ? -1 : named(AT_FDCWD, from, REAL(rename)(from, to));
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return fails_at("rename", to_folder, to) ? -1 : named(from_folder, from, REAL(renameat)(from_folder, from, to_folder, to));
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags)
{
    return fails_at("rename", to_folder, to) ? -1 : named(from_folder, from, REAL(renameat2)(from_folder, from, to_folder, to, flags));
}

int link(const char *from, const char *to)
{
    return fails_at("rename", AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return fails_at("rename", to_folder, to) ? -1 : REAL(linkat)(from_folder, from, to_folder, to, flags);
}

static void shift(struct timespec *now)
{
    struct rule rule;

    if (!follow("clock", "clock", &rule))
        return;
    if (strcmp(rule.action, "delay") == 0)
        take_time(rule.number);
    else
        now->tv_sec += rule.number;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int code = REAL(clock_gettime)(clock, now);

    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        shift(now);
    return code;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int code = REAL(gettimeofday)(now, zone);
    struct timespec seconds = {0, 0};

    if (code == 0) {
        shift(&seconds);
        now->tv_sec += seconds.tv_sec;
    }
    return code;
}

time_t time(time_t *kept)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (kept != NULL)
        *kept = now.tv_sec;
    return now.tv_sec;
}

static fsblkcnt_t left(const char *path, unsigned long size, fsblkcnt_t free)
{
    struct rule rule;

    return follow("space", path, &rule) ? (fsblkcnt_t)rule.number / size : free;
}

int statvfs(const char *restrict path, struct statvfs *restrict found)
{
    int code = REAL(statvfs)(path, found);

    if (code == 0)
        found->f_bavail = left(path, found->f_frsize, found->f_bavail);
    return code;
}

int statvfs64(const char *restrict path, struct statvfs64 *restrict found)
{
    int code = REAL(statvfs64)(path, found);

    if (code == 0)
        found->f_bavail = left(path, found->f_frsize, found->f_bavail);
    return code;
}
