/* pbnodes: stands for many nodes that are probed over TCP. Listens at 127.1.0.0 and the addresses behind it, accepts and closes.
 *
 * pbnodes -p port -n nodes [-f nth] [-s seconds]
 * On SIGUSR1 every nth node begins to flap (closed for so many seconds, then open for as many, their phases spread evenly), or ends to.
 * Runs as SCHED_IDLE: what it costs is no cost of the server's, and shall not keep it from its core.  Stops on SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAXN 60000
static int fd[MAXN], ep, port = 7000, n = 5000, nth = 10;
static volatile sig_atomic_t flaps;
static void toggle(int s) { (void)s; flaps = !flaps; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void die(const char *m) { perror(m); exit(2); }

static void open_(int i) {
    int on = 1; struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f010000 + i) };
    fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); if (fd[i] < 0) die("socket");
    setsockopt(fd[i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd[i], (void *)&a, sizeof a) || listen(fd[i], 16)) die("bind");
    struct epoll_event e = { .events = EPOLLIN, .data.u32 = i }; epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &e);
}

int main(int argc, char **argv) {
    double seconds = 4; int o;
    while ((o = getopt(argc, argv, "p:n:f:s:")) != -1) switch (o) {
        case 'p': port = atoi(optarg); break; case 'n': n = atoi(optarg); break; case 'f': nth = atoi(optarg); break;
        case 's': seconds = atof(optarg); break; default: return 2; }
    if (n < 1 || n > MAXN || nth < 1 || seconds <= 0) return 2;
    struct rlimit l = { n + 100, n + 100 }; setrlimit(RLIMIT_NOFILE, &l);
    struct sched_param none = { 0 }; sched_setscheduler(0, SCHED_IDLE, &none);
    signal(SIGUSR1, toggle); signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(0);
    for (int i = 0; i < n; i++) open_(i);
    puts("listening"); fflush(stdout);
    struct epoll_event es[64]; double looked = 0;
    for (;;) {
        int k = epoll_wait(ep, es, 64, 20);
        for (int i = 0; i < k; i++) { int c = fd[es[i].data.u32] < 0 ? -1 : accept(fd[es[i].data.u32], NULL, NULL); if (c >= 0) close(c); }
        double t = now();
        if (t - looked < .02) continue;
        looked = t;
        for (int i = 0; i < n; i += nth) {
            double phase = t / (2 * seconds) + (double)i / n;
            int shut = flaps && phase - (long)phase < .5;
            if (shut && fd[i] >= 0) { close(fd[i]); fd[i] = -1; } else if (!shut && fd[i] < 0) open_(i);
        }
    }
}
