/*
 * A library that is put before libc (LD_PRELOAD). It writes down everything
 * that a program writes to the files of one folder and when it syncs them, in
 * one order, and it can make these calls fail.
 *
 *   SHIM_DIR      the folder
 *   SHIM_LOG      where to write it down; not set: nowhere
 *   SHIM_FAIL     what fails, OP:SUFFIX:ERRNO:TIMES, for example "sync:-wal:5:1";
 *                 TIMES 0 is for ever
 *   SHIM_TRIGGER  a file: nothing fails until it is there
 *
 * A record is six little-endian numbers of 8 bytes (operation, file, offset,
 * bytes that follow, errno, 0) and the bytes. Files are told by their number,
 * which an 'o' record gives them. While a record is made no other call goes on,
 * so that the order is the one in which things happened.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define MAX_FD 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[MAX_FD]; /* of open files of the folder, by descriptor */
static char *names[256];    /* of all files, by number */
static int logfd = -2, times;

static int number(const char *path)
{
	int i;
	for (i = 0; i < 256 && names[i]; i++)
		if (!strcmp(names[i], path))
			return i;
	if (i == 256)
		abort();
	names[i] = strdup(path);
	return i;
}

static void record(int op, const char *path, int64_t offset, const void *data, int64_t n, int err)
{
	if (logfd == -2) {
		const char *name = getenv("SHIM_LOG");
		logfd = name ? syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	}
	if (logfd < 0)
		return;
	int64_t head[6] = {op, number(path), offset, n, err, 0};
	char *all = malloc(sizeof head + n);
	memcpy(all, head, sizeof head);
	if (n)
		memcpy(all + sizeof head, data, n);
	if (syscall(SYS_write, logfd, all, sizeof head + n) != (long)(sizeof head + n))
		abort();
	free(all);
}

/* fails tells whether a call on a file is to fail, and with what. */
static int fails(const char *op, const char *path)
{
	char *want = getenv("SHIM_FAIL"), *trigger = getenv("SHIM_TRIGGER");
	char wanted[16], suffix[64];
	int err, n;
	if (!want || sscanf(want, "%15[^:]:%63[^:]:%d:%d", wanted, suffix, &err, &n) != 4 || strcmp(wanted, op))
		return 0;
	size_t len = strlen(path), tail = strlen(suffix);
	if (len < tail || strcmp(path + len - tail, suffix))
		return 0;
	if ((n && times >= n) || (trigger && syscall(SYS_faccessat, AT_FDCWD, trigger, F_OK)))
		return 0;
	times++;
	return err;
}

static int opened(int fd, const char *path, int flags)
{
	const char *dir = getenv("SHIM_DIR");
	if (fd < 0 || fd >= MAX_FD || !dir || strncmp(path, dir, strlen(dir)))
		return fd;
	pthread_mutex_lock(&lock);
	free(paths[fd]);
	paths[fd] = strdup(path);
	record('o', path, flags & O_TRUNC ? 0 : -1, path, strlen(path), 0);
	pthread_mutex_unlock(&lock);
	return fd;
}

#define MODE(mode, flags) \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | O_TMPFILE)) { \
		va_list list; \
		va_start(list, flags); \
		mode = va_arg(list, mode_t); \
		va_end(list); \
	}

int open(const char *path, int flags, ...)
{
	MODE(mode, flags)
	return opened(syscall(SYS_openat, AT_FDCWD, path, flags, mode), path, flags);
}

int open64(const char *path, int flags, ...)
{
	MODE(mode, flags)
	return opened(syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode), path, flags);
}

int close(int fd)
{
	if (fd >= 0 && fd < MAX_FD && paths[fd]) {
		pthread_mutex_lock(&lock);
		free(paths[fd]);
		paths[fd] = NULL;
		pthread_mutex_unlock(&lock);
	}
	return syscall(SYS_close, fd);
}

static const char *path_of(int fd) { return fd >= 0 && fd < MAX_FD ? paths[fd] : NULL; }

static ssize_t write_at(int fd, const void *data, size_t n, off64_t offset, int positioned)
{
	const char *path = path_of(fd);
	if (!path)
		return positioned ? syscall(SYS_pwrite64, fd, data, n, offset) : syscall(SYS_write, fd, data, n);
	pthread_mutex_lock(&lock);
	int err = fails("write", path);
	ssize_t done = -1;
	if (!positioned)
		offset = syscall(SYS_lseek, fd, 0, SEEK_CUR);
	if (!err) {
		done = positioned ? syscall(SYS_pwrite64, fd, data, n, offset) : syscall(SYS_write, fd, data, n);
		err = done < 0 ? errno : 0;
	}
	if (done > 0)
		record('w', path, offset, data, done, 0);
	pthread_mutex_unlock(&lock);
	errno = err;
	return done;
}

ssize_t write(int fd, const void *data, size_t n) { return write_at(fd, data, n, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) { return write_at(fd, data, n, offset, 1); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) { return write_at(fd, data, n, offset, 1); }

static int truncated(int fd, off64_t size)
{
	const char *path = path_of(fd);
	pthread_mutex_lock(&lock);
	int done = syscall(SYS_ftruncate, fd, size), err = errno;
	if (path && !done)
		record('t', path, size, NULL, 0, 0);
	pthread_mutex_unlock(&lock);
	errno = err;
	return done;
}

int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncated(fd, size); }

static int synced(int fd, long call)
{
	const char *path = path_of(fd);
	if (!path)
		return syscall(call, fd);
	pthread_mutex_lock(&lock);
	int err = fails("sync", path), done = -1;
	if (!err) {
		done = syscall(call, fd);
		err = done < 0 ? errno : 0;
	}
	record('s', path, 0, NULL, 0, err);
	pthread_mutex_unlock(&lock);
	errno = err;
	return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int unlink(const char *path)
{
	const char *dir = getenv("SHIM_DIR");
	if (!dir || strncmp(path, dir, strlen(dir)))
		return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
	pthread_mutex_lock(&lock);
	int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0), err = errno;
	if (!done)
		record('u', path, 0, NULL, 0, 0);
	pthread_mutex_unlock(&lock);
	errno = err;
	return done;
}
