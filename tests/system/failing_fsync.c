/* Makes one flush to disk fail: the first one after the file named by FAIL_FSYNC_WHEN exists. Later ones succeed,
 * as they do with a real disk, whose kernel reports a lost page once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fails(void)
{
    static int failed;
    const char *when = getenv("FAIL_FSYNC_WHEN");

    if (failed || when == NULL || access(when, F_OK) != 0)
        return 0;
    failed = 1;
    errno = EIO;
    return 1;
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return fails() ? -1 : real(fd);
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails() ? -1 : real(fd);
}
