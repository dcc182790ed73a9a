/* A disk that fails: preloaded, it answers EIO for the database while a file says which call fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Whether `call` on this file is to fail now. */
static int fails(int fd, const char *call) {
    const char *trigger = getenv("BAD_DISK");
    char link[64], path[4096], word[32] = "";
    if (!trigger) return 0;
    int file = open(trigger, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t n = read(file, word, sizeof word - 1);
    close(file);
    if (n <= 0 || strncmp(word, call, strlen(call)) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return strstr(path, "/tidings.db") != NULL;
}

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))
#define FAIL do { errno = EIO; return -1; } while (0)

int fsync(int fd) {
    if (fails(fd, "sync")) FAIL;
    return REAL("fsync", int (*)(int))(fd);
}

int fdatasync(int fd) {
    if (fails(fd, "sync")) FAIL;
    return REAL("fdatasync", int (*)(int))(fd);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at) {
    if (fails(fd, "write")) FAIL;
    return REAL("pwrite64", ssize_t (*)(int, const void *, size_t, off64_t))(fd, buf, n, at);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at) {
    if (fails(fd, "write")) FAIL;
    return REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, buf, n, at);
}

ssize_t write(int fd, const void *buf, size_t n) {
    if (fails(fd, "write")) FAIL;
    return REAL("write", ssize_t (*)(int, const void *, size_t))(fd, buf, n);
}
