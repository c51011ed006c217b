/*
 * Processes that make it hard to follow them:
 *
 *   hostile name FILE          under a name with control characters
 *   hostile threads COUNT      so many threads, each of which compares its process with itself
 *   hostile thread FILE        one thread, which opens the file
 *   hostile reuse FILE FILE    a process that ends, and another one under its number; says whether it got it
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *file;

static void *look(void *nothing)
{
	close(open(file, O_RDONLY));
	return nothing;
}

static void *compare(void *nothing)
{
	syscall(SYS_kcmp, getpid(), getpid(), 1, 0, 0);
	return nothing;
}

static void threads(int count, void *(*work)(void *))
{
	static pthread_t some[500];
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	for (int made = 0; made < count;) {
		int now = 0;
		while (now < 500 && made < count && !pthread_create(&some[now], &small, work, 0))
			now++, made++;
		for (int i = 0; i < now; i++)
			pthread_join(some[i], 0);
	}
}

static int reuse(const char *first, const char *second)
{
	for (int attempt = 0; attempt < 2000; attempt++) {
		pid_t one = fork(), other;
		char number[16];
		if (one == 0) {
			prctl(PR_SET_NAME, "bt-first");
			close(open(first, O_RDONLY));
			_exit(0);
		}
		waitpid(one, 0, 0);
		int last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
		int length = snprintf(number, sizeof(number), "%d", one - 1);
		if (last < 0 || write(last, number, length) != length)
			return 3;
		close(last);
		other = fork();
		if (other == 0) {
			if (getpid() == one)
				close(open(second, O_RDONLY));
			_exit(getpid() == one ? 0 : 1);
		}
		int status;
		waitpid(other, &status, 0);
		if (!WEXITSTATUS(status))
			return 0;
	}
	return 4;
}

int main(int argc, char **argv)
{
	file = argv[argc - 1];
	if (!strcmp(argv[1], "name")) {
		prctl(PR_SET_NAME, "\x1b[2J\nbt\x07\xff");
		look(0);
	} else if (!strcmp(argv[1], "threads")) {
		threads(atoi(argv[2]), compare);
	} else if (!strcmp(argv[1], "thread")) {
		threads(1, look);
	} else {
		return reuse(argv[2], argv[3]);
	}
	return 0;
}
