/* Preloaded into a process, it refuses what the variables say: REFUSE_FLOCK=ERRNO all locks;
   REFUSE_OPEN=ERRNO the opening for writing of files whose path holds the text of REFUSE_PATH. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int refused(const char *variable)
{
    const char *number = getenv(variable);
    if (number == NULL)
        return 0;
    errno = atoi(number);
    return 1;
}

int flock(int file, int operation)
{
    if (refused("REFUSE_FLOCK"))
        return -1;
    int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    return real(file, operation);
}

static int opened(const char *name, const char *path, int flags, int mode)
{
    const char *text = getenv("REFUSE_PATH");
    if (text != NULL && (flags & O_ACCMODE) != O_RDONLY && strstr(path, text) != NULL && refused("REFUSE_OPEN"))
        return -1;
    int (*real)(const char *, int, int) = (int (*)(const char *, int, int))dlsym(RTLD_NEXT, name);
    return real(path, flags, mode);
}

#define OPEN(name)                                 \
    int name(const char *path, int flags, ...)     \
    {                                              \
        va_list rest;                              \
        va_start(rest, flags);                     \
        int mode = va_arg(rest, int);              \
        va_end(rest);                              \
        return opened(#name, path, flags, mode);   \
    }
#undef open
#undef open64
OPEN(open)
OPEN(open64)
