/*
 * Makes one system call after the other, each with a mark of its own, for the tests that expect the sensor to tell of them.
 *
 *   calls FOLDER          all of them, in FOLDER; prints the port of its server
 *   calls 32-bit COUNT    getpid by the table of i386, COUNT times
 *   calls io-uring PATH   opens PATH through io_uring; ends with 0 when that was done
 *   calls flood COUNT     asks for its own personality, COUNT times
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void touch(const char *name)
{
	syscall(SYS_close, syscall(SYS_open, name, O_CREAT | O_WRONLY | O_TRUNC, 0600));
}

static void files(void)
{
	touch("made");
	mkdir("at", 0700);
	int folder = open(".", O_RDONLY | O_DIRECTORY);
	int file = syscall(SYS_openat, folder, "./at/../made", O_RDWR | O_CLOEXEC);
	unsigned long long how[3] = { O_CREAT | O_RDWR, 0640, 0 };
	syscall(SYS_openat2, AT_FDCWD, "how", how, sizeof(how));
	syscall(SYS_creat, "created", 0755);
	syscall(SYS_openat, AT_FDCWD, "missing", O_RDONLY);
	syscall(SYS_openat, AT_FDCWD, "bad\xff", O_RDONLY | O_CREAT, 0600);
	syscall(SYS_mkdir, "folder", 0751);
	syscall(SYS_mkdirat, folder, "folder-at", 0750);
	syscall(SYS_rmdir, "folder-at");
	syscall(SYS_rename, "created", "renamed");
	syscall(SYS_renameat, folder, "renamed", AT_FDCWD, "renamed-at");
	syscall(SYS_renameat2, folder, "renamed-at", folder, "renamed-2", 1);
	syscall(SYS_link, "made", "linked");
	syscall(SYS_linkat, folder, "made", AT_FDCWD, "linked-at", 0);
	syscall(SYS_symlink, "../elsewhere", "soft");
	syscall(SYS_symlinkat, "made", folder, "soft-at");
	syscall(SYS_openat, AT_FDCWD, "soft-at", O_RDONLY);
	syscall(SYS_unlink, "linked");
	syscall(SYS_unlinkat, folder, "folder", AT_REMOVEDIR);
	syscall(SYS_chmod, "made", 04755);
	syscall(SYS_fchmod, file, 0644);
	syscall(SYS_fchmodat, folder, "made", 0600);
	syscall(SYS_chown, "made", 0, 0);
	syscall(SYS_lchown, "soft", 0, 0);
	syscall(SYS_fchown, file, 0, 0);
	syscall(SYS_fchownat, folder, "made", 0, 0, 0);
	syscall(SYS_mknod, "fifo", S_IFIFO | 0600, 0);
	syscall(SYS_mknodat, folder, "fifo-at", S_IFIFO | 0600, 0);
	syscall(SYS_truncate, "made", 3);
	int copy = syscall(SYS_dup, file);
	syscall(SYS_dup2, file, copy);
	syscall(SYS_dup3, file, copy, O_CLOEXEC);
	syscall(SYS_fcntl, file, F_DUPFD, 90);
	int ends[2];
	syscall(SYS_pipe2, ends, 0);
	syscall(SYS_dup, ends[0]);
	syscall(SYS_write, file, "cafe-babe", 9);
}

static void folders(void)
{
	mkdir("sub", 0755);
	int before = open(".", O_RDONLY | O_DIRECTORY);
	syscall(SYS_chdir, "sub");
	touch("in-sub");
	syscall(SYS_fchdir, before);
	touch("back-again");
	if (!fork()) {
		syscall(SYS_chroot, "sub");
		syscall(SYS_chdir, "/");
		touch("/in-root");
		touch("in-root-too");
		_exit(0);
	}
	wait(0);
}

static int server(struct sockaddr_in *address, int type)
{
	int sock = syscall(SYS_socket, AF_INET, type, 0);
	socklen_t length = sizeof(*address);
	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	syscall(SYS_bind, sock, address, sizeof(*address));
	if (type == SOCK_STREAM)
		syscall(SYS_listen, sock, 5);
	getsockname(sock, (struct sockaddr *)address, &length);
	return sock;
}

static void sockets(void)
{
	struct sockaddr_in address, mine;
	int waiting = server(&address, SOCK_STREAM), client = socket(AF_INET, SOCK_STREAM, 0);
	printf("tcp=%d\n", ntohs(address.sin_port));
	syscall(SYS_connect, client, &address, sizeof(address));
	int accepted = syscall(SYS_accept4, waiting, 0, 0, 0);
	syscall(SYS_dup2, client, 80);
	syscall(SYS_sendto, client, "over-tcp", 8, 0, 0, 0);
	char bytes[32];
	syscall(SYS_recvfrom, accepted, bytes, sizeof(bytes), 0, 0, 0);
	int receiver = server(&address, SOCK_DGRAM), sender = socket(AF_INET, SOCK_DGRAM, 0);
	printf("udp=%d\n", ntohs(address.sin_port));
	syscall(SYS_sendto, sender, "over-udp", 8, 0, &address, sizeof(address));
	socklen_t length = sizeof(mine);
	syscall(SYS_recvfrom, receiver, bytes, sizeof(bytes), 0, &mine, &length);
	struct iovec part = { "by-message", 10 };
	struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = &part, .msg_iovlen = 1 };
	syscall(SYS_sendmsg, sender, &message, 0);
	struct mmsghdr messages[1] = { { message, 0 } };
	syscall(SYS_sendmmsg, sender, messages, 1, 0);
	part.iov_base = bytes;
	syscall(SYS_recvmsg, receiver, &message, 0);
	struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "local.sock" };
	int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
	syscall(SYS_bind, unix_socket, &local, sizeof(local));
	listen(unix_socket, 1);
	syscall(SYS_connect, socket(AF_UNIX, SOCK_STREAM, 0), &local, sizeof(local));
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	syscall(SYS_connect, socket(AF_INET6, SOCK_DGRAM, 0), &six, sizeof(six));
	int both[2];
	syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, both);
	syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0);
}

static void powers(void)
{
	syscall(SYS_setuid, 0);
	syscall(SYS_setgid, 0);
	syscall(SYS_setresuid, 0, 0, 0);
	syscall(SYS_setresgid, 0, 0, 0);
	syscall(SYS_setreuid, 0, 0);
	syscall(SYS_unshare, CLONE_NEWUTS);
	int space = open("/proc/self/ns/uts", O_RDONLY);
	syscall(SYS_setns, space, CLONE_NEWUTS);
	syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	syscall(SYS_kill, getpid(), 0);
	syscall(SYS_tgkill, getpid(), getpid(), 0);
	union bpf_attr attributes = {};
	syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, 0);
	syscall(SYS_init_module, "", 0, "option=1");
	syscall(SYS_finit_module, space, "option=2", 0);
	syscall(SYS_delete_module, "bt_none", O_NONBLOCK);
	syscall(SYS_userfaultfd, 0);
	syscall(SYS_memfd_create, "bt-memory", 1);
	int self = syscall(SYS_pidfd_open, getpid(), 0);
	syscall(SYS_pidfd_getfd, self, 1, 0);
	syscall(SYS_process_vm_readv, getpid(), 0, 0, 0, 0, 0);
	syscall(SYS_process_vm_writev, getpid(), 0, 0, 0, 0, 0);
	syscall(SYS_mount, "bt-device", "bt-folder", "tmpfs", MS_NOSUID | MS_RDONLY, 0);
	syscall(SYS_umount2, "bt-folder", MNT_DETACH);
	unsigned int capabilities[2] = { 0x20080522, 0 }, sets[6] = {};
	syscall(SYS_capget, capabilities, sets);
	syscall(SYS_capset, capabilities, sets);
	syscall(SYS_seccomp, 99, 7, 0);
	syscall(SYS_keyctl, 99, 0, 0, 0, 0);
	char parameters[120] = {};
	syscall(SYS_io_uring_setup, 4, parameters);
	unsigned long long clone[8] = { CLONE_NEWUTS | CLONE_NEWIPC | CLONE_THREAD };
	syscall(SYS_clone3, clone, sizeof(clone));
	if (!fork()) {
		syscall(SYS_setsid);
		_exit(0);
	}
	wait(0);
	if (!fork()) {
		syscall(SYS_setpgid, 0, 0);
		syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
		_exit(0);
	}
	wait(0);
}

static void run(char *program, char **arguments, char **environment)
{
	if (!fork()) {
		syscall(SYS_execve, program, arguments, environment);
		_exit(1);
	}
	wait(0);
}

static void programs(char *itself)
{
	char *empty[] = { 0 };
	run("./nothing", (char *[]){ "bt-failed", 0 }, empty);
	run(itself, (char *[]){ itself, "idle", "not-\xff-utf8", 0 }, (char *[]){ "BT_VARIABLE=in-environment", 0 });
	/* As long a command line as the kernel takes of one argument, sixteen times. */
	static char longest[130000];
	memset(longest, 'x', sizeof(longest) - 1);
	char *many[20] = { itself, "idle", "very-long" };
	for (int i = 3; i < 19; i++)
		many[i] = longest;
	run(itself, many, empty);
	int from = open(itself, O_RDONLY), memory = memfd_create("bt-program", 0);
	struct stat facts;
	fstat(from, &facts);
	for (off_t at = 0; at < facts.st_size;) {
		char block[4096];
		ssize_t count = pread(from, block, sizeof(block), at);
		if (count <= 0 || write(memory, block, count) != count)
			return;
		at += count;
	}
	if (!fork()) {
		syscall(SYS_execveat, memory, "", (char *[]){ "from-memory", "idle", 0 }, empty, AT_EMPTY_PATH);
		_exit(1);
	}
	wait(0);
}

static void as_32_bit(int count)
{
	for (int i = 0; i < count; i++) {
		int result;
		__asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "r8", "r9", "r10", "r11", "memory");
	}
}

static int through_io_uring(const char *path)
{
	struct io_uring_params parameters = {};
	int ring = syscall(SYS_io_uring_setup, 4, &parameters);
	if (ring < 0)
		return 2;
	size_t size = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned int);
	char *queue = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entries = mmap(0, parameters.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (queue == MAP_FAILED || entries == MAP_FAILED)
		return 2;
	entries[0] = (struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (unsigned long)path };
	((unsigned int *)(queue + parameters.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned int *)(queue + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) == 1 ? 0 : 2;
}

int main(int count, char **arguments)
{
	if (count == 3 && !strcmp(arguments[1], "32-bit")) {
		as_32_bit(atoi(arguments[2]));
		return 0;
	}
	if (count == 3 && !strcmp(arguments[1], "io-uring"))
		return through_io_uring(arguments[2]);
	if (count == 3 && !strcmp(arguments[1], "flood")) {
		for (int i = 0; i < atoi(arguments[2]); i++)
			syscall(SYS_personality, 0xffffffff);
		return 0;
	}
	if (count != 2 || chdir(arguments[1]))
		return 0;
	/* What a shell or a runner left open would move every number that is expected. */
	syscall(SYS_close_range, 3, ~0U, 0);
	setvbuf(stdout, 0, _IONBF, 0);
	files();
	folders();
	sockets();
	powers();
	programs(arguments[0]);
	puts("done");
	return 0;
}
