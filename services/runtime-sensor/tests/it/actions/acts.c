/*
 * Performs the actions that rules are about. One program under many names:
 *
 *   acts @list FILE [FOLDER] runs each line of the file: id, user, variables, program, arguments (separated by tabs)
 *   acts @verb [arguments]   performs the verbs, one after the other
 *   anything else            does nothing: what counts is the name and the arguments
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(3);
}

static void done(int fd, const char *what)
{
	if (fd < 0)
		fail(what);
	close(fd);
}

static struct sockaddr_in to(const char *address, const char *port)
{
	struct sockaddr_in it = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	if (inet_pton(AF_INET, address, &it.sin_addr) != 1)
		fail(address);
	return it;
}

/* Someone to talk to, on any address; the same one for all. */
static int listener(const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in any = to("0.0.0.0", port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (void *)&any, sizeof(any)) || listen(fd, 5))
		fail("listen");
	return fd;
}

static int connected(int type, const char *address, const char *port)
{
	int fd = socket(AF_INET, type, 0);
	struct sockaddr_in peer = to(address, port);
	if (connect(fd, (void *)&peer, sizeof(peer)))
		fail("connect");
	return fd;
}

static void copy(const char *from, const char *path)
{
	char buffer[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ssize_t length;
	if (in < 0 || out < 0)
		fail(path);
	while ((length = read(in, buffer, sizeof(buffer))) > 0)
		if (write(out, buffer, length) != length)
			fail(path);
	close(in);
	close(out);
}

static int run(char *const *program)
{
	pid_t child = fork();
	int status;
	if (child == 0) {
		execv(program[0], program + 1);
		fail(program[0]);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

static void traced(int me)
{
	pid_t child = fork();
	if (child == 0) {
		if (me)
			_exit(ptrace(PTRACE_TRACEME, 0, 0, 0) ? 3 : 0);
		pause();
		_exit(0);
	}
	if (!me) {
		if (ptrace(PTRACE_ATTACH, child, 0, 0))
			fail("attach");
		waitpid(child, 0, 0);
		kill(child, SIGKILL);
	}
	waitpid(child, 0, 0);
}

/* A class file comes over a connection. */
static void class_file(const char *address, const char *port)
{
	int server = listener(port), client = connected(SOCK_STREAM, address, port), peer = accept4(server, 0, 0, 0);
	char buffer[64];
	if (send(peer, "\xca\xfe\xba\xbe\0\0\0\x34", 8, 0) != 8 || recv(client, buffer, sizeof(buffer), 0) != 8)
		fail("class file");
}

static void accepted(const char *address, const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	struct sockaddr_in own = to(address, port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (void *)&own, sizeof(own)) || listen(fd, 1))
		fail("bind");
	if (fork() == 0) {
		prctl(PR_SET_NAME, "bt-client");
		connected(SOCK_STREAM, address, port);
		_exit(0);
	}
	done(accept4(fd, 0, 0, SOCK_CLOEXEC), "accept");
	wait(0);
}

static void from_memory(char *const *arguments)
{
	int memory = memfd_create(arguments[0], 0), own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char buffer[65536];
	ssize_t length;
	while ((length = read(own, buffer, sizeof(buffer))) > 0)
		if (write(memory, buffer, length) != length)
			fail("memory");
	fexecve(memory, arguments, environ);
	fail("fexecve");
}

/* Performs one verb. Returns how many arguments it took. */
static int act(const char *verb, char **a)
{
	if (!strcmp(verb, "@read"))
		return done(open(a[0], O_RDONLY | O_CLOEXEC), a[0]), 1;
	if (!strcmp(verb, "@try"))
		return close(open(a[0], O_RDONLY | O_CLOEXEC)), 1;
	if (!strcmp(verb, "@dir"))
		return done(open(a[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC), a[0]), 1;
	if (!strcmp(verb, "@write"))
		return done(open(a[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0644), a[0]), 1;
	if (!strcmp(verb, "@append"))
		return done(open(a[0], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644), a[0]), 1;
	if (!strcmp(verb, "@truncate"))
		return done(open(a[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), a[0]), 1;
	if (!strcmp(verb, "@make-program"))
		return done(open(a[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0755), a[0]), 1;
	if (!strcmp(verb, "@try-write"))
		return close(open(a[0], O_WRONLY | O_CLOEXEC)), 1;
	if (!strcmp(verb, "@sleep"))
		return usleep(atoi(a[0]) * 1000), 1;
	if (!strcmp(verb, "@run"))
		_exit(run(a));
	if (!strcmp(verb, "@exec"))
		execv(a[0], a + 1), fail(a[0]);
	if (!strcmp(verb, "@memory"))
		from_memory(a);
	if (!strcmp(verb, "@copy-self"))
		return copy("/proc/self/exe", a[0]), 1;
	if (!strcmp(verb, "@connect")) {
		int server = listener(a[1]);
		close(connected(SOCK_STREAM, a[0], a[1]));
		return close(server), 2;
	}
	if (!strcmp(verb, "@begin-connect")) {
		struct sockaddr_in peer = to(a[0], a[1]);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd, (void *)&peer, sizeof(peer));
		return close(fd), 2;
	}
	if (!strcmp(verb, "@udp"))
		return close(connected(SOCK_DGRAM, a[0], a[1])), 2;
	if (!strcmp(verb, "@datagram")) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		struct sockaddr_in own = to(a[0], "0"), peer = to(a[1], a[2]);
		if (bind(fd, (void *)&own, sizeof(own)))
			fail("bind");
		for (int i = 0; i < 3; i++)
			if (sendto(fd, "x", 1, 0, (void *)&peer, sizeof(peer)) != 1)
				fail("sendto");
		return close(fd), 3;
	}
	if (!strcmp(verb, "@stdin-socket")) {
		int server = listener(a[1]), fd = connected(SOCK_STREAM, a[0], a[1]);
		return dup2(fd, 0), close(server), 2;
	}
	if (!strcmp(verb, "@stdin-file"))
		return dup2(open(a[0], O_RDONLY), 0), 1;
	if (!strcmp(verb, "@socket-aside")) {
		int server = listener(a[1]), fd = connected(SOCK_STREAM, a[0], a[1]);
		return dup2(fd, 60), close(server), 2;
	}
	if (!strcmp(verb, "@accept"))
		return accepted(a[0], a[1]), 2;
	if (!strcmp(verb, "@class-file"))
		return class_file(a[0], a[1]), 2;
	if (!strcmp(verb, "@packet-socket"))
		return done(socket(AF_PACKET, SOCK_RAW, 0), "packet"), 0;
	if (!strcmp(verb, "@stream-socket"))
		return done(socket(AF_INET, SOCK_STREAM, 0), "stream"), 0;
	if (!strcmp(verb, "@module"))
		return syscall(SYS_init_module, "no module", 9, ""), 0;
	if (!strcmp(verb, "@attach"))
		return traced(0), 0;
	if (!strcmp(verb, "@traceme"))
		return traced(1), 0;
	if (!strcmp(verb, "@peek"))
		return ptrace(PTRACE_PEEKDATA, getpid(), 0, 0), 0;
	if (!strcmp(verb, "@bpf-program")) {
		union bpf_attr attributes = { .prog_type = 0 };
		return syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes)), 0;
	}
	if (!strcmp(verb, "@bpf-map")) {
		union bpf_attr attributes = { .map_type = 0 };
		return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)), 0;
	}
	if (!strcmp(verb, "@symlink"))
		return symlink(a[0], a[1]) ? fail(a[1]), 2 : 2;
	if (!strcmp(verb, "@link"))
		return link(a[0], a[1]) ? fail(a[1]), 2 : 2;
	if (!strcmp(verb, "@rename"))
		return rename(a[0], a[1]) ? fail(a[1]), 2 : 2;
	if (!strcmp(verb, "@unlink"))
		return unlinkat(AT_FDCWD, a[0], 0) ? fail(a[0]), 1 : 1;
	if (!strcmp(verb, "@mkdir"))
		return mkdir(a[0], 0755) ? fail(a[0]), 1 : 1;
	if (!strcmp(verb, "@chmod"))
		return chmod(a[0], strtol(a[1], 0, 8)) ? fail(a[0]), 2 : 2;
	if (!strcmp(verb, "@cd"))
		return chdir(a[0]) ? fail(a[0]), 1 : 1;
	if (!strcmp(verb, "@setuid"))
		return syscall(SYS_setuid, atoi(a[0])), 1;
	if (!strcmp(verb, "@setgid"))
		return syscall(SYS_setgid, atoi(a[0])), 1;
	if (!strcmp(verb, "@unshare"))
		return unshare(CLONE_NEWUTS), 0;
	if (!strcmp(verb, "@become-user"))
		return unshare(CLONE_NEWUSER), 0;
	if (!strcmp(verb, "@setns"))
		return setns(open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC), 0), 0;
	if (!strcmp(verb, "@faults"))
		return close(syscall(SYS_userfaultfd, O_CLOEXEC | 1)), 0;
	return 0;
}

/* One action: a process of its own that is known by a variable of its environment. */
static void perform(char *line)
{
	char *fields[64] = { 0 }, *place = line;
	int count = 0;
	while (count < 63 && (fields[count] = strsep(&place, "\t")))
		count++;
	if (count < 5)
		return;
	pid_t child = fork();
	if (child == 0) {
		setenv("BT_ACTION", fields[0], 1);
		for (char *variable; (variable = strsep(&fields[2], ","));)
			if (strchr(variable, '='))
				putenv(variable);
		int user = atoi(fields[1]);
		if (user && (setgid(user) || setuid(user)))
			fail("user");
		execv(fields[3], fields + 4);
		fail(fields[3]);
	}
	int status = 0;
	if (fields[2] && !strncmp(fields[2], "&", 1))
		status = 0;
	else
		waitpid(child, &status, 0);
	printf("%s %d %d\n", fields[0], child, WIFEXITED(status) ? WEXITSTATUS(status) : 4);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "@list")) {
		FILE *list = fopen(argv[2], "re");
		char *line = 0;
		size_t room = 0;
		ssize_t length;
		if (!list)
			fail(argv[2]);
		while ((length = getline(&line, &room, list)) > 0) {
			line[length - 1] = 0;
			perform(line);
		}
		while (wait(0) > 0)
			;
		/* Who is asked for names is there until told otherwise. */
		if (argc > 3) {
			char path[4096];
			snprintf(path, sizeof(path), "%s/done", argv[3]);
			done(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), path);
			snprintf(path, sizeof(path), "%s/over", argv[3]);
			for (int i = 0; i < 12000 && access(path, F_OK); i++)
				usleep(10000);
		}
		return 0;
	}
	for (int place = 1; place < argc; place++)
		if (argv[place][0] == '@')
			place += act(argv[place], argv + place + 1);
	return 0;
}
