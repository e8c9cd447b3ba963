/* The yardstick: a TCP echo server with one thread and epoll. echo [GREETING]
 *
 * Listens on a port of 127.0.0.1 that the system chooses, prints it, and serves until it is killed.
 * What a peer does not take is kept until it does, and nothing is read from it meanwhile. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int fd;
    char *unsent; /* NULL: everything has been taken */
    size_t first, end;
};

static char buffer[128 << 10];
static int poller;

static void watch(int how, struct connection *c, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, how, fd, &event)) {
        perror("echo: epoll_ctl");
        exit(1);
    }
}

static void drop(struct connection *c) {
    close(c->fd);
    free(c->unsent);
    free(c);
}

/* Send; return how much was taken, -1 if the connection is lost. */
static ssize_t taken(int fd, const char *bytes, size_t count) {
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

static void readable(struct connection *c) {
    ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    ssize_t sent = got <= 0 ? -1 : taken(c->fd, buffer, got);
    if (sent < 0) {
        drop(c);
    } else if (sent < got) {
        c->first = 0;
        c->end = got - sent;
        c->unsent = malloc(c->end);
        memcpy(c->unsent, buffer + sent, c->end);
        watch(EPOLL_CTL_MOD, c, c->fd, EPOLLOUT);
    }
}

static void writable(struct connection *c) {
    ssize_t sent = taken(c->fd, c->unsent + c->first, c->end - c->first);
    if (sent < 0) {
        drop(c);
        return;
    }
    c->first += sent;
    if (c->first == c->end) {
        free(c->unsent);
        c->unsent = NULL;
        watch(EPOLL_CTL_MOD, c, c->fd, EPOLLIN);
    }
}

static void accepted(int listener, const char *greeting) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        watch(EPOLL_CTL_ADD, c, fd, EPOLLIN);
        if (*greeting && taken(fd, greeting, strlen(greeting)) < 0) /* fits a fresh socket */
            drop(c);
    }
}

static int listening(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (void *)&address, size) || listen(fd, 4096) ||
        getsockname(fd, (void *)&address, &size)) {
        perror("echo: cannot listen");
        exit(1);
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int count, char **words) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = listening();
    poller = epoll_create1(0);
    watch(EPOLL_CTL_ADD, NULL, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[1024];
        int ready = epoll_wait(poller, events, 1024, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                accepted(listener, count > 1 ? words[1] : "");
            else if (c->unsent)
                writable(c);
            else
                readable(c);
        }
    }
}
