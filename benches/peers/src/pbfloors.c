/* pbfloors: what might lower the floor. The UDP half of `pbecho -b 32`, with one thing changed.
 *
 * pbfloors -p port -m mode      plain     recvmmsg, sendmmsg, 32 buffers of 4096 octets
 *                             stride    the same, buffers an odd number of cache lines apart
 *                             huge      buffers and headers in a huge page (madvise)
 *                             single    recvmmsg, but one sendto for each answer
 *                             spin      never sleeps: recvmmsg with MSG_DONTWAIT, again and again
 *                             busypoll  SO_BUSY_POLL 50 us
 *                             incoming  SO_INCOMING_CPU: the processor that we run on
 *                             gro       UDP_GRO, and room for its control message
 *                             uring     io_uring: one multishot recvmsg with provided buffers, a sendmsg entry for each answer
 *                             uring-in  the same with recvmmsg's part alone: answers by sendmmsg
 * Says on stderr what the kernel refuses, with errno, and ends with 3.  Binds 127.0.0.1 only, one thread.  Stops on SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#if __has_include(<liburing.h>)
#include <liburing.h>
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#define BATCH 32
#define ROOM 4096
#define HUGE_PAGE (2u << 20)

static void refused(const char *what, int error) { fprintf(stderr, "%s: %s (errno %d)\n", what, strerror(error), error); exit(3); }

/* A string of buffers `stride` apart, answered where they stand. */
static void batches(int u, uint8_t *memory, size_t stride, int flags, int control, int single) {
    struct mmsghdr *m = (void *)(memory + BATCH * stride); struct iovec *v = (void *)(m + BATCH); struct sockaddr_in *p = (void *)(v + BATCH);
    uint8_t (*c)[64] = (void *)(p + BATCH);
    for (int i = 0; i < BATCH; i++) {
        v[i].iov_base = memory + i * stride;
        m[i].msg_hdr = (struct msghdr){ .msg_name = &p[i], .msg_iov = &v[i], .msg_iovlen = 1 };
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            v[i].iov_len = stride & ~(size_t)127; m[i].msg_hdr.msg_namelen = sizeof p[i];
            if (control) { m[i].msg_hdr.msg_control = c[i]; m[i].msg_hdr.msg_controllen = sizeof c[i]; }
        }
        int n = recvmmsg(u, m, BATCH, flags, NULL);
        if (n <= 0) { if (flags & MSG_DONTWAIT) __builtin_ia32_pause(); continue; }
        /* one that was merged goes back whole: none comes over loopback */
        for (int i = 0; i < n; i++) { v[i].iov_len = m[i].msg_len; ((uint8_t *)v[i].iov_base)[2] |= 0x80; m[i].msg_hdr.msg_control = NULL; m[i].msg_hdr.msg_controllen = 0; }
        if (single) for (int i = 0; i < n; i++) sendto(u, v[i].iov_base, v[i].iov_len, 0, (void *)&p[i], sizeof p[i]);
        else for (int s = 0; s < n;) { int k = sendmmsg(u, m + s, n - s, 0); if (k <= 0) break; s += k; }
    }
}

#ifdef LIB_URING_H
#define BUFFERS 256
#define GROUP 1
/* Answers are sent when the next wait begins: MSG_DONTWAIT, so that they are done when it returns and their buffers are free again. */
static void uring(int u, int sends) {
    struct io_uring ring; struct io_uring_params how = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 4 * BUFFERS };
    int e = io_uring_queue_init_params(BUFFERS, &ring, &how); if (e) refused("io_uring_setup", -e);
    size_t stride = 1344;
    uint8_t *memory = aligned_alloc(4096, (BUFFERS * stride + 4095) & ~4095ul); memset(memory, 0, BUFFERS * stride);
    struct io_uring_buf_ring *free_;
    if (posix_memalign((void **)&free_, 4096, BUFFERS * sizeof(struct io_uring_buf))) exit(2);
    struct io_uring_buf_reg reg = { .ring_addr = (uintptr_t)free_, .ring_entries = BUFFERS, .bgid = GROUP };
    e = io_uring_register_buf_ring(&ring, &reg, 0); if (e) refused("io_uring_register_buf_ring", -e);
    io_uring_buf_ring_init(free_);
    int mask = io_uring_buf_ring_mask(BUFFERS);
    for (int i = 0; i < BUFFERS; i++) io_uring_buf_ring_add(free_, memory + i * stride, stride, i, mask, i);
    io_uring_buf_ring_advance(free_, BUFFERS);
    struct msghdr shape = { .msg_namelen = sizeof(struct sockaddr_in) };
    static struct mmsghdr out[BUFFERS]; static struct iovec v[BUFFERS]; static uint16_t taken[BUFFERS]; int armed = 0, n = 0;
    for (;;) {
        if (!armed) {
            struct io_uring_sqe *s = io_uring_get_sqe(&ring);
            io_uring_prep_recvmsg_multishot(s, u, &shape, 0); s->flags |= IOSQE_BUFFER_SELECT; s->buf_group = GROUP; s->user_data = 1; armed = 1;
        }
        int k = n;
        io_uring_submit_and_wait(&ring, 1);
        /* what was answered has been sent */
        for (int i = 0; i < k; i++) io_uring_buf_ring_add(free_, memory + taken[i] * stride, stride, taken[i], mask, i);
        io_uring_buf_ring_advance(free_, k);
        struct io_uring_cqe *c; unsigned head, seen = 0; n = 0;
        io_uring_for_each_cqe(&ring, head, c) {
            if (n == BATCH) break;
            seen++;
            if (c->user_data != 1) continue;               /* a send that was refused: lost, as any datagram */
            if (!(c->flags & IORING_CQE_F_MORE)) armed = 0;
            if (c->res < 0) { if (c->res != -ENOBUFS) refused("recvmsg", -c->res); continue; }
            uint16_t id = c->flags >> IORING_CQE_BUFFER_SHIFT;
            struct io_uring_recvmsg_out *r = io_uring_recvmsg_validate(memory + id * stride, c->res, &shape);
            taken[n] = id;
            v[n] = (struct iovec){ io_uring_recvmsg_payload(r, &shape), io_uring_recvmsg_payload_length(r, c->res, &shape) };
            ((uint8_t *)v[n].iov_base)[2] |= 0x80;
            out[n].msg_hdr = (struct msghdr){ .msg_name = io_uring_recvmsg_name(r), .msg_namelen = sizeof(struct sockaddr_in), .msg_iov = &v[n], .msg_iovlen = 1 };
            if (sends) {
                struct io_uring_sqe *s = io_uring_get_sqe(&ring);
                io_uring_prep_sendmsg(s, u, &out[n].msg_hdr, MSG_DONTWAIT); s->flags |= IOSQE_CQE_SKIP_SUCCESS; s->user_data = 0;
            }
            n++;
        }
        io_uring_cq_advance(&ring, seen);
        if (!sends) for (int s = 0; s < n;) { int d = sendmmsg(u, out + s, n - s, MSG_DONTWAIT); if (d <= 0) break; s += d; }
    }
}
#else
static void uring(int u, int sends) { (void)u; (void)sends; refused("built without liburing.h", ENOSYS); }
#endif

int main(int argc, char **argv) {
    int port = 5300, o, on = 1, rb = 1 << 20; const char *mode = "plain";
    while ((o = getopt(argc, argv, "p:m:")) != -1) switch (o) { case 'p': port = atoi(optarg); break; case 'm': mode = optarg; break; default: return 2; }
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001) };
    int u = socket(AF_INET, SOCK_DGRAM, 0); setsockopt(u, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on); setsockopt(u, SOL_SOCKET, SO_RCVBUF, &rb, sizeof rb);
    if (bind(u, (void *)&a, sizeof a)) refused("bind", errno);
    int is(const char *name) { return !strcmp(mode, name); }
    uint8_t *memory = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) refused("mmap", errno);
    memory = (uint8_t *)(((uintptr_t)memory + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    if (is("huge") && madvise(memory, HUGE_PAGE, MADV_HUGEPAGE)) refused("MADV_HUGEPAGE", errno);
    if (!is("huge")) madvise(memory, HUGE_PAGE, MADV_NOHUGEPAGE);
    if (is("busypoll")) { int us = 50; if (setsockopt(u, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof us)) refused("SO_BUSY_POLL", errno); }
    if (is("incoming")) { int cpu = sched_getcpu(); if (setsockopt(u, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof cpu)) refused("SO_INCOMING_CPU", errno); }
    if (is("gro") && setsockopt(u, IPPROTO_UDP, UDP_GRO, &on, sizeof on)) refused("UDP_GRO", errno);
    if (is("uring") || is("uring-in")) uring(u, is("uring"));
    batches(u, memory, is("stride") ? 1344 : ROOM, is("spin") ? MSG_DONTWAIT : MSG_WAITFORONE, is("gro"), is("single"));
}
