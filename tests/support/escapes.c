/* What somebody tries who was let into a container and wants out: one line an attempt, "held" or
 * "ESCAPED". Linked statically, and setuid root in its image. Arguments: the name of an abstract
 * socket of the host, then paths of the host that must not be there. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *what, const char *which, int done)
{
    printf("%s%s%s: %s\n", what, *which ? " " : "", which, done ? "ESCAPED" : "held");
    fflush(stdout);
}

static void opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    tell(flags == O_RDONLY ? "reads" : "writes", path, fd >= 0);
    if (fd >= 0)
        close(fd);
}

static void makes(const char *what, mode_t kind, int major_, int minor_)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/node-%d-%d", major_, minor_);
    int made = mknod(path, kind | 0666, makedev(major_, minor_)) == 0;
    tell("makes the device", what, made && open(path, O_RDWR) >= 0);
}

/* Runs an attempt in a child: it may be killed for it, or change what later ones find. */
static void in_child(const char *what, int (*attempt)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(5);
        _exit(attempt() == 0 ? 0 : 1);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    tell(what, "", WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int becomes_root(void) { return setresuid(0, 0, 0); }
static int becomes_roots_group(void) { return setresgid(0, 0, 0); }
static int takes_groups(void)
{
    gid_t root = 0;
    return syscall(SYS_setgroups, 1, &root);
}
static int is_root(void) { return geteuid() == 0 || getuid() == 0 ? 0 : -1; }
static int drops_the_guard(void) { return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0); }
static int makes_a_user_namespace(void) { return unshare(CLONE_NEWUSER); }
static int makes_a_mount_namespace(void) { return unshare(CLONE_NEWNS); }
static int clones_a_user_namespace(void)
{
    return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0 ? -1 : 0;
}
static int mounts_proc(void) { return mount("proc", "/tmp", "proc", 0, ""); }
static int mounts_anew(void) { return mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND, ""); }
static int uncovers(void) { return umount2("/proc/kcore", MNT_DETACH); }
static int changes_root(void) { return chroot("/tmp"); }
static int enters_namespaces(void)
{
    int fd = open("/proc/1/ns/mnt", O_RDONLY);
    return fd < 0 ? -1 : setns(fd, 0);
}
static int opens_by_handle(void)
{
    struct { struct file_handle head; unsigned char inode[8]; } handle = {
        {8, 1}, {2, 0, 0, 0, 0, 0, 0, 0}}; /* inode 2 is the root of the host's file system */
    int fd = open("/etc/hosts", O_RDONLY);
    return open_by_handle_at(fd, &handle.head, O_RDONLY) < 0 ? -1 : 0;
}
static int loads_a_module(void) { return syscall(SYS_init_module, "", 0, ""); }
static int loads_bpf(void)
{
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
                           .max_entries = 1};
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr) < 0 ? -1 : 0;
}
static int counts_the_kernel(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr};
    return syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0) < 0 ? -1 : 0;
}
static int takes_keys(void) { return syscall(SYS_keyctl, 0, -4, 0) < 0 ? -1 : 0; }
static int reads_the_kernels_log(void)
{
    char text[256];
    return syscall(SYS_syslog, 3, text, sizeof text) < 0 ? -1 : 0;
}
static int names_the_host(void) { return sethostname("x", 1); }
static int opens_a_raw_socket(void) { return socket(AF_INET, SOCK_RAW, 1) < 0 ? -1 : 0; }
static int reads_packets(void) { return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? -1 : 0; }
static int has_capabilities(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capget, &head, data) != 0)
        return -1;
    return data[0].permitted | data[1].permitted | data[0].effective ? 0 : -1;
}
static int gains_capabilities(void)
{
    for (int cap = 0; cap < 64; cap++)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            return 0;
    return -1;
}
static int sees_others(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    struct stat about;
    char path[300];
    while (proc && (entry = readdir(proc)) != NULL) {
        snprintf(path, sizeof path, "/proc/%s", entry->d_name);
        if (atoi(entry->d_name) > 0 && stat(path, &about) == 0 && about.st_uid != getuid())
            return 0;
    }
    return -1;
}
static int traces_roots(void)
{
    /* A tracer of what is setuid would have its rights. */
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execl("/escapes", "/escapes", "--am-i-root", (char *)NULL);
        _exit(1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ptrace(PTRACE_CONT, pid, 0, 0);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}
static int leaves_by_dots(void)
{
    int out = open("/", O_RDONLY | O_DIRECTORY);
    struct stat here, above;
    for (int depth = 0; depth < 64; depth++) {
        if (fstat(out, &here) != 0 || (out = openat(out, "..", O_RDONLY | O_DIRECTORY)) < 0)
            return -1;
        if (fstat(out, &above) == 0 && (above.st_ino != here.st_ino || above.st_dev != here.st_dev))
            return 0;
    }
    return -1;
}
static int inherits_files(void)
{
    char path[64], place[512];
    for (int fd = 3; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, place, sizeof place - 1);
        if (length > 0 && place[0] == '/') {
            place[length] = 0;
            fprintf(stderr, "%d is %s\n", fd, place);
            return 0;
        }
    }
    return -1;
}

static int connects(const char *name, int abstract)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path + abstract, name, sizeof to.sun_path - 2);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name);
    return connect(fd, (struct sockaddr *)&to, length);
}

int main(int count, char **words)
{
    if (count > 1 && strcmp(words[1], "--am-i-root") == 0)
        return is_root() == 0 ? 0 : 1;
    in_child("is root by a setuid program", is_root);
    in_child("becomes root", becomes_root);
    in_child("becomes root's group", becomes_roots_group);
    in_child("takes root's groups", takes_groups);
    in_child("has capabilities", has_capabilities);
    in_child("could have capabilities", gains_capabilities);
    in_child("drops no-new-privileges", drops_the_guard);
    in_child("traces a setuid program", traces_roots);
    in_child("makes a user namespace", makes_a_user_namespace);
    in_child("makes a mount namespace", makes_a_mount_namespace);
    in_child("clones into a user namespace", clones_a_user_namespace);
    in_child("enters a namespace", enters_namespaces);
    in_child("mounts proc", mounts_proc);
    in_child("mounts /proc/sys anew", mounts_anew);
    in_child("uncovers /proc/kcore", uncovers);
    in_child("changes its root", changes_root);
    in_child("leaves its root by dots", leaves_by_dots);
    in_child("opens the host's files by handle", opens_by_handle);
    in_child("inherits files", inherits_files);
    in_child("loads a module", loads_a_module);
    in_child("loads a BPF map", loads_bpf);
    in_child("counts in the kernel", counts_the_kernel);
    in_child("takes keys", takes_keys);
    in_child("reads the kernel's log", reads_the_kernels_log);
    in_child("names the host", names_the_host);
    in_child("opens a raw socket", opens_a_raw_socket);
    in_child("reads packets", reads_packets);
    in_child("sees others' processes", sees_others);
    makes("mem", S_IFCHR, 1, 1);
    makes("a disk", S_IFBLK, 8, 0);
    makes("nvidiactl", S_IFCHR, 195, 255);
    makes("nvidia0", S_IFCHR, 195, 0);
    for (const char **path = (const char *[]){"/dev/mem", "/dev/kmem", "/dev/port", "/dev/sda",
             "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-caps/nvidia-cap1", "/proc/kcore",
             "/proc/kmsg",
             NULL}; *path; path++)
        opens(*path, O_RDONLY);
    for (const char **path = (const char *[]){"/proc/sys/kernel/core_pattern",
             "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom", "/proc/sysrq-trigger",
             "/proc/sys/fs/binfmt_misc/register", "/sys/kernel/uevent_helper",
             "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/cgroup.procs",
             "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
             "/sys/fs/cgroup/release_agent", "/sys/power/state", "/etc/passwd", "/bin/busybox",
             "/etc/hosts", "/etc/resolv.conf", NULL}; *path; path++)
        opens(*path, O_WRONLY);
    if (count > 1)
        tell("reaches an abstract socket of the host", "", connects(words[1], 1) == 0);
    for (int i = 2; i < count; i++) {
        tell("connects to", words[i], connects(words[i], 0) == 0);
        opens(words[i], O_RDONLY);
        char through[600];
        snprintf(through, sizeof through, "/proc/1/root%s", words[i]);
        opens(through, O_RDONLY);
    }
    return 0;
}
